//! The throwaway parts that the pipeline tests and the demo run on: real servers, each its own, each
//! gone when dropped.

pub mod s3;
