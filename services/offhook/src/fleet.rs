//! The roles that run in this process: started in order, left in the opposite order.
//!
//! Order of leaving: the VSP first (it ends its calls with BYE, for which the others must still be there), then the
//! gateway, then the SIP proxy, then the demo carrier, and geo-DNS last. Each has drained before the next one is told.

use offhook_process::{Shutdown, ShutdownTrigger};
use std::time::{Duration, Instant};
use tokio::{task::JoinHandle, time};

/// Why a role ended. Shown, never told apart.
pub(crate) type RoleError = Box<dyn std::error::Error + Send + Sync>;

/// How long a role may take to end its calls once they have to end: a BYE and its answer, with a retransmission.
pub(crate) const LEAVE_GRACE: Duration = Duration::from_secs(3);

/// A role ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnexpectedEnd {
    /// With an error.
    #[error("{role}: {source}")]
    Failed {
        /// Which.
        role: &'static str,
        /// Why.
        source: RoleError,
    },
    /// Without one.
    #[error("{role} has ended without being asked to")]
    Returned {
        /// Which.
        role: &'static str,
    },
}

/// All roles of the process.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    /// In order of start.
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    role: &'static str,
    task: JoinHandle<Result<(), RoleError>>,
    trigger: ShutdownTrigger,
}

impl Fleet {
    /// Starts a role. What is started later is left earlier.
    pub(crate) fn start<F, R>(&mut self, role: &'static str, run: F)
    where
        F: FnOnce(Shutdown) -> R,
        R: Future<Output = Result<(), RoleError>> + Send + 'static,
    {
        let (trigger, shutdown) = Shutdown::new();
        self.running.push(Running {
            role,
            task: tokio::spawn(run(shutdown)),
            trigger,
        });
    }

    /// Names of the roles, in order of start.
    pub(crate) fn roles(&self) -> Vec<&'static str> {
        self.running.iter().map(|running| running.role).collect()
    }

    /// Waits until one of the roles ends. Safe to drop half way (in `select!`).
    pub(crate) async fn first_end(&mut self) -> UnexpectedEnd {
        std::future::poll_fn(|context| {
            for at in 0..self.running.len() {
                let running = &mut self.running[at];
                if let std::task::Poll::Ready(result) = std::pin::pin!(&mut running.task).poll(context) {
                    let role = running.role;
                    self.running.remove(at);
                    return std::task::Poll::Ready(match result.map_err(Into::into).flatten() {
                        Ok(()) => UnexpectedEnd::Returned { role },
                        Err(source) => UnexpectedEnd::Failed { role, source },
                    });
                }
            }
            std::task::Poll::Pending
        })
        .await
    }

    /// Leaves: calls may go on until `until`, then they are ended; when `at_once` comes, everything stops.
    pub(crate) async fn leave(self, until: Instant, at_once: impl Future<Output = ()>) {
        let mut at_once = std::pin::pin!(at_once);
        let mut hurry = false;
        for mut running in self.running.into_iter().rev() {
            if !hurry {
                running.trigger.drain(until);
                let limit = until.max(Instant::now()) + LEAVE_GRACE;
                tokio::select! {
                    result = &mut running.task => {
                        report(running.role, result);
                        continue;
                    }
                    () = time::sleep_until(limit.into()) => {
                        tracing::warn!(role = running.role, "did not end its calls in time and is stopped");
                    }
                    () = &mut at_once => hurry = true,
                }
            }
            running.trigger.stop();
            match time::timeout(LEAVE_GRACE, &mut running.task).await {
                Ok(result) => report(running.role, result),
                Err(_elapsed) => {
                    tracing::error!(role = running.role, "does not stop; its task is cut off");
                    running.task.abort();
                }
            }
        }
    }
}

fn report(role: &'static str, result: Result<Result<(), RoleError>, tokio::task::JoinError>) {
    match result.map_err(Into::into).flatten() {
        Ok(()) => tracing::debug!(role, "ended"),
        Err(error) => tracing::error!(role, %error, "ended with an error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A role that says when it drains and when it is gone.
    fn start(fleet: &mut Fleet, role: &'static str, log: &mpsc::Sender<String>) {
        let log = log.clone();
        fleet.start(role, |mut shutdown| async move {
            shutdown.draining().await;
            log.send(format!("{role} drains"))?;
            Ok(())
        });
    }

    #[tokio::test]
    async fn the_last_one_started_leaves_first_and_alone() {
        let (log, events) = mpsc::channel();
        let mut fleet = Fleet::default();
        for role in ["sip-proxy", "b2bua-rtc", "vsp"] {
            start(&mut fleet, role, &log);
        }
        assert_eq!(fleet.roles(), ["sip-proxy", "b2bua-rtc", "vsp"]);
        fleet.leave(Instant::now(), std::future::pending()).await;
        assert_eq!(
            events.try_iter().collect::<Vec<_>>(),
            ["vsp drains", "b2bua-rtc drains", "sip-proxy drains"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_drain_is_stopped() {
        let (log, events) = mpsc::channel();
        let mut fleet = Fleet::default();
        fleet.start("vsp", |mut shutdown| async move {
            shutdown.stopped().await;
            log.send("stopped")?;
            Ok(())
        });
        fleet.leave(Instant::now(), std::future::pending()).await;
        assert_eq!(events.recv(), Ok("stopped"));
    }

    #[tokio::test]
    async fn a_second_signal_stops_all_at_once() {
        let (log, events) = mpsc::channel();
        let mut fleet = Fleet::default();
        for role in ["sip-proxy", "vsp"] {
            let log = log.clone();
            fleet.start(role, move |mut shutdown| async move {
                shutdown.stopped().await;
                log.send(role)?;
                Ok(())
            });
        }
        fleet
            .leave(Instant::now() + Duration::from_secs(3600), async {})
            .await;
        assert_eq!(events.try_iter().collect::<Vec<_>>(), ["vsp", "sip-proxy"]);
    }

    #[tokio::test]
    async fn a_role_that_fails_is_named() {
        let mut fleet = Fleet::default();
        fleet.start("vsp", |mut shutdown| async move {
            shutdown.stopped().await;
            Ok(())
        });
        fleet.start("sip-proxy", |_| async { Err("port 5060 is taken".into()) });
        assert_eq!(
            fleet.first_end().await.to_string(),
            "sip-proxy: port 5060 is taken"
        );
        fleet.start("b2bua-rtc", |_| async { Ok(()) });
        assert!(matches!(
            fleet.first_end().await,
            UnexpectedEnd::Returned { role: "b2bua-rtc" }
        ));
        assert_eq!(fleet.roles(), ["vsp"]);
    }
}
