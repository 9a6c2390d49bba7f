//! A SIP user agent: places and takes calls, keeps their dialogs, answers what must be answered.

mod api;

pub use api::{
    ActionError, Body, Config, Counts, Direction, Ending, Event, Failure, IncomingId, LegId, NameAddr,
    Observation, OutgoingInvite, OutgoingRequest, Output, Reply, RequestId, Target,
};

use crate::dialog::Dialog;
use crate::extra_header::Header;
use crate::flow::Flow;
use bytes::Bytes;
use offhook_sip_message::StatusCode;
use rand::rngs::StdRng;
use std::time::Instant;

/// All calls of one SIP user agent. See the [crate] documentation for how to drive it.
#[derive(Debug)]
pub struct UserAgent {}

impl UserAgent {
    /// A user agent without calls. `rng` is for tags, branches, Call-IDs and cnonces.
    pub fn new(config: Config, rng: StdRng) -> Self {
        todo!()
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Instant, source: Flow, datagram: Bytes) {
        todo!()
    }

    /// The transport could not send to `flow`.
    pub fn handle_transport_error(&mut self, now: Instant, flow: Flow) {
        todo!()
    }

    /// Runs what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// When [`Self::handle_timeout`] has to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// The next output; drain until `None` after each input.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// Places a call. Ends in `Answered` or `Failed`.
    pub fn invite(&mut self, now: Instant, invite: OutgoingInvite) -> Result<LegId, ActionError> {
        todo!()
    }

    /// Gives up a call of ours that is not answered (RFC 3261 §9.1). `Failed` follows (487 as a rule); a 2xx that
    /// crosses the CANCEL is acknowledged and ended with BYE, which is reported as `Failed` too.
    pub fn cancel(&mut self, now: Instant, leg: LegId, headers: Vec<Header>) -> Result<(), ActionError> {
        todo!()
    }

    /// Acknowledges the 2xx to an INVITE that had no offer, with the answer.
    pub fn ack(&mut self, now: Instant, leg: LegId, body: Option<Body>) -> Result<(), ActionError> {
        todo!()
    }

    /// Answers an incoming request: provisionally, any number of times, then finally. A 2xx to INVITE is repeated
    /// until its ACK comes.
    pub fn respond(&mut self, now: Instant, incoming: IncomingId, reply: Reply) -> Result<(), ActionError> {
        todo!()
    }

    /// Ends an answered call. `Terminated(Local)` follows at once; the BYE is repeated in the background.
    pub fn bye(&mut self, now: Instant, leg: LegId, headers: Vec<Header>) -> Result<(), ActionError> {
        todo!()
    }

    /// Ends a call in whatever state: CANCEL, `status` or BYE. `headers` go into that message.
    pub fn hang_up(
        &mut self,
        now: Instant,
        leg: LegId,
        status: StatusCode,
        headers: Vec<Header>,
    ) -> Result<(), ActionError> {
        todo!()
    }

    /// Sends a request within an answered call (INFO, UPDATE, MESSAGE, REFER, …; INVITE for a re-INVITE, whose 491 is
    /// tried again by the user agent after the random time of RFC 3261 §14.1).
    pub fn request(
        &mut self,
        now: Instant,
        leg: LegId,
        request: OutgoingRequest,
    ) -> Result<RequestId, ActionError> {
        todo!()
    }

    /// Sends a request outside of any call: OPTIONS as a keepalive, MESSAGE, REGISTER.
    pub fn request_to(
        &mut self,
        now: Instant,
        target: Target,
        request: OutgoingRequest,
    ) -> Result<RequestId, ActionError> {
        todo!()
    }

    /// Header lines for every further request and response of this call (see [`OutgoingInvite::sticky_headers`]).
    pub fn set_sticky_headers(&mut self, leg: LegId, headers: Vec<Header>) -> Result<(), ActionError> {
        todo!()
    }

    /// The dialog of a call, once there is one: the confirmed one, or the only early one.
    pub fn dialog(&self, leg: LegId) -> Option<&Dialog> {
        todo!()
    }

    /// How much is held now.
    pub fn counts(&self) -> Counts {
        todo!()
    }
}
