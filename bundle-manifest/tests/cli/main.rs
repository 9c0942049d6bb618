//! bundle-manifest through its binary. The tools that it asks are stand-ins that keep the contract.

mod describe;
mod list;
mod publish;
mod seal;
mod support;
mod verify;
