//! Reads the CPU time of this process and of all its descendants, by program, from Linux's `/proc`.

use std::collections::BTreeMap;
use std::path::Path;

/// `/proc` counts in hundredths of a second, whatever the kernel's own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Program → CPU seconds.
pub type CpuSeconds = BTreeMap<String, f64>;

/// One process in `/proc`.
struct ProcessTime {
    parent: u32,
    program: String,
    /// The CPU time of the process, and of its children that have ended.
    seconds: f64,
}

/// The CPU time until now; empty if there is no `/proc`.
pub fn by_program() -> CpuSeconds {
    let all = processes();
    let own = std::process::id();
    let mut found = CpuSeconds::new();
    for (id, process) in &all {
        if is_below(&all, *id, own) {
            *found.entry(process.program.clone()).or_default() += process.seconds;
        }
    }
    found
}

/// The CPU time that each program used between two readings.
pub fn used(before: &CpuSeconds, after: &CpuSeconds) -> CpuSeconds {
    let old = |program: &String| before.get(program).copied().unwrap_or_default();
    after.iter().map(|(program, seconds)| (program.clone(), seconds - old(program))).collect()
}

fn processes() -> BTreeMap<u32, ProcessTime> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|id| Some((id, process(id)?))).collect()
}

/// None if the process has ended in the meantime.
fn process(id: u32) -> Option<ProcessTime> {
    let folder = Path::new("/proc").join(id.to_string());
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let program = std::fs::read_link(folder.join("exe")).ok()?;
    // The name in parentheses may itself contain spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let times = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<f64>().ok());
    Some(ProcessTime {
        parent: fields.get(1)?.parse().ok()?,
        program: program.file_name()?.to_string_lossy().into_owned(),
        seconds: times.sum::<f64>() / TICKS_PER_SECOND,
    })
}

fn is_below(all: &BTreeMap<u32, ProcessTime>, mut id: u32, ancestor: u32) -> bool {
    while id != ancestor {
        match all.get(&id) {
            Some(process) if process.parent != 0 => id = process.parent,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_found_by_the_name_of_its_program() {
        let program = std::env::current_exe().unwrap();
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        let before = by_program();
        assert!(before.contains_key(&name), "{before:?}");
        assert!(used(&before, &by_program()).values().all(|seconds| *seconds >= 0.0));
    }
}
