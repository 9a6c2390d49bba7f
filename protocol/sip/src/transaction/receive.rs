//! What the transaction layer does with each message that comes in (RFC 3261 §17.1.3, §17.2.3, §18).

use super::action::Actions;
use super::event::{ClientTransactionId, Event, ServerTransactionId};
use super::invite_server::{AckMeaning, InviteServer};
use super::key;
use super::layer::{ClientMachine, ServerEntry, ServerMachine, TransactionLayer};
use super::server::Server;
use crate::flow::Flow;
use crate::locate;
use bytes::Bytes;
use offhook_sip_message::header::{CSeq, RetryAfter, Via};
use offhook_sip_message::{
    Edit, Message, MessageBuilder, Method, ParseError, StatusCode, Token, respond, validate,
    validate_beyond_via,
};
use std::sync::Arc;
use std::time::Instant;

/// What a sender shall wait when we are full: long enough for transactions to end (64 × T1 is 32 s at most).
const RETRY_AFTER: RetryAfter = RetryAfter { seconds: 10 };

impl TransactionLayer {
    /// Takes a datagram. What is no SIP message is answered with 400 if it is a request with a way back, and counted.
    pub fn handle_datagram(&mut self, now: Instant, source: Flow, datagram: Bytes) {
        match Message::parse(datagram.clone()) {
            Ok(message) => self.handle_message(now, source, message),
            Err(error) => {
                self.totals.unparsable_total += 1;
                tracing::debug!(%source, %error, "dropped what is no SIP message");
                if let Some(request) = Message::salvage(datagram) {
                    self.refuse(source, &request, error.status());
                }
            }
        }
    }

    /// The same from whoever may be behind NAT: answers go to where the request came from, whether it asks for that (RFC 3581)
    /// or not.
    pub fn handle_datagram_from_nat(&mut self, now: Instant, source: Flow, datagram: Bytes) {
        self.answers_source = true;
        self.handle_datagram(now, source, datagram);
        self.answers_source = false;
    }

    fn response_flow(&self, via: &Via<'_>, source: Flow) -> Flow {
        match self.answers_source {
            true => source,
            false => locate::response_flow(via, source),
        }
    }

    /// Takes a message that came from `source`.
    pub fn handle_message(&mut self, now: Instant, source: Flow, message: Message) {
        match message.method() {
            None => self.handle_response(now, source, message),
            Some(Method::Ack) => self.handle_ack(now, source, message),
            Some(_) => self.handle_request(now, source, message),
        }
    }

