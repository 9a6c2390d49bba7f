//! A 2xx that came after the caller had its final answer: acknowledged and ended by us (see `response_context.rs`).

use super::Proxy;
use super::forward::CALL_ID;
use super::response_context::Progress;
use offhook_call_trace::Hop;
use offhook_sip::Flow;
use offhook_sip::transaction::{ClientTransactionId, SendOptions, ServerTransactionId};
use offhook_sip_message::header::{CSeq, Contact, Header, MaxForwards, RecordRoute, Route, Transport, Via};
use offhook_sip_message::{HeaderName, Host, Message, MessageBuilder, Method, ParamWriter};
use std::net::SocketAddr;
use std::time::Instant;

impl Proxy {
    /// ACK to each copy of the 2xx, BYE once.
    pub(super) fn hang_up(
        &mut self,
        now: Instant,
        id: ServerTransactionId,
        client: ClientTransactionId,
        answer: &Message,
        carrier: SocketAddr,
    ) {
        let (ack_branch, bye_branch) = (self.layer.branch(), self.layer.branch());
        let Some(context) = self.contexts.get_mut(&id) else {
            return;
        };
        let Some(branch) = context.branch(client) else {
            return;
        };
        let first = std::mem::replace(&mut branch.progress, Progress::Hung) != Progress::Hung;
        let ack = self.request_in(id, answer, Method::Ack, &ack_branch);
        let Some(ack) = ack else {
            return tracing::debug!(?answer, "a late answer without a usable Contact cannot be ended");
        };
        self.layer.send_stateless(Flow::udp(carrier), ack.bytes().clone());
        if !first {
            return;
        }
        self.counts.late_answers_total += 1;
        let bye = self.request_in(id, answer, Method::Bye, &bye_branch);
        // Without room for a transaction the carrier ends the call by itself when it hears no media.
        let sent = bye.and_then(|bye| {
            let options = SendOptions::default();
            self.layer
                .send_request(now, Flow::udp(carrier), bye.clone(), options)
                .ok()
                .map(|_| bye)
        });
        let call = self.contexts.get(&id).and_then(|context| context.call.clone());
        if self.settings.trace
            && let Some(call) = call
        {
            for message in [Some(ack), sent].into_iter().flatten() {
                self.trace(&call, Hop::SipProxy, Hop::Carrier, message.bytes());
            }
        }
    }

    /// A request of the caller's side in the dialog that `answer` made (§12.2.1.1).
    fn request_in(
        &self,
        id: ServerTransactionId,
        answer: &Message,
        method: Method,
        branch: &str,
    ) -> Option<Message> {
        let context = self.contexts.get(&id)?;
        let contact: Contact<'_> = answer.require().ok()?;
        let cseq: CSeq = answer.require().ok()?;
        let number = if method == Method::Bye {
            cseq.number + 1
        } else {
            cseq.number
        };
        let params = ParamWriter::new().pair("branch", branch);
        let via = Via {
            transport: Transport::Udp,
            host: Host::from(self.settings.address.ip()),
            port: Some(self.settings.address.port()),
            params: params.params(),
        };
        let mut builder = MessageBuilder::request(&method, &contact.address()?.uri)
            .typed(&via)
            .typed(&MaxForwards(70));
        // The caller's route set starts with us and the hops before us; behind us it is the carrier's.
        let recorded: Vec<RecordRoute<'_>> = answer.all().collect::<Result<_, _>>().ok()?;
        let behind_us = recorded
            .iter()
            .take_while(|route| !self.settings.is_own(&route.uri));
        let mut routes: Vec<Route<'_>> = behind_us.map(|route| Route(route.0)).collect();
        routes.reverse();
        for route in &routes {
            builder = builder.header(HeaderName::Route, &route.to_value().ok()?);
        }
        builder = builder
            .copy(answer, HeaderName::From)
            .copy(answer, HeaderName::To)
            .copy(answer, HeaderName::CallId)
            .typed(&CSeq { number, method });
        if let Some(call) = &context.call {
            builder = builder.text(CALL_ID, call.as_str());
        }
        builder.build().ok()
    }
}
