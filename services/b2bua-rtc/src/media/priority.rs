//! Priority of media threads: audio that waits its turn on a busy machine is audio lost.
#![expect(unsafe_code, reason = "setpriority has no safe wrapper in std")]

use std::io;

/// Gives the calling thread, and no other, this nice value: -20 goes first, 19 last. Below the present one takes
/// `CAP_SYS_NICE` or a limit (`RLIMIT_NICE`) that allows it.
pub(super) fn set_nice(nice: i8) -> io::Result<()> {
    // SAFETY: no pointers. On Linux `PRIO_PROCESS` with 0 is the calling thread alone.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice.into()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field 19 of `stat`; the second one, the name, is in brackets and may hold spaces.
    fn nice_of_this_thread() -> i8 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn it_is_the_priority_of_this_thread_alone() {
        let before = nice_of_this_thread();
        // Lower priority may always be asked for.
        let wanted = before.saturating_add(1).min(19);
        let inside = std::thread::spawn(move || {
            set_nice(wanted).unwrap();
            nice_of_this_thread()
        });
        assert_eq!(inside.join().unwrap(), wanted);
        assert_eq!(nice_of_this_thread(), before);
    }
}
