//! The wait of a step before its next attempt. Randomness is an argument.

/// The shortest wait, even if the provider asks for a shorter one.
const NAMED_MS_MIN: u32 = 1_000;
/// The first and the longest wait after a transient fault.
const TRANSIENT_MS: (u32, u32) = (2_000, 60_000);

/// The wait in ms after a refusal for capacity: the provider's delay plus at most a quarter of it,
/// so that the steps of a queue do not all retry at once. If the provider names no delay, the wait
/// is 0: `slot_limit_fall` lowers the provider's limit at once, and a freed slot or a probe starts
/// the step.
pub fn capacity(named_ms: Option<u32>, random: u128) -> u32 {
    named_ms.map_or(0, |named| named.max(NAMED_MS_MIN).saturating_add(below(random, named / 4 + 1)))
}

/// The wait in ms before attempt `attempts + 1` after a transient fault. It doubles with each
/// attempt; its upper half is jitter. A longer delay that the provider names takes precedence.
pub fn transient(attempts: u32, named_ms: Option<u32>, random: u128) -> u32 {
    let (first, ceiling) = TRANSIENT_MS;
    let doubled = first
        .saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX))
        .min(ceiling);
    let wait = doubled / 2 + below(random, doubled / 2 + 1);
    wait.max(named_ms.unwrap_or(0))
}

fn below(random: u128, bound: u32) -> u32 {
    u32::try_from(random % u128::from(bound.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{capacity, transient};
    use proptest::prelude::*;

    #[test]
    fn transient_waits_double_up_to_the_ceiling() {
        let longest: Vec<_> = [1, 2, 3, 4, 5, 6, 40]
            .map(|attempts| {
                (0..2_u128).map(|half| transient(attempts, None, half * u128::from(u32::MAX))).max()
            })
            .to_vec();
        assert!(longest.is_sorted());
        assert_eq!(transient(1, None, 0), 1_000);
        assert_eq!(transient(40, None, 0), 30_000);
    }

    #[test]
    fn a_named_delay_is_obeyed() {
        assert_eq!(transient(1, Some(45_000), 7), 45_000);
        assert_eq!(capacity(Some(40_000), 0), 40_000);
        assert_eq!(capacity(Some(0), 0), 1_000);
        assert_eq!(capacity(None, 7), 0);
    }

    proptest! {
        #[test]
        fn waits_stay_in_their_bounds(random: u128, attempts in 0..50_u32) {
            prop_assert!((5_000..=6_250).contains(&capacity(Some(5_000), random)));
            prop_assert!((1_000..=60_000).contains(&transient(attempts, None, random)));
        }
    }
}
