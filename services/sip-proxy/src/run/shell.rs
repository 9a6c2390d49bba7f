//! The role's own thread: takes a batch of datagrams, has the core work on all of them, sends what came of it in one go.

use super::Error;
use super::pace::{Pace, Rest};
use super::resolve::Found;
use crate::dial_plan::CarrierId;
use crate::metrics::Metrics;
use crate::proxy::{Output, Proxy, Settings, Traced, event_of};
use bytes::Bytes;
use offhook_process::{Context, LogLimiter, RawMessage};
use offhook_sip::locate::Place;
use offhook_transport::udp::batch::BatchSocket;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::cell::RefCell;
use std::time::{Duration, Instant};
use std::{io, thread};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

/// Longest sleep without a deadline; the thread then only looks whether it is leaving.
const IDLE: Duration = Duration::from_secs(3600);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Take no new calls, and leave when the last one has ended, or at this time.
    Drain { until: Instant },
    /// Leave now.
    Stop,
    /// A carrier's name was looked up.
    CarrierFound(Found),
}

/// The core with all that carries out what it says.
pub(super) struct Shell {
    proxy: Proxy,
    socket: BatchSocket,
    orders: mpsc::Receiver<Order>,
    pace: Pace,
    draining_until: Option<Instant>,
    context: Context,
    metrics: Metrics,
    carrier_names: Vec<String>,
    /// What is known of each carrier's servers.
    carrier_places: Vec<Vec<Place>>,
    refusals: LogLimiter,
    failures: LogLimiter,
    send_errors: LogLimiter,
}

impl Shell {
    pub(super) fn new(
        settings: Settings,
        pace: Pace,
        context: &Context,
        socket: BatchSocket,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        let mut metrics = None;
        context.register(|registry| metrics = Some(Metrics::new(registry)));
        let carriers = settings.carriers.iter();
        Self {
            carrier_names: carriers.clone().map(|carrier| carrier.name.clone()).collect(),
            carrier_places: carriers.map(|carrier| carrier.places.clone()).collect(),
            proxy: Proxy::new(settings, StdRng::from_rng(&mut rand::rng())),
            socket,
            orders,
            pace,
            draining_until: None,
            context: context.clone(),
            metrics: metrics.unwrap_or_default(),
            refusals: LogLimiter::default(),
            failures: LogLimiter::default(),
            send_errors: LogLimiter::default(),
        }
    }

    /// Runs until it has to leave.
    pub(super) fn serve(mut self) -> Result<(), Error> {
        loop {
            let now = Instant::now();
            // Each time and not only when nothing came, so that a flood of datagrams cannot hold up timers.
            self.proxy.handle_timeout(now);
            let stops = self.obey();
            self.settle(now);
            let leaves = |until| now >= until || self.proxy.is_quiet();
            if stops || self.draining_until.is_some_and(leaves) {
                return Ok(());
            }
            self.rest(now)?;
            let now = Instant::now();
            let taken = self.receive(now)?;
            self.pace.received(now, taken);
        }
    }

    /// Until there is work. Under load a moment longer, so that what comes meanwhile costs one wake-up together.
    fn rest(&mut self, now: Instant) -> Result<(), Error> {
        let deadlines = [self.proxy.poll_timeout(), self.draining_until];
        let wake_at = deadlines.into_iter().flatten().min().unwrap_or(now + IDLE);
        let rested = match self.pace.rest(now, wake_at) {
            Rest::None => Ok(()),
            Rest::Nap(nap) => {
                thread::sleep(nap);
                Ok(())
            }
            Rest::Wait(left) => self.socket.wait(left),
        };
        rested.map_err(|source| self.failed(source))
    }

    /// One batch, if anything is there. Gives how many there were.
    fn receive(&mut self, now: Instant) -> Result<usize, Error> {
        let Self { proxy, socket, .. } = self;
        let proxy = RefCell::new(proxy);
        let received = socket.receive(
            |bytes, from| {
                let bytes = Bytes::copy_from_slice(bytes);
                proxy.borrow_mut().handle_datagram(now, from, bytes);
            },
            |peer| proxy.borrow_mut().handle_transport_error(now, peer),
        );
        received.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Receive {
            address: self.socket.local_address(),
            source,
        }
    }

