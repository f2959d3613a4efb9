//! Doubles of the outside world for host tests.

pub(crate) mod shift;
pub(crate) mod world;
