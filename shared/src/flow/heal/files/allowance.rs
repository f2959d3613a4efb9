//! The calls and the time that a pass may still use.

/// The subrequests of an invocation, if no setting names their number.
const SUBREQUESTS: u32 = 900;
/// The maximum for a pass. It needs fewer, unless storage refuses many files.
const CALLS_MAX: u32 = 200;

/// The calls and the time that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    calls: u32,
    until_ms: u64,
}

impl Allowance {
    /// Half of an invocation's subrequests, because the websites use the other half.
    pub(super) fn of(budget: Option<u32>, until_ms: u64) -> Self {
        Self { calls: (budget.unwrap_or(SUBREQUESTS) / 2).min(CALLS_MAX), until_ms }
    }

    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    pub(super) fn spend(&mut self, calls: u32) {
        self.calls = self.calls.saturating_sub(calls);
    }

    /// Takes one call. Returns false if no call or no time is left.
    pub(super) fn take(&mut self, now_ms: u64) -> bool {
        let is_there = self.calls > 0 && now_ms < self.until_ms;
        self.spend(u32::from(is_there));
        is_there
    }

    /// The time that a call may take, at most `most_ms`.
    pub(super) fn timeout_ms(&self, now_ms: u64, most_ms: u32) -> u32 {
        u32::try_from(self.until_ms.saturating_sub(now_ms)).unwrap_or(most_ms).min(most_ms)
    }

    /// One of `parts` equal parts of the allowance.
    pub(super) fn share(&self, parts: usize, now_ms: u64) -> Self {
        let parts = u32::try_from(parts).unwrap_or(u32::MAX).max(1);
        let ms = self.until_ms.saturating_sub(now_ms) / u64::from(parts);
        Self { calls: self.calls / parts, until_ms: now_ms + ms }
    }
}

#[cfg(test)]
mod tests {
    use super::Allowance;

    #[test]
    fn half_of_the_calls_are_shared_equally_and_taken_one_by_one() {
        let mut all = Allowance::of(Some(50), 1_000);
        assert_eq!((all.calls(), Allowance::of(None, 0).calls()), (25, 200));
        let mut share = all.share(3, 400);
        assert_eq!(share, Allowance { calls: 8, until_ms: 600 });
        assert_eq!(share.timeout_ms(450, 10_000), 150);
        assert_eq!(share.timeout_ms(450, 100), 100);
        assert!(share.take(599) && !share.take(600), "its time is over");
        assert_eq!(share.calls(), 7);
        all.spend(24);
        assert!(all.take(0) && !all.take(0), "its calls are used up");
    }
}