    /// Does what the runtime's side wants. `true`: leave now.
    fn obey(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Drain { until }) => {
                    self.proxy.drain();
                    self.draining_until = Some(until);
                    tracing::info!(
                        calls = self.proxy.counts().dialogs,
                        "SIP proxy takes no new calls"
                    );
                }
                Ok(Order::CarrierFound(found)) => self.carrier_found(found),
                Err(TryRecvError::Empty) => return false,
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Carries out all outputs. What happened is counted before anybody can hear of it.
    fn settle(&mut self, now: Instant) {
        loop {
            let Some(output) = self.proxy.poll_output() else {
                self.metrics.update(self.proxy.counts());
                if self.flush(now) {
                    return;
                }
                continue; // The core was told of failures.
            };
            match output {
                Output::Transmit { to, bytes } => {
                    while !self.socket.push(to, &bytes) {
                        self.flush(now);
                    }
                }
                Output::Trace(traced) => self.trace(traced),
                Output::Refused { source, reason } => {
                    self.metrics.refused(reason);
                    if let Some(suppressed) = self.refusals.allow(now) {
                        tracing::warn!(%source, reason = reason.as_str(), suppressed, "a SIP message was refused");
                    }
                }
                Output::CarrierFailed {
                    carrier,
                    failure,
                    next,
                    call,
                } => {
                    let suppressed = self.failures.allow(now);
                    let name = self.name(carrier);
                    self.metrics.carrier_failed(name, failure);
                    if let Some(suppressed) = suppressed {
                        let next = next.map(|next| self.name(next));
                        let call_id = call.as_ref().map(|call| call.as_str());
                        tracing::warn!(call_id, carrier = name, %failure, next, suppressed, "a carrier did not take a call");
                    }
                }
            }
        }
    }

    /// Most traces are never read: the message is taken apart when one is.
    fn trace(&self, traced: Traced) {
        let message = RawMessage {
            from: traced.from,
            to: traced.to,
            bytes: traced.message,
            read: |message| event_of(message.from, message.to, &message.bytes),
        };
        self.context.traces.record_raw(&traced.call, message);
    }

    fn name(&self, carrier: CarrierId) -> &str {
        self.carrier_names.get(carrier.0).map_or("", String::as_str)
    }

    /// Sends what was pushed. `false`: the core was told of some that could not be sent, and may have more to say.
    fn flush(&mut self, now: Instant) -> bool {
        let Self {
            proxy,
            socket,
            metrics,
            send_errors,
            ..
        } = self;
        let mut all = true;
        socket.flush(|to, error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                // Lost like any other datagram: SIP sends it again.
                return metrics.lost();
            }
            if let Some(suppressed) = send_errors.allow(now) {
                tracing::warn!(%to, %error, suppressed, "a SIP message could not be sent");
            }
            proxy.handle_transport_error(now, to);
            all = false;
        });
        all
    }

    fn carrier_found(&mut self, Found { carrier, mut places }: Found) {
        // Name servers give them in any order.
        places
            .iter_mut()
            .for_each(|place| place.addresses.sort_unstable());
        places.sort_unstable_by(|a, b| (a.priority, &a.addresses).cmp(&(b.priority, &b.addresses)));
        let Some(known) = self.carrier_places.get_mut(carrier.0) else {
            return;
        };
        // A name server that fails for once does not make a carrier vanish.
        if places.is_empty() || *known == places {
            if known.is_empty() {
                tracing::warn!(
                    carrier = self.name(carrier),
                    "the carrier's host name cannot be resolved; trying again in half a minute"
                );
            }
            return;
        }
        known.clone_from(&places);
        let addresses: Vec<_> = places.iter().flat_map(|place| &place.addresses).collect();
        tracing::info!(
            carrier = self.name(carrier),
            ?addresses,
            "the carrier's host name is resolved"
        );
        self.proxy.set_carrier_places(Instant::now(), carrier, places);
    }
}
