//! Keeps a flood of bad input from becoming a flood of log lines.

use std::time::{Duration, Instant};

/// Lets through so many log lines per interval, and counts the others. Sans-IO: takes the time as an argument.
///
/// ```
/// # use offhook_process::LogLimiter; use std::time::{Duration, Instant};
/// # let now = Instant::now();
/// let mut limiter = LogLimiter::new(5, Duration::from_secs(10));
/// if let Some(suppressed) = limiter.allow(now) {
///     tracing::warn!(suppressed, "malformed SIP message");
/// }
/// ```
#[derive(Debug)]
pub struct LogLimiter {
    per_interval: u32,
    interval: Duration,
    started: Option<Instant>,
    passed: u32,
    suppressed: u64,
}

impl LogLimiter {
    /// Lets through `per_interval` lines in each `interval`.
    pub fn new(per_interval: u32, interval: Duration) -> Self {
        Self {
            per_interval,
            interval,
            started: None,
            passed: 0,
            suppressed: 0,
        }
    }

    /// `Some(n)` if a line may be written now; `n` lines were held back since the last one that was.
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        if self
            .started
            .is_none_or(|started| now.saturating_duration_since(started) >= self.interval)
        {
            self.started = Some(now);
            self.passed = 0;
        }
        if self.passed < self.per_interval {
            self.passed += 1;
            Some(std::mem::take(&mut self.suppressed))
        } else {
            self.suppressed += 1;
            None
        }
    }
}

impl Default for LogLimiter {
    /// Five lines every ten seconds: enough to see what comes, too little to fill a disk.
    fn default() -> Self {
        Self::new(5, Duration::from_secs(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_few_lines_and_a_count() {
        let start = Instant::now();
        let mut limiter = LogLimiter::new(2, Duration::from_secs(10));
        let passed = (0..1000).filter(|_| limiter.allow(start).is_some()).count();
        assert_eq!(passed, 2);
        assert_eq!(limiter.allow(start + Duration::from_secs(9)), None);
        assert_eq!(limiter.allow(start + Duration::from_secs(10)), Some(999));
        assert_eq!(limiter.allow(start + Duration::from_secs(10)), Some(0));
        assert_eq!(limiter.allow(start + Duration::from_secs(10)), None);
    }
}
