//! How credits are bought: what a seller told of a payment, and where a pack is paid.

pub mod checkout;
pub mod receive;
