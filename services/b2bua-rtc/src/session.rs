//! A media session: two legs and what flows between them. Pure: datagrams, commands and the time come in, datagrams,
//! events and routing notes go out.
//!
//! ```text
//!   open ─► Offering ──answer──► Bridged ◄──► (re-offers, renewals, hold)
//!              │                    │
//!              └──── close, failure, silence, lost control link ────► ended
//! ```

mod commands;
mod media;
mod replacement;
mod upkeep;

use crate::leg::{Discard, Inbound, Leg, Outbound, Transport, passes, sdp_error};
use crate::params::{LegKind, OpenRequest, RtpPort, SessionParams};
use crate::rtp_leg::RtpSide;
use crate::stream::OutgoingStream;
use crate::webrtc_leg::{WebRtcSide, for_description};
use offhook_call_trace::{CallId, Hop, Protocol, TraceEvent};
use offhook_media_control::{
    CommandError, CommandErrorKind, Event, GoneReason, LegName, MediaSessionId, Reply, SDP_LEN_MAX,
    SessionSummary,
};
use offhook_offer_answer::{
    Bridge, Codec, Direction, Fingerprint, OpusParams, Route, RtpLegNegotiation, RtpLocal,
    WebRtcLegNegotiation, WebRtcLocal, answer_order,
};
use offhook_rtp::Ssrc;
use offhook_sdp::attribute::TypedAttribute;
use offhook_webrtc::{Path, WebRtcLeg};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Our ufrags that lead to a leg: the one in use, and the one before, which the peer's checks name until it has read our
/// description.
const UFRAGS_OF_LEG_MAX: usize = 2;

/// What a session tells the worker that hosts it.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// For signalling.
    Event(Event),
    /// Datagrams on this path are this session's.
    AddressAdded(LegName, Path),
    /// They are no longer.
    AddressRemoved(LegName, Path),
    /// ICE checks with this ufrag are this session's.
    UfragAdded(String),
    /// They are no longer: the peer has had newer ones since.
    UfragRemoved(String),
    /// The leg was started anew: none of its addresses count any longer.
    LegRenewed(LegName),
    /// The session is over; [`Event::Gone`] went before. It is to be dropped.
    Ended,
}

/// Datagrams and packets that were dropped, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// [`Discard::Stranger`].
    pub stranger: u64,
    /// [`Discard::Malformed`].
    pub malformed: u64,
    /// [`Discard::BadStun`].
    pub bad_stun: u64,
    /// [`Discard::BadTag`].
    pub bad_tag: u64,
    /// [`Discard::Replayed`].
    pub replayed: u64,
    /// [`Discard::NotReady`].
    pub not_ready: u64,
    /// [`Discard::UnknownPayload`].
    pub unknown_payload: u64,
    /// [`Discard::NoReceiver`].
    pub no_receiver: u64,
    /// [`Discard::OtherSource`].
    pub other_source: u64,
}

impl Drops {
    /// Adds the counts of another session.
    pub(crate) fn add(&mut self, other: &Drops) {
        self.stranger += other.stranger;
        self.malformed += other.malformed;
        self.bad_stun += other.bad_stun;
        self.bad_tag += other.bad_tag;
        self.replayed += other.replayed;
        self.not_ready += other.not_ready;
        self.unknown_payload += other.unknown_payload;
        self.no_receiver += other.no_receiver;
        self.other_source += other.other_source;
    }

    fn count(&mut self, reason: Discard) {
        *self.counter(reason) += 1;
    }

    fn count_of(&mut self, reason: Discard) -> u64 {
        *self.counter(reason)
    }

    fn counter(&mut self, reason: Discard) -> &mut u64 {
        match reason {
            Discard::Stranger => &mut self.stranger,
            Discard::Malformed => &mut self.malformed,
            Discard::BadStun => &mut self.bad_stun,
            Discard::BadTag => &mut self.bad_tag,
            Discard::Replayed => &mut self.replayed,
            Discard::NotReady => &mut self.not_ready,
            Discard::UnknownPayload => &mut self.unknown_payload,
            Discard::NoReceiver => &mut self.no_receiver,
            Discard::OtherSource => &mut self.other_source,
        }
    }
}

