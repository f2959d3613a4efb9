//! Limits how much work of one kind runs at once.
//!
//! A waiting request polls: the platform binds a wake-up to its request, so one request must not be
//! woken by another.

use crate::core::transport::Transport;
use std::cell::RefCell;
use std::rc::Rc;

const POLL_MS: u32 = 100;

/// Permits for work of one kind.
#[derive(Debug)]
pub struct Permits {
    most: usize,
    longest_ms: u64,
    /// The times at which the permits were taken.
    taken: RefCell<Vec<u64>>,
}

/// The right to do the work. Dropping it releases the permit.
#[derive(Debug)]
pub struct Permit {
    permits: Rc<Permits>,
    taken_ms: u64,
}

impl Permits {
    /// Allows at most `most` permits at once. A permit older than `longest_ms` no longer counts,
    /// because the platform may end a request without dropping what it holds.
    pub fn new(most: usize, longest_ms: u64) -> Rc<Self> {
        Rc::new(Self { most, longest_ms, taken: RefCell::default() })
    }

    /// Waits until a permit is free, and takes it.
    pub async fn take<T: Transport>(self: &Rc<Self>, transport: &T) -> Permit {
        loop {
            let now_ms = transport.now_ms();
            if self.try_take_at(now_ms) {
                return Permit { permits: Rc::clone(self), taken_ms: now_ms };
            }
            transport.sleep(POLL_MS).await;
        }
    }

    /// Takes a permit if one is free.
    fn try_take_at(&self, now_ms: u64) -> bool {
        let mut taken = self.taken.borrow_mut();
        taken.retain(|since| now_ms.saturating_sub(*since) < self.longest_ms);
        let is_free = taken.len() < self.most;
        if is_free {
            taken.push(now_ms);
        }
        is_free
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.permits.taken.borrow_mut();
        if let Some(at) = taken.iter().position(|since| *since == self.taken_ms) {
            taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Permits;
    use crate::core::transport::Transport;
    use crate::testing::virtual_time::VirtualTime;
    use futures_util::future::join_all;
    use std::cell::Cell;

    #[test]
    fn no_more_than_the_permits_are_held_and_everyone_gets_one() {
        let (time, permits) = (VirtualTime::new(0), Permits::new(3, u64::MAX));
        let (held, most, done) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let work = (0..10).map(async |_| {
            let _permit = permits.take(&time).await;
            held.set(held.get() + 1);
            most.set(most.get().max(held.get()));
            time.sleep(5_000).await;
            held.set(held.get() - 1);
            done.set(done.get() + 1);
        });
        time.drive(join_all(work)).expect("they end");
        assert_eq!((most.get(), done.get()), (3, 10));
    }

    #[test]
    fn a_permit_that_was_never_given_back_counts_until_its_time_is_over() {
        let (time, permits) = (VirtualTime::new(0), Permits::new(1, 60_000));
        std::mem::forget(time.drive(permits.take(&time)));
        let began = time.now_ms();
        drop(time.drive(permits.take(&time)).expect("a permit"));
        assert_eq!(time.now_ms() - began, 60_000);
    }
}
