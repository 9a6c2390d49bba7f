//! Control messages as events of a call's trace and as log lines.

use offhook_call_trace::{CallId, Hop, Protocol, TraceEvent, redact_sip};
use offhook_media_control::{CodecName, Command, CommandError, Event, Reply, SessionSummary};

/// Name of a command: its tag on the link.
pub(super) fn command_name(command: &Command) -> &'static str {
    match command {
        Command::Open { .. } => "open",
        Command::Answer { .. } => "answer",
        Command::Reoffer { .. } => "reoffer",
        Command::MakeOffer { .. } => "make-offer",
        Command::PrepareReplacement { .. } => "prepare-replacement",
        Command::Replace { .. } => "replace",
        Command::DropReplacement { .. } => "drop-replacement",
        Command::Candidate { .. } => "candidate",
        Command::Ringing { .. } => "ringing",
        Command::Dtmf { .. } => "dtmf",
        Command::Hold { .. } => "hold",
        Command::Play { .. } => "play",
        Command::StopPlaying { .. } => "stop-playing",
        Command::Latch { .. } => "latch",
        Command::Close { .. } => "close",
        Command::Ping {} => "ping",
    }
}

/// A command as we received it.
pub(super) fn command_event(command: &Command) -> TraceEvent {
    let event = TraceEvent::message(
        Hop::B2buaRtc,
        Hop::Vsp,
        Hop::B2buaRtc,
        Protocol::Control,
        command_name(command),
    );
    match command {
        Command::Open { sdp: None, .. } => event.with_detail("wants an offer"),
        Command::Open { sdp: Some(sdp), .. }
        | Command::Answer { sdp, .. }
        | Command::Reoffer { sdp, .. }
        | Command::Replace { sdp, .. } => event.with_detail(redact_sip(sdp.as_bytes())),
        // Digits may be PINs: only their number is told.
        Command::Dtmf { digits, .. } => event.with_detail(format!("{} digits", digits.chars().count())),
        Command::Hold { held, .. } => event.with_detail(if *held { "held" } else { "resumed" }),
        Command::Play { to, sound, .. } => event.with_detail(format!("{sound:?} to {to:?}")),
        Command::Latch { leg, latching, .. } => event.with_detail(format!("{leg:?} {latching:?}")),
        _ => event,
    }
}

/// A reply as we send it.
pub(super) fn reply_event(command: &str, reply: &Result<Reply, CommandError>) -> TraceEvent {
    let (name, detail) = match reply {
        Ok(Reply::Opened { offer, answer }) => (
            format!("reply {command}"),
            [Some(offer), answer.as_ref()]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join("\r\n"),
        ),
        Ok(Reply::Answered { answer }) => (format!("reply {command}"), answer.clone().unwrap_or_default()),
        Ok(Reply::Reoffered { answer: sdp, .. } | Reply::Offered { offer: sdp }) => {
            (format!("reply {command}"), sdp.clone())
        }
        Ok(Reply::DtmfTaken { as_telephone_event }) => (
            format!("reply {command}"),
            format!("as telephone-event: {as_telephone_event}"),
        ),
        Ok(Reply::Closed { .. } | Reply::Done {}) => (format!("reply {command}"), String::new()),
        Err(error) => (format!("error {command}"), error.to_string()),
    };
    TraceEvent::message(Hop::B2buaRtc, Hop::B2buaRtc, Hop::Vsp, Protocol::Control, name)
        .with_detail(redact_sip(detail.as_bytes()))
}

/// An event as we send it; `None` for those that are no step of a call.
pub(super) fn notification_event(event: &Event) -> Option<TraceEvent> {
    let (name, detail) = match event {
        Event::Connected { .. } => ("connected", String::new()),
        Event::MediaStarted { from, codec, .. } => ("media-started", format!("{from:?} {codec:?}")),
        Event::MediaStopped { from, .. } => ("media-stopped", format!("{from:?}")),
        Event::Dtmf { from, .. } => ("dtmf", format!("{from:?}")),
        Event::PlayEnded { to, end, .. } => ("play-ended", format!("{to:?} {end:?}")),
        Event::Gone { reason, message, .. } => ("gone", format!("{reason:?}: {message}")),
        Event::Quality { .. } | Event::Trace { .. } => return None,
    };
    let event = TraceEvent::message(Hop::B2buaRtc, Hop::B2buaRtc, Hop::Vsp, Protocol::Control, name);
    Some(event.with_detail(detail))
}

/// A line for what changes in a session's life.
pub(super) fn log_event(call_id: &CallId, event: &Event) {
    match event {
        Event::Connected { .. } => tracing::info!(%call_id, "client connected"),
        Event::MediaStarted { from, codec, .. } => {
            tracing::info!(%call_id, from = from.as_str(), codec = codec.as_str(), "media started")
        }
        Event::MediaStopped { from, .. } => tracing::info!(%call_id, from = from.as_str(), "media stopped"),
        Event::Gone {
            reason,
            message,
            summary,
            ..
        } => {
            tracing::warn!(%call_id, ?reason, message, "session gone");
            log_summary(call_id, summary);
        }
        Event::PlayEnded { .. } | Event::Dtmf { .. } | Event::Quality { .. } | Event::Trace { .. } => {}
    }
}

/// The line at the end of a session: how it went.
pub(super) fn log_summary(call_id: &CallId, summary: &SessionSummary) {
    let SessionSummary {
        duration_ms,
        transcoded,
        legs,
    } = summary;
    let codec = |name: Option<CodecName>| name.map_or("nothing", CodecName::as_str);
    let legs: Vec<String> = legs
        .iter()
        .map(|leg| {
            format!(
                "{}: received {} as {}, lost {}, discarded {}, jitter {:.1} ms; sent {} as {}",
                leg.leg.as_str(),
                leg.packets_received,
                codec(leg.codec_received),
                leg.packets_lost,
                leg.packets_discarded,
                leg.jitter_ms,
                leg.packets_sent,
                codec(leg.codec_sent)
            )
        })
        .collect();
    tracing::info!(%call_id, duration_ms, transcoded, legs = legs.join("; "), "media session ended");
}