/// A session.
#[derive(Debug)]
pub struct MediaSession {
    id: MediaSessionId,
    call_id: CallId,
    params: Arc<SessionParams>,
    client: Leg,
    carrier: Leg,
    /// The leg whose offer, or whose wish for one, opened the session.
    offerer: LegName,
    /// True once that offer was answered.
    offerer_answered: bool,
    /// It made none, and is to be offered what the other leg has answered.
    wants_offer: bool,
    bridge: Option<Bridge>,
    /// Our ufrags that lead here, the oldest first.
    ufrags: Vec<(LegName, String)>,
    /// A leg that is to take the place of another.
    replacement: Option<Box<replacement::Replacement>>,
    /// Frames that replaced legs were sent.
    replaced_frames: u64,
    /// The client has put the carrier on hold: neither hears the other.
    held: bool,
    transcoded: bool,
    /// It has ended by itself and waits to be dropped.
    over: bool,
    opened: Instant,
    upkeep: upkeep::Upkeep,
    /// When [`Self::handle_timeout`] is due.
    deadline: Option<Instant>,
    outputs: VecDeque<Output>,
    drops: Drops,
    cname: String,
    /// For reports; kept so that sending one allocates nothing.
    scratch: Vec<u8>,
}

impl MediaSession {
    /// Opens a session from one leg's offer. `ports` holds a port for the client and the carrier leg, for those of
    /// kind [`LegKind::Rtp`].
    ///
    /// # Errors
    /// What is wrong with the SDP; nothing is left behind.
    pub fn open(
        now: Instant,
        params: Arc<SessionParams>,
        request: OpenRequest,
        ports: [Option<RtpPort>; 2],
        rng: &mut StdRng,
    ) -> Result<(Self, Reply), CommandError> {
        check_request(&request)?;
        let other_name = other(request.from);
        let cname = format!("{:016x}", rng.random::<u64>());
        let mut maker = LegMaker {
            params: &params,
            request: &request,
            ports,
            cname: &cname,
        };
        let mut from = maker.make(request.from, Codec::ALL.to_vec(), rng)?;
        if let Some(sdp) = &request.sdp {
            from.handle_offer(now, sdp)
                .map_err(|error| sdp_error(request.from, &error))?;
        }
        let offered = request.codecs.clone();
        let offered = offered.unwrap_or_else(|| answer_order(from.codecs(), params.prefer));
        let mut to = maker.make(other_name, offered, rng)?;
        to.ask_for(from.opus_wishes());
        let offer = to.offer(Direction::SendRecv);
        let answer = match request.early_answer {
            true => Some(
                from.answer(now, &answer_order(&[], params.prefer), Direction::SendRecv)
                    .map_err(|error| sdp_error(request.from, &error))?,
            ),
            false => None,
        };
        let (client, carrier) = match request.from {
            LegName::Client => (from, to),
            LegName::Carrier => (to, from),
        };
        let mut session = Self {
            upkeep: upkeep::Upkeep::new(now, &params.timeouts, rng),
            id: request.session,
            call_id: request.call_id,
            params,
            client,
            carrier,
            offerer: request.from,
            offerer_answered: answer.is_some(),
            wants_offer: request.sdp.is_none(),
            bridge: None,
            ufrags: Vec::new(),
            replacement: None,
            replaced_frames: 0,
            held: false,
            transcoded: false,
            over: false,
            opened: now,
            deadline: None,
            outputs: VecDeque::new(),
            drops: Drops::default(),
            cname,
            scratch: Vec::new(),
        };
        if session.offerer_answered {
            session.upkeep.expect_media(now);
        }
        session.choose_codecs(now);
        session.note_ufrags();
        session.reschedule();
        Ok((session, Reply::Opened { offer, answer }))
    }

    /// Its name.
    pub fn id(&self) -> &MediaSessionId {
        &self.id
    }

    /// The call that it belongs to.
    pub fn call_id(&self) -> &CallId {
        &self.call_id
    }

