//! Doubles of the outside world for host tests.

pub(crate) mod single_step;
pub(crate) mod virtual_time;
