//! CPU time: what a thread really used, whoever else wanted the core.

use rustix::time::{ClockId, clock_gettime};

/// CPU nanoseconds that this thread used so far.
pub fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU nanoseconds that all threads of this process used so far, librdkafka's too.
pub fn process_cpu() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
