//! What the machine, or the container we run in, grants this process.

use std::{fs, path::Path};

/// The share of the memory limit that the budget takes: what the allocator, thread stacks, the Kafka
/// client's bookkeeping and lookups' tables need besides is about as much again.
const MEMORY_DIVISOR: u64 = 2;

/// More than this buys nothing: it holds the largest block of eight tables twice, and Kafka is the buffer.
const MEMORY_DEFAULT_MAX: u64 = 192 << 20;

/// Less than this cannot hold one fetch, one batch and one block of a sink.
pub(super) const MEMORY_MIN: u64 = 32 << 20;

/// The byte budget where `[engine] memory` is unset.
pub(super) fn memory_default() -> u64 {
    let limit = memory_limit().unwrap_or(2 * MEMORY_DEFAULT_MAX);
    (limit / MEMORY_DIVISOR).clamp(MEMORY_MIN, MEMORY_DEFAULT_MAX)
}

/// The number of computing threads where `[engine] threads` is unset.
pub(super) fn threads_default() -> usize {
    // The standard library already looks at the cgroup's quota and at the affinity mask.
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The smallest limit of all that apply: cgroup v2 of this process and above, cgroup v1, the machine.
fn memory_limit() -> Option<u64> {
    let mut limits = Vec::new();
    let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let root = Path::new("/sys/fs/cgroup");
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let inside = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    for folder in Path::new(inside).ancestors() {
        limits.extend(number(&root.join(folder).join("memory.max")));
    }
    limits.extend(number(&root.join("memory/memory.limit_in_bytes")));
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = machine.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    limits.extend(total.map(|kib| kib << 10));
    limits.into_iter().min()
}
