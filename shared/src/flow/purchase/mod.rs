//! Buying credits: a seller's events about payments, and the page where a pack is paid.

pub mod checkout;
pub mod receive;