    fn handle_response(&mut self, now: Instant, source: Flow, response: Message) {
        let Some(id) = self.client_of(&response) else {
            self.totals.stray_responses_total += 1;
            tracing::debug!(%source, ?response, "dropped a response that belongs to no request of ours");
            return;
        };
        if let Err(defect) = validate_beyond_via(&response) {
            self.totals.malformed_total += 1;
            tracing::debug!(%source, ?response, %defect, "dropped a malformed response");
            return;
        }
        let Some(entry) = self.clients.get_mut(&id) else {
            return;
        };
        let actions = match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.handle_response(now, response),
            ClientMachine::Other(machine) => machine.handle_response(now, response),
        };
        self.settle_client(now, id, actions, Some(source));
    }

    /// §17.1.3: branch and sent-by of the top Via and the method in CSeq.
    fn client_of(&mut self, response: &Message) -> Option<ClientTransactionId> {
        let via: Via<'_> = response.require().ok()?;
        let cseq: CSeq = response.require().ok()?;
        key::write(&mut self.key_buffer, &via, &cseq.method);
        self.client_keys.get(self.key_buffer.as_slice()).copied()
    }

    fn handle_ack(&mut self, now: Instant, source: Flow, ack: Message) {
        let Some(id) = self.server_of(&ack, &Method::Invite) else {
            return self.deliver_ack(source, ack, None);
        };
        let Some(ServerEntry {
            machine: ServerMachine::Invite(machine),
            ..
        }) = self.servers.get_mut(&id)
        else {
            return;
        };
        match machine.handle_ack(now) {
            AckMeaning::Completes => {
                self.deliver_ack(source, ack, Some(id));
                self.settle_server(id, Actions::new());
            }
            AckMeaning::Acknowledges2xx => self.deliver_ack(source, ack, None),
            AckMeaning::Nothing => {}
        }
    }

    fn deliver_ack(&mut self, source: Flow, ack: Message, completed: Option<ServerTransactionId>) {
        // An ACK is never answered (§17), so a bad one is dropped; where it completes, it has done its work before.
        match validate(&ack) {
            Ok(()) => self.push_event(Event::Ack {
                request: ack,
                completed,
                flow: source,
            }),
            Err(defect) => {
                self.totals.malformed_total += 1;
                tracing::debug!(%source, %defect, "dropped a malformed ACK");
            }
        }
    }

    /// §17.2.3: branch and sent-by of the top Via, and the method.
    fn server_of(&mut self, request: &Message, method: &Method) -> Option<ServerTransactionId> {
        self.server_by(&request.require().ok()?, method)
    }

    fn server_by(&mut self, via: &Via<'_>, method: &Method) -> Option<ServerTransactionId> {
        key::write(&mut self.key_buffer, via, method);
        self.server_keys.get(self.key_buffer.as_slice()).copied()
    }

    fn handle_request(&mut self, now: Instant, source: Flow, request: Message) {
        let Some(method) = request.method().cloned() else {
            return;
        };
        // What it writes into the key buffer is still there when a transaction begins.
        let via = request.require::<Via<'_>>().ok();
        if let Some(id) = via.as_ref().and_then(|via| self.server_by(via, &method)) {
            let Some(entry) = self.servers.get_mut(&id) else {
                return;
            };
            let actions = match &mut entry.machine {
                ServerMachine::Invite(machine) => machine.handle_repeated(),
                ServerMachine::Other(machine) => machine.handle_repeated(),
            };
            return self.settle_server(id, actions);
        }
        // RFC 2543 branches are refused on purpose: to match without the cookie is guesswork that nobody needs any more.
        let defect = match via {
            Some(_) => validate_beyond_via(&request).err(),
            None => validate(&request).err(),
        };
        let via = via.filter(Via::has_rfc3261_branch);
        let rfc3261 = via.is_some();
        let Some(via) = via.filter(|_| defect.is_none()) else {
            self.totals.malformed_total += 1;
            tracing::debug!(%source, ?request, ?defect, rfc3261, "refused a malformed request");
            let status = defect.map_or(StatusCode::BAD_REQUEST, |defect| defect.status());
            return self.refuse(source, &request, status);
        };
        if self.servers.len() >= self.config.transactions_max {
            self.totals.overload_total += 1;
            return self.refuse(source, &request, StatusCode::SERVICE_UNAVAILABLE);
        }
        let (flow, key) = (
            self.response_flow(&via, source),
            self.key_buffer.as_slice().into(),
        );
        let request = match via.wants_stamp(source.remote).then(|| stamped(&request, source)) {
            None => request,
            Some(Ok(stamped)) => stamped,
            Some(Err(error)) => return self.refuse(source, &request, error.status()),
        };
        self.start_server(now, (source, flow), request, key);
    }

    /// `flows`: where the request came from, and where its responses go.
    fn start_server(&mut self, now: Instant, flows: (Flow, Flow), request: Message, key: Arc<[u8]>) {
        let (source, flow) = flows;
        let Some(method) = request.method() else {
            return;
        };
        let (timing, reliable) = (self.config.timing, source.transport.is_reliable());
        let (machine, actions) = if *method == Method::Invite {
            let Ok(trying) = respond(&request, StatusCode::TRYING, None).bytes() else {
                return;
            };
            let (machine, actions) = InviteServer::start(timing, reliable, trying);
            (ServerMachine::Invite(machine), actions)
        } else {
            (
                ServerMachine::Other(Server::start(now, timing, reliable)),
                Actions::new(),
            )
        };
        let cancelled = if *method == Method::Cancel {
            self.server_of(&request, &Method::Invite)
        } else {
            None
        };
        let id = ServerTransactionId(self.new_id());
        let is_cancel = *method == Method::Cancel;
        self.server_keys.insert(key.clone(), id);
        self.servers.insert(
            id,
            ServerEntry {
                key,
                request: request.clone(),
                flow,
                machine,
                // Without an INVITE it stands for itself, so that its end is not reported either.
                cancels: is_cancel.then_some(cancelled.unwrap_or(id)),
            },
        );
        if is_cancel {
            self.answer_cancel(now, id, cancelled, request);
        } else {
            self.push_event(Event::Request {
                transaction: id,
                request,
                flow: source,
            });
        }
        self.settle_server(id, actions);
    }

    /// §9.2: 200 and an event if the INVITE waits for its answer, 200 without effect if it is answered, else 481.
    fn answer_cancel(
        &mut self,
        now: Instant,
        cancel: ServerTransactionId,
        invite: Option<ServerTransactionId>,
        request: Message,
    ) {
        let found = invite.and_then(|id| match &self.servers.get(&id)?.machine {
            ServerMachine::Invite(machine) => Some((id, machine.is_unanswered())),
            ServerMachine::Other(_) => None,
        });
        let status = if found.is_some() {
            StatusCode::OK
        } else {
            StatusCode::CALL_DOES_NOT_EXIST
        };
        if let Some((invite, true)) = found {
            self.push_event(Event::Cancel {
                invite,
                request: request.clone(),
            });
        }
        let tag = self.tag();
        if let Ok(response) = respond(&request, status, Token::new(tag.as_bytes()).ok()).build() {
            let answered = self.respond(now, cancel, response);
            debug_assert!(answered.is_ok(), "the transaction was just made");
        }
    }

    /// Answers without a transaction; the same request, repeated, gets the same kind of answer.
    fn refuse(&mut self, source: Flow, request: &Message, status: StatusCode) {
        let Ok(via) = request.require::<Via<'_>>() else {
            return;
        };
        if request.method() == Some(&Method::Ack) {
            return;
        }
        let flow = self.response_flow(&via, source);
        let tag = self.tag();
        let mut builder: MessageBuilder = respond(request, status, Token::new(tag.as_bytes()).ok());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            builder = builder.typed(&RETRY_AFTER);
        }
        if let Ok(response) = builder.build() {
            self.transmit(flow, response.bytes().clone(), None, true);
        }
    }
}

/// The request with a note in its top Via of where it came from.
fn stamped(request: &Message, source: Flow) -> Result<Message, ParseError> {
    let mut edit = Edit::new(request);
    edit.stamp_via(source.remote);
    edit.finish_message()
}
