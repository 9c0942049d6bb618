//! `backup.sh` on a whole deployment: what a bundle is, and that anything less than whole fails
//! loudly and leaves the bundle before it as it was.

mod beside;
mod bundle;
mod failures;
mod interrupted;
mod kit;
mod sequence;
