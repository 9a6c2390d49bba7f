//! Packets of any payload, order and time through the jitter buffer and the codecs.

use offhook_audio::{
    AudioCodec, JitterConfig, OpusEncoderConfig, PAYLOAD_LEN_MAX, Packet, Pipeline, PipelineConfig,
};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Packets: one byte each for the sequence number, the timestamp in frames, the wait in ms and the length; then the
/// payload. The first byte of all chooses the codec.
pub(crate) const SEEDS: &[&[u8]] = &[
    b"\x00\x01\x01\x14\x03\x08\xff\xfe\x02\x02\x14\x03\x08\xff\xfe\x05\x05\x3c\x03\x08\xff\xfe\x04\x04\x00\x01\x0b",
    b"\x01\x01\x01\x14\x08\xff\xff\xd5\xd5\x7f\x00\x80\x01\x02\x02\x14\x08\xff\xff\xd5\xd5\x7f\x00\x80\x01\xf0\x80\x00\x02aa",
];

/// Packets of one input.
const PACKETS_MAX: usize = 64;

static START: OnceLock<Instant> = OnceLock::new();

pub(crate) fn pipeline(input: &[u8]) {
    let Some((choice, mut rest)) = input.split_first() else {
        return;
    };
    let (received, sent) = match choice % 3 {
        0 => (AudioCodec::Opus, AudioCodec::Pcmu),
        1 => (AudioCodec::Pcma, AudioCodec::Opus),
        _ => (AudioCodec::Pcmu, AudioCodec::Pcma),
    };
    let config = PipelineConfig {
        received,
        sent,
        opus: OpusEncoderConfig::default(),
        jitter: JitterConfig::default(),
    };
    let mut chain = Pipeline::new(&config).expect("codecs that we have");
    let mut now = *START.get_or_init(Instant::now);
    let mut payload = [0; PAYLOAD_LEN_MAX];
    for _ in 0..PACKETS_MAX {
        let [sequence, frames, wait_ms, len, more @ ..] = rest else {
            break;
        };
        let (body, next) = more.split_at(usize::from(*len).min(more.len()));
        rest = next;
        let packet = Packet {
            sequence: u16::from(*sequence).wrapping_mul(257),
            // Not all senders keep to whole frames.
            timestamp: u32::from(*frames) * (received.clock_rate_hz() / 50) + u32::from(*wait_ms % 4) * 37,
            ssrc: u32::from(*choice),
            payload: body,
        };
        chain.push(now, &packet);
        now += Duration::from_millis((*wait_ms).into());
        drain(&mut chain, now, &mut payload);
    }
    drain(&mut chain, now + Duration::from_secs(2), &mut payload);
}

fn drain(chain: &mut Pipeline, now: Instant, payload: &mut [u8]) {
    while let Some(frame) = chain.pop(now, payload) {
        assert!(
            frame.len > 0 && frame.len <= payload.len(),
            "a frame has its length"
        );
    }
}
