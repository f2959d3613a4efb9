//! `gateway`
