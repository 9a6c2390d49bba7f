//! The RTP of one call: what is played or echoed, and the digits that come in.

use crate::negotiation::Agreement;
use crate::playlist::Playlist;
use offhook_audio::{
    AudioCodec, AudioEncoder, AudioError, FRAME_SAMPLES, OpusEncoderConfig, PAYLOAD_LEN_MAX,
};
use offhook_offer_answer::Codec;
use offhook_rtp::telephone_event::{EventChange, EventReceiver, TelephoneEvent, digit_of_event};
use offhook_rtp::{PacketClass, RtpFields, RtpPacket, Ssrc, classify};
use std::net::SocketAddr;
use std::time::Instant;

/// What a call does with its audio.
#[derive(Debug)]
pub(crate) enum Audio {
    /// Sends back what comes in, as it is: any codec, no added delay.
    Echo,
    /// Plays.
    Play(Playlist),
}

/// The RTP of one call.
#[derive(Debug)]
pub(crate) struct Stream {
    agreement: Agreement,
    audio: Audio,
    encoder: AudioEncoder,
    ssrc: Ssrc,
    sequence: u16,
    timestamp: u32,
    /// The next packet is the first of its stream.
    marker: bool,
    /// Where the peer really sends from; RTP goes there (symmetric RTP).
    source: Option<SocketAddr>,
    /// Digits of the stream with this SSRC.
    events: (Option<Ssrc>, EventReceiver),
    /// Packets that were taken.
    pub(crate) received: u64,
    /// Packets that were sent.
    pub(crate) sent: u64,
}

/// A packet to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// What a received packet leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// The first packet of the peer.
    pub(crate) first: bool,
    /// The echo.
    pub(crate) echo: Option<Packet>,
    /// A key that went down.
    pub(crate) digit: Option<char>,
}

impl Stream {
    pub(crate) fn new(agreement: Agreement, audio: Audio, ssrc: u32) -> Result<Self, AudioError> {
        Ok(Self {
            encoder: encoder_of(agreement.codec.codec)?,
            agreement,
            audio,
            ssrc: Ssrc(ssrc),
            // Any start will do (RFC 3550 §5.1); the SSRC is random already.
            sequence: ssrc as u16,
            timestamp: ssrc.rotate_left(16),
            marker: true,
            source: None,
            events: (None, EventReceiver::new()),
            received: 0,
            sent: 0,
        })
    }

    /// A later offer or answer: other codec, other address, hold.
    pub(crate) fn change(&mut self, agreement: Agreement) -> Result<(), AudioError> {
        if agreement.codec.codec != self.agreement.codec.codec {
            self.encoder = encoder_of(agreement.codec.codec)?;
        }
        if agreement.remote != self.agreement.remote {
            self.source = None;
        }
        self.marker |= agreement.sends && !self.agreement.sends;
        self.agreement = agreement;
        Ok(())
    }

    /// What is played, where something is.
    pub(crate) fn playlist(&mut self) -> Option<&mut Playlist> {
        match &mut self.audio {
            Audio::Play(playlist) => Some(playlist),
            Audio::Echo => None,
        }
    }

    /// Name of the codec that we send.
    pub(crate) fn codec_name(&self) -> &'static str {
        self.agreement.codec.codec.encoding_name()
    }

    /// Takes a datagram; what is not RTP of this call is passed over.
    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Received {
        let mut outcome = Received::default();
        if classify(datagram) != PacketClass::Rtp {
            return outcome;
        }
        let Ok(packet) = RtpPacket::parse(datagram) else {
            return outcome;
        };
        let fields = packet.fields();
        let is_event = self.agreement.events.clock_rate_hz(fields.payload_type).is_some();
        let codec = self.agreement.codecs.iter().find(|codec| {
            codec.receive_payload_type == fields.payload_type || codec.payload_type == fields.payload_type
        });
        if !is_event && codec.is_none() {
            return outcome;
        }
        // The first to send a fitting packet is the peer, until the session changes.
        if *self.source.get_or_insert(from) != from {
            return outcome;
        }
        self.received += 1;
        outcome.first = self.received == 1;
        if is_event {
            outcome.digit = self.receive_event(now, &fields, packet.payload());
        } else if let (Audio::Echo, Some(codec)) = (&self.audio, codec) {
            let payload_type = codec.payload_type;
            outcome.echo = self.echo(&fields, payload_type, packet.payload());
        }
        outcome
    }

    fn receive_event(&mut self, now: Instant, fields: &RtpFields, payload: &[u8]) -> Option<char> {
        let (ssrc, receiver) = &mut self.events;
        if *ssrc != Some(fields.ssrc) {
            (*ssrc, *receiver) = (Some(fields.ssrc), EventReceiver::new());
        }
        let changes = receiver.receive(now, fields.timestamp, TelephoneEvent::parse(payload)?);
        changes.iter().find_map(|change| match change {
            EventChange::Pressed { event } => digit_of_event(*event),
            EventChange::Released { .. } => None,
        })
    }

    fn echo(&mut self, fields: &RtpFields, payload_type: u8, payload: &[u8]) -> Option<Packet> {
        let to = self.destination()?;
        self.sent += 1;
        let fields = RtpFields {
            payload_type,
            ssrc: self.ssrc,
            ..*fields
        };
        Some(packet(to, &fields, payload))
    }

    /// The next 20 ms of what is played.
    pub(crate) fn tick(&mut self) -> Option<Packet> {
        let Audio::Play(playlist) = &mut self.audio else {
            return None;
        };
        let mut samples = [0; FRAME_SAMPLES];
        playlist.fill(&mut samples);
        let codec = self.agreement.codec;
        let fields = RtpFields {
            marker: self.marker,
            payload_type: codec.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        // Time goes on while the peer holds.
        self.timestamp = self
            .timestamp
            .wrapping_add(FRAME_SAMPLES as u32 * audio_codec(codec.codec).ticks_per_sample());
        let to = self.destination()?;
        let mut payload = [0; PAYLOAD_LEN_MAX];
        let len = match self.encoder.encode(&samples, &mut payload) {
            Ok(len) => len,
            Err(error) => {
                tracing::error!(%error, "a frame could not be encoded");
                return None;
            }
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.marker = false;
        self.sent += 1;
        Some(packet(to, &fields, payload.get(..len)?))
    }

    /// Where RTP goes; none while the peer holds.
    fn destination(&self) -> Option<SocketAddr> {
        if !self.agreement.sends {
            return None;
        }
        let announced = self.agreement.remote?;
        Some(self.source.unwrap_or(announced))
    }
}

fn packet(to: SocketAddr, fields: &RtpFields, payload: &[u8]) -> Packet {
    let mut bytes = Vec::with_capacity(offhook_rtp::FIXED_HEADER_LEN + payload.len());
    bytes.extend_from_slice(&fields.to_header());
    bytes.extend_from_slice(payload);
    Packet { to, bytes }
}

fn audio_codec(codec: Codec) -> AudioCodec {
    match codec {
        Codec::Opus => AudioCodec::Opus,
        Codec::Pcmu => AudioCodec::Pcmu,
        Codec::Pcma => AudioCodec::Pcma,
    }
}

fn encoder_of(codec: Codec) -> Result<AudioEncoder, AudioError> {
    AudioEncoder::new(audio_codec(codec), &OpusEncoderConfig::default())
}