    /// When to call [`Self::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// The next thing that the worker has to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // There is nothing to tell for most of a call.
            self.outputs.shrink_to_fit();
        }
        output
    }

    /// True if [`Self::poll_output`] has something.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// What was dropped so far.
    pub fn drops(&self) -> &Drops {
        &self.drops
    }

    /// Frames decoded and encoded so far.
    pub fn transcoded_frames(&self) -> u64 {
        let legs = [&self.client, &self.carrier];
        legs.iter()
            .map(|leg| leg.outbound.transcoded_frames)
            .fold(self.replaced_frames, u64::wrapping_add)
    }

    /// Ends the session on our own account.
    pub fn abandon(&mut self, now: Instant, reason: GoneReason, message: impl Into<String>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let event = Event::Gone {
            session: self.id.clone(),
            reason,
            message: message.into(),
            summary: self.summary(now),
        };
        self.trace("gone", format!("{reason:?}"));
        self.outputs.push_back(Output::Event(event));
        self.outputs.push_back(Output::Ended);
    }

    /// The leg that has this ufrag (now or before an ICE restart).
    pub fn leg_of_ufrag(&self, ufrag: &str) -> LegName {
        // A ufrag of the client before its last restart is none of the carrier's either.
        match self.carrier.ufrag() {
            Some(carrier) if carrier == ufrag => LegName::Carrier,
            _ if self.client.ufrag().is_some() => LegName::Client,
            _ => LegName::Carrier,
        }
    }

    /// Our ufrags that led here: they do no longer.
    pub fn take_ufrags(&mut self) -> impl Iterator<Item = String> + use<> {
        std::mem::take(&mut self.ufrags)
            .into_iter()
            .map(|(_, ufrag)| ufrag)
    }

    /// Another session's peer has proven to send from this address. If that was a lie (the sender of a datagram is easily
    /// forged), the next check from there proves the contrary.
    pub fn forget_address(&mut self, leg: LegName, path: Path) {
        if let Transport::WebRtc(side) = &mut self.leg_mut(leg).transport {
            side.leg.forget_path(path);
        }
    }

    fn leg_mut(&mut self, name: LegName) -> &mut Leg {
        match name {
            LegName::Client => &mut self.client,
            LegName::Carrier => &mut self.carrier,
        }
    }

    fn leg(&self, name: LegName) -> &Leg {
        match name {
            LegName::Client => &self.client,
            LegName::Carrier => &self.carrier,
        }
    }

    /// Settles what becomes of each payload type, once both legs have said what they can do.
    fn choose_codecs(&mut self, now: Instant) {
        self.bridge = Bridge::choose(self.client.codecs(), self.carrier.codecs(), self.params.prefer).ok();
        let first = |routes: &[Route]| routes.first().copied();
        let bridge = self.bridge.as_ref();
        let routes = [
            bridge.and_then(|bridge| first(&bridge.to_client)),
            bridge.and_then(|bridge| first(&bridge.to_carrier)),
        ];
        for (leg, route) in [&mut self.client, &mut self.carrier].into_iter().zip(routes) {
            // Frames of ours are sent as what the other leg's packets become, so that the codec does not change back
            // and forth.
            leg.outbound.codec = route.map(|route| route.sent).or(leg.codecs().first().copied());
            match route {
                // Refused only by libopus, which is logged; the first packet tries again.
                Some(route) if !passes(&route) => {
                    let _ = leg.prepare_transcoder(&route, &self.params.audio);
                }
                _ => leg.outbound.reset_source(),
            }
        }
        self.start_clocks(now);
    }

    /// Starts what has to flow by itself on legs that can be reached by now.
    fn start_clocks(&mut self, now: Instant) {
        // Who has offered hears nothing before our answer (RFC 3264 §6.1): somebody else may answer in our place.
        let waiting = (!self.offerer_answered).then_some(self.offerer);
        for name in [LegName::Client, LegName::Carrier] {
            let leg = self.leg_mut(name);
            if waiting != Some(name) && leg.takes_media() {
                leg.outbound.start_clock(now);
            }
        }
    }

    /// Has the next description for a leg say what the other one wants of its Opus.
    fn pass_wishes_to(&mut self, name: LegName) {
        let wishes = self.leg(other(name)).opus_wishes();
        self.leg_mut(name).ask_for(wishes);
    }

    /// Tells the worker which ufrags lead here, where that has changed.
    fn note_ufrags(&mut self) {
        for leg in [&self.client, &self.carrier] {
            let Some(ufrag) = leg.ufrag() else { continue };
            if self.ufrags.iter().any(|(_, known)| known == ufrag) {
                continue;
            }
            // A leg has one, and two for as long as an ICE restart takes.
            self.ufrags.reserve_exact(1);
            self.ufrags.push((leg.name, ufrag.to_owned()));
            self.outputs.push_back(Output::UfragAdded(ufrag.to_owned()));
            let of_leg = self.ufrags.iter().filter(|(name, _)| *name == leg.name);
            if of_leg.count() > UFRAGS_OF_LEG_MAX
                && let Some(oldest) = self.ufrags.iter().position(|(name, _)| *name == leg.name)
            {
                let (_, ufrag) = self.ufrags.remove(oldest);
                self.outputs.push_back(Output::UfragRemoved(ufrag));
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Records something about media in the call's trace.
    fn trace(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        let event = TraceEvent::message(Hop::B2buaRtc, Hop::B2buaRtc, Hop::B2buaRtc, Protocol::Media, name)
            .with_detail(detail);
        self.outputs.push_back(Output::Event(Event::Trace {
            call_id: self.call_id.clone(),
            event,
        }));
    }

    /// Works out when something is due next.
    fn reschedule(&mut self) {
        if self.over {
            self.deadline = None;
            return;
        }
        let legs = [&self.client, &self.carrier];
        self.deadline = legs
            .iter()
            .flat_map(|leg| {
                [
                    leg.transport_timeout(),
                    leg.outbound.poll_timeout(),
                    leg.inbound.poll_timeout(),
                ]
            })
            .flatten()
            .chain(self.upkeep.due())
            .min();
    }

    fn summary(&self, now: Instant) -> SessionSummary {
        SessionSummary {
            duration_ms: now.saturating_duration_since(self.opened).as_millis() as u64,
            transcoded: self.transcoded,
            legs: self.qualities(),
        }
    }
}

/// The leg on the other side.
fn other(leg: LegName) -> LegName {
    match leg {
        LegName::Client => LegName::Carrier,
        LegName::Carrier => LegName::Client,
    }
}

fn check_request(request: &OpenRequest) -> Result<(), CommandError> {
    match &request.sdp {
        Some(sdp) => check_sdp_len(sdp),
        None if request.early_answer => Err(wrong_state("an early answer needs an offer")),
        None => Ok(()),
    }
}

fn check_sdp_len(sdp: &str) -> Result<(), CommandError> {
    if sdp.len() <= SDP_LEN_MAX {
        return Ok(());
    }
    Err(CommandError {
        kind: CommandErrorKind::BadSdp,
        message: format!("SDP of {} bytes, more than {SDP_LEN_MAX} are not read", sdp.len()),
    })
}

/// Makes the legs of a session.
struct LegMaker<'a> {
    params: &'a SessionParams,
    request: &'a OpenRequest,
    ports: [Option<RtpPort>; 2],
    cname: &'a str,
}

impl LegMaker<'_> {
    fn make(&mut self, name: LegName, codecs: Vec<Codec>, rng: &mut StdRng) -> Result<Leg, CommandError> {
        let ssrc = rng.random::<u32>();
        let transport = match self.request.kind(name) {
            LegKind::WebRtc => Transport::WebRtc(Box::new(new_webrtc_side(
                self.params,
                self.cname,
                ssrc,
                codecs,
                rng,
            )?)),
            LegKind::Rtp => {
                let port = self.ports[match name {
                    LegName::Client => 0,
                    LegName::Carrier => 1,
                }]
                .ok_or_else(|| busy("no RTP port is left"))?;
                Transport::Rtp(Box::new(new_rtp_side(self.params, port, codecs, rng)))
            }
        };
        let stream = OutgoingStream::random(Ssrc(ssrc), rng);
        Ok(Leg {
            name,
            transport,
            inbound: Inbound::default(),
            outbound: Outbound::new(stream, self.request.comfort),
        })
    }
}

