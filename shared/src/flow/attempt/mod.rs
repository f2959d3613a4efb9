//! Works on claimed steps while a synchronous provider answers.

pub mod card;
pub mod pool;
pub mod website;

#[cfg(test)]
mod card_tests;
#[cfg(test)]
mod pool_tests;
