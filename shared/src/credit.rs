//! Prices and their exact split over the steps of a job.
//!
//! The pure twin of what the enqueue function fixes in the database: the model and receipt tests
//! compare the two. It never reads a balance and never decides whether a refund is due.

/// Splits `price` over `steps` by the largest remainder: shares differ by at most one credit, the
/// larger ones come first, and they add up to the price exactly.
///
/// No steps means nothing to split; a price below zero is not a price and counts as zero.
pub fn split(price: i32, steps: u16) -> Vec<i32> {
    if steps == 0 {
        return Vec::new();
    }
    let price = price.max(0);
    let count = i32::from(steps);
    let (base, rest) = (price / count, price % count);
    (0..count).map(|step| base + i32::from(step < rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::split;
    use proptest::prelude::*;

    #[test]
    fn uneven_price_gives_the_rest_to_the_first_steps() {
        assert_eq!(split(100, 3), [34, 33, 33]);
        assert_eq!(split(2, 3), [1, 1, 0]);
        assert_eq!(split(0, 2), [0, 0]);
        assert_eq!(split(60, 1), [60]);
        assert!(split(60, 0).is_empty());
    }

    proptest! {
        #[test]
        fn shares_add_up_and_differ_by_at_most_one(price in 0..2_000_000_i32, steps in 1..500_u16) {
            let shares = split(price, steps);
            prop_assert_eq!(shares.len(), usize::from(steps));
            prop_assert_eq!(shares.iter().sum::<i32>(), price);
            let (low, high) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(high - low <= 1);
            prop_assert!(shares.is_sorted_by(|a, b| a >= b));
        }
    }
}
