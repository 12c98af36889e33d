//! What a process costs, as the kernel counts it.

use std::fs;

use crate::machine::kilobytes;

/// The kernel counts CPU time in hundredths of a second, wherever Linux runs.
const TICKS: f64 = 100.0;

/// CPU seconds of all its threads, own and system time; zero for a process that is gone.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold blanks; user and system time are the 12th and 13th field behind it.
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks =
        behind.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() as f64 / TICKS
}

/// The most memory that it ever held, in MiB.
pub fn peak_mib(pid: u32) -> f64 {
    mib(pid, "VmHWM")
}

/// The memory that it holds now, in MiB.
pub fn held_mib(pid: u32) -> f64 {
    mib(pid, "VmRSS")
}

fn mib(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kilobytes(&status, name) as f64 / 1024.0
}
