//! The throwaway deployment that the tests and the demo run on.
