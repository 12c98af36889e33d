//! What a measurement ran on: numbers without it say nothing.

use std::fs;

use serde::Serialize;

/// The machine, as far as it matters.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// One core's second-level cache, as the kernel says it.
    pub l2: String,
    /// The cache that cores share.
    pub l3: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The load averages when it was asked: other work makes medians worse.
    pub load: String,
}

impl Machine {
    /// Looks at this machine; what cannot be read is empty.
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cache = |level: usize| {
            read(&format!("/sys/devices/system/cpu/cpu0/cache/index{level}/size")).trim().to_owned()
        };
        let load = read("/proc/loadavg");
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            l2: cache(2),
            l3: cache(3),
            memory_mib: kilobytes(&read("/proc/meminfo"), "MemTotal") / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cores, l2, l3, memory_mib, kernel, load } = self;
        write!(
            f,
            "{cpu}, {cores} cores, L2 {l2}, L3 {l3}, {memory_mib} MiB, Linux {kernel}, load {load}"
        )
    }
}

/// A number of kB out of a page like `/proc/meminfo`.
pub fn kilobytes(page: &str, name: &str) -> u64 {
    field(page, name).split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn field(page: &str, name: &str) -> String {
    page.lines()
        .find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
        .unwrap_or_default()
}
