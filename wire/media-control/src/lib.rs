//! The control link: all that signalling and the media gateway say to each other.
//!
//! One typed set of [`Command`]s with their [`Reply`]s, and one of [`Event`]s. In one process they travel through a
//! channel; between processes as JSON-RPC 2.0 over a WebSocket: a command is a request whose `method` is its tag and
//! whose `params` are its fields, its reply is the result, an [`Event`] is a notification. See `envelope`.
//!
//! A media session has two legs. The *client* leg speaks WebRTC to the browser, the *carrier* leg plain RTP. Signalling
//! never reads the SDP it carries between them.

mod envelope;

use offhook_call_trace::CallId;
use serde::{Deserialize, Serialize};

pub use envelope::{EnvelopeError, Frame, RequestId};

/// Longest SDP that the link takes, in bytes.
pub const SDP_LEN_MAX: usize = 64 * 1024;
/// Longest name of a [`Sound`], in bytes.
pub const SOUND_NAME_LEN_MAX: usize = 64;
/// Most digits in one [`Command::Dtmf`].
pub const DTMF_DIGITS_MAX: usize = 64;

/// Names one media session on one gateway; made by signalling, unguessable, 1 to 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MediaSessionId(pub String);

/// One side of a media session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegName {
    /// WebRTC, towards the browser.
    Client,
    /// RTP, towards the SIP side.
    Carrier,
}

/// A codec of the platform, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CodecName {
    /// `opus/48000/2`.
    #[serde(rename = "opus")]
    Opus,
    /// `PCMU/8000`, G.711 µ-law.
    #[serde(rename = "PCMU")]
    Pcmu,
    /// `PCMA/8000`, G.711 A-law.
    #[serde(rename = "PCMA")]
    Pcma,
}

impl LegName {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            LegName::Client => "client",
            LegName::Carrier => "carrier",
        }
    }
}

impl CodecName {
    /// The encoding name of its `rtpmap`.
    pub const fn as_str(self) -> &'static str {
        match self {
            CodecName::Opus => "opus",
            CodecName::Pcmu => "PCMU",
            CodecName::Pcma => "PCMA",
        }
    }
}

/// Something to play: what it sounds like is the gateway's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sound {
    /// For a party on hold.
    Hold,
    /// For a party whose other end has lost its connection and may come back.
    Away,
    /// A sound of this name, 1 to [`SOUND_NAME_LEN_MAX`] bytes.
    Named(String),
}

/// Whose packets an RTP leg takes: those of the address in the peer's SDP, or, for peers behind NAT, of the address that
/// the first packets come from. What each of them risks: docs/decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latching {
    /// Address and port of the SDP, nothing else.
    Off,
    /// The IP address of the SDP, and whatever port the first packet comes from.
    SameAddress,
    /// Whatever address and port the first packets come from shortly after the description.
    Any,
}

