//! Doubles of the outside world for host tests.

