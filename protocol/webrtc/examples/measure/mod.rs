//! What the examples measure with.

/// CPU time of this thread in nanoseconds, from the kernel's scheduler.
pub(crate) fn cpu_ns() -> u64 {
    let stat =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells the CPU time of a thread");
    stat.split_whitespace()
        .next()
        .and_then(|field| field.parse().ok())
        .expect("its first field is nanoseconds")
}
