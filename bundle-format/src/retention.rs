//! Which bundles are kept and which are removed, here and elsewhere: pure functions.

pub mod bundle;
pub mod calendar;
#[cfg(test)]
mod calendar_tests;
pub mod clock;
#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod deployments_tests;
#[cfg(test)]
mod history;
#[cfg(test)]
mod nights_tests;
pub mod policy;
#[cfg(test)]
mod policy_tests;

pub use bundle::Bundle;
pub use calendar::Calendar;
