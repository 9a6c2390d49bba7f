//! Leaving in two phases: first drain, then stop.
//!
//! ```text
//! Running ──drain(until)──► Draining ──stop──► Stopped
//!    └───────────────stop──────────────────────►
//! ```
//!
//! *Draining* means: take no new calls; those that run may go on until `until`, then end them properly (BYE) and
//! return from `run`. A role returns as soon as its last call is gone. *Stopped* means: return now, whatever is open.

use std::time::Instant;
use tokio::sync::watch;

/// How far the process is with leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Serving.
    Running,
    /// No new calls; those that are there end by themselves or are ended at `until`.
    Draining {
        /// From here on calls are ended by us. In the past: end them at once.
        until: Instant,
    },
    /// Return now.
    Stopped,
}

/// The side that decides. Dropping it stops.
#[derive(Debug)]
pub struct ShutdownTrigger {
    sender: watch::Sender<Phase>,
}

/// The side that obeys; one clone per task.
#[derive(Debug, Clone)]
pub struct Shutdown {
    receiver: watch::Receiver<Phase>,
}

impl Shutdown {
    /// A pair in [`Phase::Running`].
    pub fn new() -> (ShutdownTrigger, Shutdown) {
        let (sender, receiver) = watch::channel(Phase::Running);
        (ShutdownTrigger { sender }, Shutdown { receiver })
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        if self.receiver.has_changed().is_err() {
            Phase::Stopped
        } else {
            *self.receiver.borrow()
        }
    }

    /// Waits until draining has begun and gives the instant from which calls must be ended; the present instant if
    /// stopped. Comes back at once when called again. Safe to drop half way (in `select!`).
    pub async fn draining(&mut self) -> Instant {
        match self
            .receiver
            .wait_for(|phase| *phase != Phase::Running)
            .await
            .as_deref()
        {
            Ok(Phase::Draining { until }) => *until,
            _ => Instant::now(),
        }
    }

    /// Waits until the process is to stop at once. Safe to drop half way (in `select!`).
    pub async fn stopped(&mut self) {
        // An error means that the trigger is gone, which stops too.
        let _ = self.receiver.wait_for(|phase| *phase == Phase::Stopped).await;
    }
}

impl ShutdownTrigger {
    /// Begins draining; calls may go on until `until`. Does nothing after [`Self::stop`].
    pub fn drain(&self, until: Instant) {
        self.sender.send_if_modified(|phase| {
            let goes_on = *phase != Phase::Stopped;
            if goes_on {
                *phase = Phase::Draining { until };
            }
            goes_on
        });
    }

    /// Stops at once.
    pub fn stop(&self) {
        self.sender.send_replace(Phase::Stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn drains_then_stops_and_never_goes_back() {
        let (trigger, mut shutdown) = Shutdown::new();
        assert_eq!(shutdown.phase(), Phase::Running);
        let until = Instant::now() + Duration::from_secs(5);
        trigger.drain(until);
        assert_eq!(shutdown.draining().await, until);
        assert_eq!(shutdown.draining().await, until);
        trigger.stop();
        shutdown.stopped().await;
        trigger.drain(until);
        assert_eq!(shutdown.phase(), Phase::Stopped);
    }

    #[tokio::test]
    async fn a_lost_trigger_stops() {
        let (trigger, mut shutdown) = Shutdown::new();
        let mut other = shutdown.clone();
        drop(trigger);
        shutdown.stopped().await;
        other.draining().await;
        assert_eq!(other.phase(), Phase::Stopped);
    }
}
