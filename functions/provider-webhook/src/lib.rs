//! `provider-webhook`
