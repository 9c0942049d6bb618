//! The steps, each a function of the drill. What is not as expected becomes a check; an error means that the step could
//! not be carried out.

pub mod app;
pub mod checks;
pub mod compare;
pub mod config;
pub mod goals;
pub mod load;
pub mod objects;
pub mod server;
pub mod validate;
