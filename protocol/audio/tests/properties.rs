//! Whatever packets come, at whatever times: the chain neither panics nor grows nor runs ahead of the clock.

use std::time::{Duration, Instant};

use offhook_audio::{
    AudioCodec, JitterConfig, OpusEncoderConfig, PAYLOAD_LEN_MAX, Packet, Pipeline, PipelineConfig,
};
use proptest::prelude::*;

/// Where the virtual clock starts. An `Instant` comes from nowhere else.
#[expect(
    clippy::disallowed_methods,
    reason = "only a starting point; no test reads it again"
)]
fn virtual_now() -> Instant {
    Instant::now()
}

/// A packet that may be anything, and how long after the one before it comes, in milliseconds.
fn packet() -> impl Strategy<Value = (u64, u16, u32, u32, Vec<u8>)> {
    let wait_ms = prop_oneof![8 => 0..60_u64, 1 => 0..5_000_u64];
    let sequence = prop_oneof![8 => 0..40_u16, 2 => any::<u16>()];
    let timestamp =
        prop_oneof![8 => (0..40_u32).prop_map(|n| n * 160), 1 => 0..100_000_u32, 1 => any::<u32>()];
    let payload = prop_oneof![
        4 => Just(vec![0xFF; 160]),
        1 => prop::collection::vec(any::<u8>(), 0..1_400),
        1 => prop::collection::vec(any::<u8>(), 0..10),
    ];
    (wait_ms, sequence, timestamp, 0..2_u32, payload)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_packets_at_any_time(opus in any::<bool>(), packets in prop::collection::vec(packet(), 1..80)) {
        let (received, sent) =
            if opus { (AudioCodec::Opus, AudioCodec::Pcmu) } else { (AudioCodec::Pcma, AudioCodec::Pcmu) };
        let config =
            PipelineConfig { received, sent, opus: OpusEncoderConfig::default(), jitter: JitterConfig::default() };
        let mut chain = Pipeline::new(&config).unwrap();
        let start = virtual_now();
        let mut now = start;
        let mut frames = 0_u32;
        for (wait_ms, sequence, timestamp, ssrc, payload) in packets {
            now += Duration::from_millis(wait_ms);
            chain.push(now, &Packet { sequence, timestamp, ssrc, payload: &payload });
            let mut out = [0; PAYLOAD_LEN_MAX];
            while let Some(frame) = chain.pop(now, &mut out) {
                prop_assert_eq!(frame.len, 160);
                frames += 1;
            }
            // A restart may begin with a frame at once; otherwise frames follow the clock.
            let restarts = chain.stats().jitter.restarts as u32 + 1;
            let elapsed = (now - start).as_millis() as u32 / 20;
            prop_assert!(frames <= elapsed + 16 * restarts, "{} frames in {} ms", frames, elapsed * 20);
        }
    }
}
