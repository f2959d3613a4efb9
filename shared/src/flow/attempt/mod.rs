//! Attempts: a worker waits while a synchronous provider makes the result of a claimed step.

pub mod card;
pub mod placed;
pub mod pool;
pub mod website;

#[cfg(test)]
mod card_tests;
#[cfg(test)]
mod pool_tests;
