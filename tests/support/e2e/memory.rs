//! The memory of the functions' process, as Linux counts it.

use std::path::PathBuf;

use super::World;

/// Resident memory of workerd, in MB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub before: u64,
    /// The highest value while the work ran.
    pub peak: u64,
}

impl World {
    pub async fn memory_during<R>(&self, work: impl Future<Output = R>) -> (R, Memory) {
        let process = self.workerd();
        std::fs::write(process.join("clear_refs"), "5").expect("the peak can be forgotten");
        let before = megabytes(&process, "VmRSS:");
        let result = work.await;
        (result, Memory { before, peak: megabytes(&process, "VmHWM:") })
    }

    fn workerd(&self) -> PathBuf {
        let file = self.stack().options().state_dir.join("workerd.pid");
        let pid = std::fs::read_to_string(file).expect("workerd's process id");
        PathBuf::from("/proc").join(pid.trim())
    }
}

fn megabytes(process: &std::path::Path, name: &str) -> u64 {
    let status = std::fs::read_to_string(process.join("status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.expect("a number of kB") / 1024
}