fn new_rtp_side(params: &SessionParams, port: RtpPort, codecs: Vec<Codec>, rng: &mut StdRng) -> RtpSide {
    let local = RtpLocal {
        session_id: rng.random::<u64>() >> 1,
        address: SocketAddr::new(params.rtp_address, port.port),
        rtcp_port: None,
        codecs,
        opus: OpusParams::default(),
        packet_ms: 20,
        max_bitrate_bps: None,
    };
    RtpSide::new(RtpLegNegotiation::new(local), port, &params.latching)
}

fn new_webrtc_side(
    params: &SessionParams,
    cname: &str,
    ssrc: u32,
    codecs: Vec<Codec>,
    rng: &mut StdRng,
) -> Result<WebRtcSide, CommandError> {
    if params.candidates.is_empty() {
        return Err(busy("this gateway has no WebRTC address"));
    }
    let leg = WebRtcLeg::new(&params.webrtc, rng);
    let fingerprint = params.webrtc.certificate.fingerprint().to_string();
    let local = WebRtcLocal {
        session_id: rng.random::<u64>() >> 1,
        ice: for_description(leg.local_credentials()),
        fingerprint: Fingerprint::parse(&fingerprint).expect("our own fingerprint is printed as it is read"),
        addresses: params.candidates.clone(),
        ssrc,
        cname: cname.to_owned(),
        codecs,
        opus: OpusParams::default(),
        max_bitrate_bps: None,
    };
    Ok(WebRtcSide::new(
        WebRtcLegNegotiation::new(local),
        leg,
        params.webrtc_sockets.clone(),
    ))
}

fn wrong_state(message: &str) -> CommandError {
    CommandError {
        kind: CommandErrorKind::WrongState,
        message: message.to_owned(),
    }
}

fn busy(message: &str) -> CommandError {
    CommandError {
        kind: CommandErrorKind::Busy,
        message: message.to_owned(),
    }
}
