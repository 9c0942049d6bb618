//! The S3 client: connections, signatures, requests, what their responses and failures mean, and how
//! requests are retried, limited and run side by side.

pub mod concurrency;
pub mod content;
pub mod credentials;
pub mod deletes;
pub mod dial;
pub mod document;
pub mod encode;
pub mod error_response;
pub mod etag;
pub mod fault;
pub mod headers;
pub mod http;
pub mod listed;
pub mod lock;
pub mod page;
pub mod parts;
pub mod rate;
pub mod remote;
pub mod retry;
pub mod sign;
pub mod store;
pub mod tagging;
pub mod tags;
pub mod tasks;
pub mod uploads;
pub mod xml;
