//! What is measured: percentiles, memory and CPU time of processes.

use super::LoadError;
use std::path::Path;
use std::time::Duration;

/// Clock ticks per second in `/proc/PID/stat`; fixed in the kernel's interface.
const TICKS_PER_SECOND: u64 = 100;

/// The value below which `share` (0 to 1) of the values lie.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at.min(last)).copied().unwrap_or_default()
}

/// p50, p90, p99 and the largest, in milliseconds.
pub(crate) fn summary(mut values: Vec<Duration>) -> String {
    values.sort();
    let ms = |share| percentile(&values, share).as_secs_f64() * 1e3;
    format!(
        "n={} p50_ms={:.2} p90_ms={:.2} p99_ms={:.2} max_ms={:.2}",
        values.len(),
        ms(0.5),
        ms(0.9),
        ms(0.99),
        ms(1.0)
    )
}

/// Memory of a process and its children, KiB: each shared page counts once over all.
pub(crate) fn memory_kib(pid: u32) -> Result<u64, LoadError> {
    let mut sum = 0;
    for pid in family(pid) {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&path).map_err(LoadError::io(path))?;
        let pss = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        sum += kib.unwrap_or(0);
    }
    Ok(sum)
}

/// User and system time that a process and its children have spent.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let ticks: u64 = family(pid).into_iter().filter_map(ticks).sum();
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

/// Load of the machine over the last minute, to name the noise.
pub(crate) fn machine_load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// Threads of a process.
pub(crate) fn threads(pid: u32) -> usize {
    std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")).map_or(0, Iterator::count)
}

fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces.
    let rest = stat.rsplit_once(") ")?.1;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(parent) = all.get(at).copied() {
        let tasks = std::fs::read_dir(format!("/proc/{parent}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    all
}
