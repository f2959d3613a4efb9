//! The times that a bench has measured, and tables of their medians and 95th percentiles.

use std::time::{Duration, Instant};

/// Times in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Timings(Vec<f64>);

impl Timings {
    /// Awaits `work` and records how long it took.
    pub(super) async fn take<T>(&mut self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let result = work.await;
        self.add(began.elapsed());
        result
    }

    pub(super) fn add(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1000.0);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn median(&self) -> f64 {
        self.percentile(50)
    }

    pub(super) fn p95(&self) -> f64 {
        self.percentile(95)
    }

    /// The time that `percent` of the times do not exceed; 0 if there are none.
    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or_default()
    }
}

/// The median and the 95th percentile as a cell of a table.
pub(super) fn cell(times: &Timings) -> String {
    format!("{:.1} ({:.1})", times.median(), times.p95())
}

/// Prints a line of a table: its name, then its cells in columns.
pub(super) fn line(name: &str, cells: &[String]) {
    let cells: String = cells.iter().map(|cell| format!(" {cell:>16}")).collect();
    println!("{name:<42}{cells}");
}

/// Prints the head of a table.
pub(super) fn head(name: &str, cells: &[&str]) {
    line(name, &cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_taken() {
        let mut times = Timings::default();
        assert!(times.median() == 0.0, "no time was taken");
        for ms in (1..=20).rev() {
            times.add(Duration::from_millis(ms));
        }
        assert!(times.median() == 11.0 && times.p95() == 20.0, "{times:?}");
    }
}