/// What signalling asks of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "kebab-case")]
pub enum Command {
    /// Starts a session from the offer of one leg. Reply: [`Reply::Opened`].
    Open {
        /// New session.
        session: MediaSessionId,
        /// For logs and the trace.
        call_id: CallId,
        /// The leg that `sdp` comes from.
        from: LegName,
        /// Its offer. None where it wants ours (an INVITE without SDP): once the other leg has answered,
        /// [`Reply::Answered`] brings that offer, and the leg's answer to it comes as a second [`Command::Answer`].
        sdp: Option<String>,
        /// Answer the offering leg at once, before the other one has answered.
        early_answer: bool,
    },
    /// The answer of the leg that did not offer (183 or 200). Later answers of the same leg replace earlier ones.
    /// Reply: [`Reply::Answered`].
    Answer {
        /// Session.
        session: MediaSessionId,
        /// The leg that `sdp` comes from.
        from: LegName,
        /// Its answer.
        sdp: String,
        /// False for early media (183), true for the 200.
        is_final: bool,
    },
    /// A further offer from one leg (re-INVITE, ICE restart); the gateway answers it alone. Reply: [`Reply::Reoffered`].
    Reoffer {
        /// Session.
        session: MediaSessionId,
        /// The leg that `sdp` comes from.
        from: LegName,
        /// Its new offer.
        sdp: String,
    },
    /// An offer of ours to a leg that is already up (for a re-INVITE without SDP, hold, attach). Reply:
    /// [`Reply::Offered`]; its answer comes as [`Command::Answer`].
    MakeOffer {
        /// Session.
        session: MediaSessionId,
        /// The leg that is to be offered.
        to: LegName,
        /// Direction the offer states, as seen from us.
        direction: Direction,
        /// True to start the leg anew (fresh ICE and DTLS), as attach needs.
        renew: bool,
    },
    /// Readies a plain RTP leg that is to take the place of one, for a transfer. The leg in place goes on until
    /// [`Command::Replace`]. Reply: [`Reply::Offered`], for the new party.
    PrepareReplacement {
        /// Session.
        session: MediaSessionId,
        /// The leg that is to be replaced.
        leg: LegName,
        /// The other leg hears ringback meanwhile, and the leg in place no more.
        ringback: bool,
    },
    /// The new party has answered: its leg takes the place of the old one, which is closed. Reply: [`Reply::Done`].
    Replace {
        /// Session.
        session: MediaSessionId,
        /// The leg that is replaced.
        leg: LegName,
        /// Answer of the new party.
        sdp: String,
    },
    /// The new party does not come: what was readied is given back, and the legs go on as before. Reply:
    /// [`Reply::Done`], also where nothing was readied.
    DropReplacement {
        /// Session.
        session: MediaSessionId,
    },
    /// A trickled ICE candidate of the client (RFC 8840 `candidate:` line). Reply: [`Reply::Done`].
    Candidate {
        /// Session.
        session: MediaSessionId,
        /// `candidate:…` text; empty for end of candidates.
        candidate: String,
    },
    /// The far end rings: play ringback to the client until the carrier's media comes. Reply: [`Reply::Done`].
    Ringing {
        /// Session.
        session: MediaSessionId,
    },
    /// Sends digits as telephone-event (RFC 4733). Reply: [`Reply::DtmfTaken`].
    Dtmf {
        /// Session.
        session: MediaSessionId,
        /// Leg that is to hear them.
        to: LegName,
        /// `0-9 * # A-D`, and `,` for a pause of one second.
        digits: String,
        /// How long each digit sounds, milliseconds.
        duration_ms: u16,
    },
    /// Holds or resumes the client's audio towards the carrier. Reply: [`Reply::Done`].
    Hold {
        /// Session.
        session: MediaSessionId,
        /// True while held.
        held: bool,
    },
    /// Plays a sound to one leg, in place of what it plays already. Reply: [`Reply::Done`]; [`Event::PlayEnded`] when it
    /// ends by itself. A gateway without this sound says [`CommandErrorKind::UnknownSound`].
    Play {
        /// Session.
        session: MediaSessionId,
        /// Leg that is to hear it.
        to: LegName,
        /// What.
        sound: Sound,
        /// Over and over, until it is stopped.
        repeat: bool,
        /// True: it waits until the other leg is silent, and ends at that leg's first packet. False: it is heard in place of the
        /// other leg.
        yields: bool,
    },
    /// Ends what [`Command::Play`] began; nothing if nothing plays. Reply: [`Reply::Done`].
    StopPlaying {
        /// Session.
        session: MediaSessionId,
        /// Leg that hears it.
        to: LegName,
    },
    /// Says whose packets a leg with plain RTP takes, from here on. Reply: [`Reply::Done`]. Where nobody is latched yet, the
    /// time to latch begins anew.
    Latch {
        /// Session.
        session: MediaSessionId,
        /// Leg, of a peer that is (or is not) behind NAT.
        leg: LegName,
        /// Whose packets; none: the gateway's own rule.
        latching: Option<Latching>,
    },
    /// Ends a session and frees all it holds. Reply: [`Reply::Closed`]. Unknown sessions are an error.
    Close {
        /// Session.
        session: MediaSessionId,
    },
    /// Keeps sessions of this link alive and proves that the gateway answers. Reply: [`Reply::Done`].
    Ping {},
}

/// Direction of media as one side states it (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// We send, they listen.
    SendOnly,
    /// They send, we listen.
    RecvOnly,
    /// Nothing flows.
    Inactive,
}

/// What the gateway answers to a [`Command`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Command::Open`].
    Opened {
        /// Offer for the other leg.
        offer: String,
        /// Answer for the offering leg, if `early_answer` was asked.
        answer: Option<String>,
    },
    /// To [`Command::Answer`].
    Answered {
        /// Answer for the offering leg, the first time there is one and none was given early.
        answer: Option<String>,
    },
    /// To [`Command::Reoffer`].
    Reoffered {
        /// Answer to the leg that offered.
        answer: String,
        /// Direction that the leg's offer stated (`sendonly`/`inactive`: it holds us).
        direction: Direction,
    },
    /// To [`Command::MakeOffer`].
    Offered {
        /// Offer for that leg.
        offer: String,
    },
    /// To [`Command::Dtmf`].
    DtmfTaken {
        /// True if the leg negotiated telephone-event; false: nothing was sent, use SIP INFO.
        as_telephone_event: bool,
    },
    /// To [`Command::Close`].
    Closed {
        /// How the session went.
        summary: SessionSummary,
    },
    /// To the others.
    Done {},
}

