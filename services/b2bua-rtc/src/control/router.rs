//! Between the control links and the media workers: which worker has a session, and which link it belongs to.
//!
//! ```text
//!   links ──command──► Router ──► worker that has the session
//!   links ◄───event─── Router ◄── workers
//! ```
//!
//! A lost link's sessions stay for the grace time; a link that returns under its name finds them, and gets the events
//! that it missed.

use super::links::{CommandRequest, Input, Link, Links, LocalLink, ReplySender, gone, refused};
use super::trace::{command_event, command_name, log_event, log_summary, notification_event, reply_event};
use crate::media::{ToWorker, WorkerEvent, WorkerHandle, refuse, session_of};
use crate::params::{LegKind, OpenRequest};
use futures_util::stream::{FuturesUnordered, StreamExt};
use offhook_call_trace::CallId;
use offhook_media_control::{
    Command, CommandError, CommandErrorKind, Event, GoneReason, LegName, MediaSessionId, Reply,
};
use offhook_process::{Context, Shutdown};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Commands that wait for their worker's reply; more are refused as busy.
const PENDING_MAX: usize = 4096;
/// Links at a time: one per signalling node.
const LINKS_MAX: usize = 64;
/// How often grace times and backlogs are looked at.
const TICK: Duration = Duration::from_millis(250);

/// What the router is made with.
pub(crate) struct RouterConfig {
    pub(crate) workers: Vec<WorkerHandle>,
    pub(crate) events: mpsc::Receiver<WorkerEvent>,
    pub(crate) grace: Duration,
    pub(crate) context: Context,
    pub(crate) shutdown: Shutdown,
    /// The link within this process.
    pub(crate) local: Option<LocalLink>,
}

/// The link within this process: read here, a task between would cost each command a wake-up.
struct LocalEnd {
    name: Arc<str>,
    incarnation: u64,
    commands: mpsc::Receiver<CommandRequest>,
}

/// Waits for what signalling in this process asks; `None` once it has left. Safe to drop half way.
async fn next_local(local: &mut Option<LocalEnd>) -> Option<CommandRequest> {
    match local {
        Some(local) => local.commands.recv().await,
        None => std::future::pending().await,
    }
}

struct Entry {
    worker: usize,
    link: Arc<str>,
    call_id: CallId,
}

struct Answered {
    call_id: Option<CallId>,
    name: &'static str,
    result: Result<Reply, CommandError>,
    reply: ReplySender,
}

/// Routes commands and events; one task.
pub(crate) struct Router {
    config: RouterConfig,
    inputs: mpsc::Receiver<Input>,
    local: Option<LocalEnd>,
    links: HashMap<Arc<str>, Link>,
    sessions: HashMap<MediaSessionId, Entry>,
    per_worker: Vec<usize>,
    pending: FuturesUnordered<Pin<Box<dyn Future<Output = Answered> + Send>>>,
    incarnations: u64,
    draining: bool,
}

impl Router {
    pub(crate) fn new(mut config: RouterConfig) -> (Self, Links) {
        let (links, inputs) = Links::new();
        let local = config.local.take();
        let mut router = Self {
            per_worker: vec![0; config.workers.len()],
            config,
            inputs,
            local: None,
            links: HashMap::new(),
            sessions: HashMap::new(),
            pending: FuturesUnordered::new(),
            incarnations: 0,
            draining: false,
        };
        router.local = local.and_then(|link| router.enter_local(link));
        (router, links)
    }

