//! The toolkit as one program file, which a package installs under the name of each program (hard links), and as the
//! command `piprio-backup`, which starts them and the scripts. The programs stay separate: one starts another by
//! name, as everywhere.

mod cli;
pub mod documents;
mod install;
mod place;
pub mod programs;
mod run;
pub mod scripts;

pub use cli::Cli;
pub use run::run;
