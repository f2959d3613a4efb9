//! The official client library against the stack, as a page would use it.