    /// Runs until the process drains and the last session is gone, or it has to stop. Workers are stopped and joined.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut until = None;
        let mut draining = self.config.shutdown.clone();
        let mut stopped = self.config.shutdown.clone();
        loop {
            tokio::select! {
                // What was asked after the drain began must not slip in before it; new work comes last.
                biased;
                () = stopped.stopped() => break,
                at = draining.draining(), if until.is_none() => {
                    until = Some(at);
                    self.drain();
                }
                _ = tick.tick() => self.handle_tick(Instant::now()),
                Some(answered) = self.pending.next() => self.handle_answered(answered),
                Some(event) = self.config.events.recv() => self.handle_event(event),
                Some(input) = self.inputs.recv() => self.handle_input(input),
                request = next_local(&mut self.local) => self.handle_local(request),
            }
            if let Some(until) = until
                && (self.sessions.is_empty() || Instant::now() >= until)
                && self.pending.is_empty()
            {
                break;
            }
        }
        self.stop().await;
    }

    /// Signalling in this process records into the same trace store as we do: it needs no trace events.
    fn enter_local(&mut self, link: LocalLink) -> Option<LocalEnd> {
        let name: Arc<str> = link.name.into();
        let incarnation = self.link_up(name.clone(), link.events, false)?;
        Some(LocalEnd {
            name,
            incarnation,
            commands: link.commands,
        })
    }

    fn handle_input(&mut self, input: Input) {
        match input {
            Input::LinkUp {
                name,
                events,
                wants_traces,
                entered,
            } => {
                if let Some(incarnation) = self.link_up(name.clone(), events, wants_traces)
                    && entered.send(incarnation).is_err()
                {
                    self.link_down(&name, incarnation);
                }
            }
            Input::LinkDown { name, incarnation } => self.link_down(&name, incarnation),
            Input::Command { link, command, reply } => self.command(&link, *command, reply),
            Input::Open { link, request, reply } => self.open(&link, *request, reply, false),
        }
    }

    /// Gives the link's incarnation, by which it leaves. `None`: there are too many.
    fn link_up(&mut self, name: Arc<str>, events: mpsc::Sender<Event>, wants_traces: bool) -> Option<u64> {
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(&name) {
            tracing::warn!(link = %name, "control link refused: {LINKS_MAX} links are up");
            return None;
        }
        self.incarnations += 1;
        let backlog = self
            .links
            .remove(&name)
            .map(|link| link.backlog)
            .unwrap_or_default();
        tracing::info!(link = %name, missed_events = backlog.len(), "control link up");
        self.links
            .insert(name, Link::new(self.incarnations, events, wants_traces, backlog));
        Some(self.incarnations)
    }

    fn link_down(&mut self, name: &str, incarnation: u64) {
        let link = self.links.get_mut(name);
        if let Some(link) = link.filter(|link| link.incarnation == incarnation) {
            let kept = self
                .sessions
                .values()
                .filter(|entry| *entry.link == *name)
                .count();
            match kept {
                // As when signalling leaves, its calls being over.
                0 => tracing::info!(link = %name, "control link down; it had no session"),
                sessions => {
                    tracing::warn!(link = %name, sessions, "control link lost; its sessions are kept for the grace time")
                }
            }
            link.events = None;
            link.lost_since = Some(Instant::now());
        }
    }

    fn handle_local(&mut self, request: Option<CommandRequest>) {
        let Some(local) = &self.local else {
            return;
        };
        let name = local.name.clone();
        match request {
            Some((command, reply)) => self.command(&name, command, reply),
            None => {
                let incarnation = local.incarnation;
                self.local = None;
                self.link_down(&name, incarnation);
            }
        }
    }

    fn command(&mut self, link: &Arc<str>, command: Command, reply: ReplySender) {
        let Some(session) = session_of(&command) else {
            let _ = reply.send(Ok(Reply::Done {}));
            return;
        };
        if let Command::Open {
            session,
            call_id,
            from,
            sdp,
            early_answer,
        } = command
        {
            let request = OpenRequest {
                session,
                call_id,
                from,
                sdp,
                early_answer,
                client: LegKind::WebRtc,
                carrier: LegKind::Rtp,
                codecs: None,
                comfort: true,
            };
            return self.open(link, request, reply, true);
        }
        // Sessions of other links do not exist for this one.
        let Some(entry) = self.sessions.get(session).filter(|entry| entry.link == *link) else {
            let error = refused(CommandErrorKind::UnknownSession, "no session of this id is open");
            let _ = reply.send(Err(error));
            return;
        };
        let (worker, call_id, name) = (entry.worker, entry.call_id.clone(), command_name(&command));
        self.config
            .context
            .traces
            .record(&call_id, command_event(&command));
        let reply = self.expect_reply(Some(call_id), name, reply);
        self.send_to(worker, ToWorker::Command(Box::new(command), reply));
    }

    fn open(&mut self, link: &Arc<str>, request: OpenRequest, reply: ReplySender, traced: bool) {
        if self.pending.len() >= PENDING_MAX {
            let _ = reply.send(Err(refused(
                CommandErrorKind::Busy,
                "too many commands wait; try again",
            )));
            return;
        }
        if self.draining {
            let error = refused(
                CommandErrorKind::Draining,
                "the gateway is leaving; use another one",
            );
            let _ = reply.send(Err(error));
            return;
        }
        if self.sessions.contains_key(&request.session) {
            let error = refused(CommandErrorKind::SessionExists, "a session of this id is open");
            let _ = reply.send(Err(error));
            return;
        }
        let worker = (0..self.per_worker.len())
            .min_by_key(|index| self.per_worker[*index])
            .expect("there is at least one worker");
        self.per_worker[worker] += 1;
        self.sessions.insert(
            request.session.clone(),
            Entry {
                worker,
                link: link.clone(),
                call_id: request.call_id.clone(),
            },
        );
        let call_id = traced.then(|| request.call_id.clone());
        if let Some(call_id) = &call_id {
            let command = Command::Open {
                session: request.session.clone(),
                call_id: call_id.clone(),
                from: request.from,
                sdp: request.sdp.clone(),
                early_answer: request.early_answer,
            };
            self.config
                .context
                .traces
                .record(call_id, command_event(&command));
        }
        let reply = self.expect_reply(call_id, "open", reply);
        self.send_to(worker, ToWorker::Open(Box::new(request), reply));
    }

    /// Puts the trace between a worker's reply and the asker.
    fn expect_reply(
        &mut self,
        call_id: Option<CallId>,
        name: &'static str,
        reply: ReplySender,
    ) -> ReplySender {
        let (sender, receiver) = oneshot::channel();
        self.pending.push(Box::pin(async move {
            let result = receiver.await.unwrap_or_else(|_| Err(gone()));
            Answered {
                call_id,
                name,
                result,
                reply,
            }
        }));
        sender
    }

    fn handle_answered(&mut self, answered: Answered) {
        if let Some(call_id) = &answered.call_id {
            let event = reply_event(answered.name, &answered.result);
            self.config.context.traces.record(call_id, event);
            if let Ok(Reply::Closed { summary }) = &answered.result {
                log_summary(call_id, summary);
            }
        }
        // The asker may have gone meanwhile.
        let _ = answered.reply.send(answered.result);
    }

    fn send_to(&mut self, worker: usize, message: ToWorker) {
        if let Err(message) = self.config.workers[worker].send(message) {
            if let ToWorker::Open(request, _) = &message {
                self.forget(&request.session.clone());
            }
            refuse(message);
        }
    }

    fn handle_event(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::Ended { session } => self.forget(&session),
            WorkerEvent::Event { session, event } => {
                let Some(entry) = self.sessions.get(&session) else {
                    return;
                };
                match &event {
                    Event::Trace { call_id, event } => {
                        self.config.context.traces.record(call_id, event.clone());
                    }
                    other => {
                        if let Some(event) = notification_event(other) {
                            self.config.context.traces.record(&entry.call_id, event);
                        }
                    }
                }
                log_event(&entry.call_id, &event);
                if let Some(link) = self.links.get_mut(&entry.link) {
                    link.push(event);
                }
            }
        }
    }

    fn forget(&mut self, session: &MediaSessionId) {
        if let Some(entry) = self.sessions.remove(session) {
            self.per_worker[entry.worker] -= 1;
        }
    }

    fn handle_tick(&mut self, now: Instant) {
        let grace = self.config.grace;
        let mut lost = Vec::new();
        for (name, link) in &mut self.links {
            link.flush();
            if link
                .lost_since
                .is_some_and(|since| now.saturating_duration_since(since) >= grace)
            {
                lost.push(name.clone());
            }
        }
        for name in lost {
            self.links.remove(&name);
            let sessions: Vec<_> = self
                .sessions
                .iter()
                .filter(|(_, entry)| entry.link == name)
                .map(|(session, entry)| (session.clone(), entry.worker))
                .collect();
            tracing::warn!(link = %name, sessions = sessions.len(), "control link did not return; its sessions end");
            for (session, worker) in sessions {
                self.send_to(worker, ToWorker::Abandon(session, GoneReason::ControlLost));
            }
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        tracing::info!(sessions = self.sessions.len(), "draining");
        for worker in 0..self.config.workers.len() {
            self.send_to(worker, ToWorker::Drain);
        }
    }

    /// Stops the workers, and delivers their last events.
    async fn stop(mut self) {
        for worker in &self.config.workers {
            worker.stop().await;
        }
        // Each worker holds the channel open until its thread ends.
        while let Some(event) = self.config.events.recv().await {
            self.handle_event(event);
        }
        for worker in std::mem::take(&mut self.config.workers) {
            if worker.thread.join().is_err() {
                tracing::error!("a media worker has panicked");
            }
        }
        for link in self.links.values_mut() {
            link.flush();
        }
    }
}

/// The leg that offers in `ng`'s view is the client's place, the other one the carrier's.
pub(super) const NG_OFFERER: LegName = LegName::Client;