/// Why a [`Command`] was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct CommandError {
    /// Which kind of failure.
    pub kind: CommandErrorKind,
    /// What was wrong with what, and the remedy, for a person.
    pub message: String,
}

/// Kinds of [`CommandError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandErrorKind {
    /// No such session.
    UnknownSession,
    /// A session of this id exists already.
    SessionExists,
    /// The SDP cannot be read, or lacks what is needed (SIP 400/488).
    BadSdp,
    /// No codec in common (SIP 488, cause INCOMPATIBLE_DESTINATION).
    NoCommonCodec,
    /// Not in this state of the session.
    WrongState,
    /// No sound of this name.
    UnknownSound,
    /// A limit is reached: sessions, ports, queue (SIP 503).
    Busy,
    /// The gateway is leaving and takes no new sessions.
    Draining,
    /// The gateway cannot be reached. Made by the link's near end, never sent.
    LinkDown,
}

/// What the gateway tells on its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "kebab-case")]
pub enum Event {
    /// ICE and DTLS of the client leg are up.
    Connected {
        /// Session.
        session: MediaSessionId,
    },
    /// The first media packet of a leg has come.
    MediaStarted {
        /// Session.
        session: MediaSessionId,
        /// Leg that sends.
        from: LegName,
        /// Codec of the packet.
        codec: CodecName,
    },
    /// A leg that should send has been silent for the configured time.
    MediaStopped {
        /// Session.
        session: MediaSessionId,
        /// Leg that fell silent.
        from: LegName,
    },
    /// What [`Command::Play`] began is over, and not because it was stopped.
    PlayEnded {
        /// Session.
        session: MediaSessionId,
        /// Leg that heard it.
        to: LegName,
        /// Why.
        end: PlayEnd,
    },
    /// A digit came in as telephone-event; once per press.
    Dtmf {
        /// Session.
        session: MediaSessionId,
        /// Leg that sent it.
        from: LegName,
        /// `0-9 * # A-D`.
        digit: char,
        /// Length, milliseconds.
        duration_ms: u16,
    },
    /// Quality of the last interval.
    Quality {
        /// Session.
        session: MediaSessionId,
        /// Both legs.
        legs: Vec<LegQuality>,
    },
    /// The session is gone without [`Command::Close`].
    Gone {
        /// Session.
        session: MediaSessionId,
        /// Why.
        reason: GoneReason,
        /// What exactly, and the remedy, for a person.
        message: String,
        /// How it went.
        summary: SessionSummary,
    },
    /// Something for the call's trace.
    Trace {
        /// The call.
        call_id: CallId,
        /// What the gateway saw.
        event: offhook_call_trace::TraceEvent,
    },
}

/// Why a sound is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlayEnd {
    /// It was played to its end.
    Finished,
    /// The other leg sends again.
    MediaReturned,
}

/// Why a session ended on the gateway's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoneReason {
    /// ICE never connected, or lost consent (RFC 7675).
    IceFailed,
    /// The DTLS handshake failed, or the certificate does not match the fingerprint of the SDP.
    DtlsFailed,
    /// No packet on any leg for the configured time.
    MediaTimeout,
    /// The control link was gone for longer than the grace time.
    ControlLost,
    /// The gateway is shut down.
    Shutdown,
    /// The gateway cannot be reached any more. Made by the link's near end, never sent.
    LinkDown,
}

/// Figures of one leg over an interval or a whole session. Counts are packets seen from the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LegQuality {
    /// Which leg.
    pub leg: LegName,
    /// Codec it sends to us.
    pub codec_received: Option<CodecName>,
    /// Codec we send to it.
    pub codec_sent: Option<CodecName>,
    /// Packets received from it.
    pub packets_received: u64,
    /// Packets sent to it.
    pub packets_sent: u64,
    /// Packets that it should have sent and that never came (RFC 3550 §A.3).
    pub packets_lost: u64,
    /// Packets dropped on our side: late, undecryptable, replayed, from strangers.
    pub packets_discarded: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1), milliseconds.
    pub jitter_ms: f32,
    /// Round trip by RTCP, milliseconds, if known.
    pub round_trip_ms: Option<f32>,
    /// Loss that the leg reports of what we send, 0 to 1, if it reports.
    pub remote_loss: Option<f32>,
}

/// How a session went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct SessionSummary {
    /// From open to close, milliseconds.
    pub duration_ms: u64,
    /// True if audio was decoded and encoded, false if packets were relayed.
    pub transcoded: bool,
    /// Both legs.
    pub legs: Vec<LegQuality>,
}
