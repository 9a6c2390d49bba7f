//! Whole chains on a virtual clock: packets of one codec in, frames of another out.

use std::time::{Duration, Instant};

use offhook_audio::dtmf::dominant_frequency;
use offhook_audio::tone::Tone;
use offhook_audio::{
    AudioCodec, AudioDecoder, AudioEncoder, FRAME_SAMPLES, FrameOrigin, JitterConfig, OpusEncoderConfig,
    OutputFrame, PAYLOAD_LEN_MAX, Packet, Pipeline, PipelineConfig, Pushed, SAMPLE_RATE_HZ,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Where the virtual clock starts. An `Instant` comes from nowhere else.
#[expect(
    clippy::disallowed_methods,
    reason = "only a starting point; no test reads it again"
)]
fn virtual_now() -> Instant {
    Instant::now()
}

fn pipeline(received: AudioCodec, sent: AudioCodec) -> Pipeline {
    let config = PipelineConfig {
        received,
        sent,
        opus: OpusEncoderConfig::default(),
        jitter: JitterConfig::default(),
    };
    Pipeline::new(&config).expect("good settings")
}

/// A sender of a 440 Hz tone in packets of any length.
struct Sender {
    codec: AudioCodec,
    encoder: AudioEncoder,
    tone: Tone,
    samples: usize,
    sequence: u16,
    timestamp: u32,
}

impl Sender {
    fn new(codec: AudioCodec, packet_ms: usize) -> Self {
        Self {
            codec,
            encoder: AudioEncoder::new(codec, &OpusEncoderConfig::default()).expect("good settings"),
            tone: Tone::sine(440.0, -12.0),
            samples: packet_ms * 8,
            sequence: 65_500,
            timestamp: u32::MAX - 10_000,
        }
    }

    /// Makes the next packet; the network may lose it.
    fn send(&mut self, chain: &mut Pipeline, now: Instant, arrives: bool) {
        let mut samples = vec![0; self.samples];
        self.tone.fill(&mut samples);
        let mut payload = [0; PAYLOAD_LEN_MAX];
        let len = self
            .encoder
            .encode(&samples, &mut payload)
            .expect("a whole packet");
        let (sequence, timestamp) = (self.sequence, self.timestamp);
        self.sequence = sequence.wrapping_add(1);
        self.timestamp = timestamp.wrapping_add(self.samples as u32 * self.codec.ticks_per_sample());
        if arrives {
            chain.push(
                now,
                &Packet {
                    sequence,
                    timestamp,
                    ssrc: 1,
                    payload: &payload[..len],
                },
            );
        }
    }
}

/// What came out of a chain.
struct Run {
    frames: Vec<OutputFrame>,
    at: Vec<Instant>,
    audio: Vec<i16>,
}

/// Sends for `seconds` through the chain; `survives` says which packets arrive.
fn run(
    chain: &mut Pipeline,
    sent: AudioCodec,
    sender: &mut Sender,
    seconds: usize,
    mut survives: impl FnMut(usize) -> bool,
) -> Run {
    let start = virtual_now();
    let packet_ms = sender.samples / 8;
    let mut decoder = AudioDecoder::new(sent).expect("memory");
    let mut out = Run {
        frames: Vec::new(),
        at: Vec::new(),
        audio: Vec::new(),
    };
    for millisecond in 0..seconds * 1_000 {
        let now = start + Duration::from_millis(millisecond as u64);
        if millisecond % packet_ms == 0 {
            sender.send(chain, now, survives(millisecond / packet_ms));
        }
        let mut payload = [0; PAYLOAD_LEN_MAX];
        while let Some(frame) = chain.pop(now, &mut payload) {
            let mut samples = [0; 960];
            let len = decoder
                .decode(&payload[..frame.len], &mut samples)
                .expect("our own payload");
            out.audio.extend_from_slice(&samples[..len]);
            out.frames.push(frame);
            out.at.push(now);
        }
    }
    out
}

fn assert_tone(audio: &[i16]) {
    let found = dominant_frequency(&audio[4_000..], SAMPLE_RATE_HZ).expect("audio");
    assert!((found - 440.0).abs() < 3.0, "440 Hz came out as {found}");
}

#[test]
fn each_way_keeps_the_tone_and_the_beat() {
    use AudioCodec::{Opus, Pcma, Pcmu};
    for (received, sent) in [
        (Opus, Pcmu),
        (Opus, Pcma),
        (Pcmu, Opus),
        (Pcma, Opus),
        (Pcma, Pcmu),
        (Opus, Opus),
    ] {
        let mut chain = pipeline(received, sent);
        let out = run(&mut chain, sent, &mut Sender::new(received, 20), 2, |_| true);
        assert_tone(&out.audio);
        assert_eq!(out.frames.len(), 100, "{received:?} to {sent:?}");
        let step = FRAME_SAMPLES as u32 * sent.ticks_per_sample();
        let timestamps: Vec<u32> = out.frames.iter().map(|frame| frame.timestamp).collect();
        assert_eq!(timestamps, (0..100).map(|n| n * step).collect::<Vec<_>>());
        let marked: Vec<bool> = out.frames.iter().map(|frame| frame.marker).collect();
        assert!(marked[0] && !marked[1..].contains(&true));
        let stats = chain.stats();
        assert_eq!((stats.decoded, stats.concealed, stats.undecodable), (100, 0, 0));
    }
}

#[test]
fn packets_of_any_length_become_frames_of_20_ms() {
    for (codec, sent) in [
        (AudioCodec::Pcmu, AudioCodec::Opus),
        (AudioCodec::Opus, AudioCodec::Pcma),
    ] {
        let lengths: &[usize] = if codec == AudioCodec::Opus {
            &[10, 40, 60]
        } else {
            &[10, 30, 40, 60]
        };
        for packet_ms in lengths {
            let mut chain = pipeline(codec, sent);
            let out = run(&mut chain, sent, &mut Sender::new(codec, *packet_ms), 3, |_| true);
            assert_tone(&out.audio);
            assert!(
                (148..=150).contains(&out.frames.len()),
                "{codec:?} {packet_ms} ms: {}",
                out.frames.len()
            );
            let stats = chain.stats();
            assert_eq!(
                (stats.concealed, stats.comfort_noise, stats.jitter.late),
                (0, 0, 0),
                "{codec:?} {packet_ms}"
            );
            let gaps = out.at.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(
                gaps.max() <= Some(Duration::from_millis(26)),
                "{codec:?} {packet_ms} ms"
            );
        }
    }
}

#[test]
fn transcoding_adds_at_most_four_milliseconds_of_waiting() {
    let mut chain = pipeline(AudioCodec::Opus, AudioCodec::Pcmu);
    let out = run(
        &mut chain,
        AudioCodec::Pcmu,
        &mut Sender::new(AudioCodec::Opus, 20),
        20,
        |_| true,
    );
    let start = out.at[0] - Duration::from_millis(3);
    let waits = out
        .at
        .iter()
        .enumerate()
        .map(|(n, at)| *at - (start + Duration::from_millis(20) * n as u32));
    assert!(waits.max() <= Some(Duration::from_millis(4)));
}

#[test]
fn lost_packets_are_recovered_or_concealed_and_nothing_skips_a_beat() {
    for (received, sent) in [
        (AudioCodec::Opus, AudioCodec::Pcmu),
        (AudioCodec::Pcma, AudioCodec::Opus),
    ] {
        for loss in [0.05, 0.2] {
            let mut rng = StdRng::seed_from_u64(11);
            let mut chain = pipeline(received, sent);
            let survives = |n: usize| n == 0 || rng.random::<f64>() > loss;
            let out = run(&mut chain, sent, &mut Sender::new(received, 20), 10, survives);
            assert!(out.frames.len() >= 499, "{} frames", out.frames.len());
            assert_tone(&out.audio);
            let stats = chain.stats();
            let bridged = stats.recovered + stats.concealed;
            assert!(bridged as f64 > 500.0 * loss * 0.6, "{received:?}: {stats:?}");
            assert_eq!(
                stats.decoded + bridged + stats.comfort_noise,
                out.frames.len() as u64
            );
        }
    }
}

#[test]
fn a_single_loss_is_recovered_when_the_next_packet_is_there_in_time() {
    let mut chain = pipeline(AudioCodec::Opus, AudioCodec::Pcmu);
    let mut sender = Sender::new(AudioCodec::Opus, 20);
    let now = virtual_now();
    for n in 0..4 {
        sender.send(&mut chain, now, n != 1);
    }
    let mut payload = [0; PAYLOAD_LEN_MAX];
    let origins: Vec<FrameOrigin> =
        std::iter::from_fn(|| chain.pop(now + Duration::from_millis(70), &mut payload))
            .map(|frame| frame.origin)
            .collect();
    use FrameOrigin::{Decoded, Recovered};
    assert_eq!(origins, [Decoded, Recovered, Decoded, Decoded]);
}

#[test]
fn a_silent_source_fades_into_noise_and_comes_back_with_a_marker() {
    let mut chain = pipeline(AudioCodec::Pcmu, AudioCodec::Pcma);
    let survives = |n| !(50..200).contains(&n);
    let out = run(
        &mut chain,
        AudioCodec::Pcma,
        &mut Sender::new(AudioCodec::Pcmu, 20),
        6,
        survives,
    );
    assert_eq!(out.frames.len(), 300, "a frame for every 20 ms");
    let origins: Vec<FrameOrigin> = out.frames.iter().map(|frame| frame.origin).collect();
    assert_eq!(origins[51..54], [FrameOrigin::Concealed; 3]);
    assert_eq!(origins[60..198], [FrameOrigin::ComfortNoise; 138]);
    let marked: Vec<usize> = (0..300).filter(|n| out.frames[*n].marker).collect();
    assert!(
        marked.len() == 2 && marked[0] == 0 && (199..203).contains(&marked[1]),
        "{marked:?}"
    );
    assert_eq!(origins[205..300], [FrameOrigin::Decoded; 95]);
}

#[test]
fn rubbish_is_counted_and_bridged() {
    let mut chain = pipeline(AudioCodec::Opus, AudioCodec::Pcmu);
    let now = virtual_now();
    let push = |chain: &mut Pipeline, payload: &[u8]| {
        chain.push(
            now,
            &Packet {
                sequence: 1,
                timestamp: 960,
                ssrc: 1,
                payload,
            },
        )
    };
    assert_eq!(push(&mut chain, &[]), Pushed::Unusable);
    assert_eq!(push(&mut chain, &[0xFF, 0xFF, 0xFF]), Pushed::Unusable);
    assert_eq!(push(&mut chain, &[0; 2_000]), Pushed::Unusable);
    assert_eq!(chain.poll_timeout(), None);
    assert_eq!(chain.stats().undecodable, 3);
    // A code-2 packet whose first frame claims more than there is: the length is plausible, the content is not.
    assert_eq!(push(&mut chain, &[0x0A, 0xFB, 0x01]), Pushed::Restarted);
    let frame = chain
        .pop(now + Duration::from_millis(10), &mut [0; PAYLOAD_LEN_MAX])
        .expect("a frame all the same");
    assert_eq!(frame.origin, FrameOrigin::Concealed);
    assert_eq!(chain.stats().undecodable, 4);
}

#[test]
fn packets_of_a_single_octet_do_not_stop_the_clock() {
    let mut chain = pipeline(AudioCodec::Pcma, AudioCodec::Pcmu);
    let now = virtual_now();
    for n in 0..10 {
        chain.push(
            now,
            &Packet {
                sequence: n,
                timestamp: u32::from(n),
                ssrc: 1,
                payload: &[0xD5],
            },
        );
    }
    let mut payload = [0; PAYLOAD_LEN_MAX];
    let later = now + Duration::from_millis(100);
    let frames = std::iter::from_fn(|| chain.pop(later, &mut payload))
        .take(1_000)
        .count();
    assert!((3..=5).contains(&frames), "{frames} frames in 100 ms");
}

#[test]
fn a_caller_that_was_held_up_skips_what_nobody_wants_to_hear_any_more() {
    let mut chain = pipeline(AudioCodec::Pcmu, AudioCodec::Opus);
    let now = virtual_now();
    chain.push(
        now,
        &Packet {
            sequence: 1,
            timestamp: 0,
            ssrc: 1,
            payload: &[0xFF; 160],
        },
    );
    let mut payload = [0; PAYLOAD_LEN_MAX];
    assert!(chain.pop(now + Duration::from_millis(10), &mut payload).is_some());
    let late = now + Duration::from_secs(60);
    let frames = std::iter::from_fn(|| chain.pop(late, &mut payload)).count();
    assert!(frames <= 11, "{frames} frames at once");
    assert!(chain.stats().skipped > 2_900);
    assert!(chain.poll_timeout() > Some(late));
}

#[test]
fn too_little_room_loses_a_frame_not_the_chain() {
    let mut chain = pipeline(AudioCodec::Pcmu, AudioCodec::Pcma);
    let now = virtual_now();
    for n in 0..2 {
        chain.push(
            now,
            &Packet {
                sequence: n,
                timestamp: u32::from(n) * 160,
                ssrc: 1,
                payload: &[0xD5; 160],
            },
        );
    }
    let later = now + Duration::from_millis(25);
    assert_eq!(chain.pop(later, &mut [0; 10]), None);
    assert_eq!(
        chain.pop(later, &mut [0; 160]).expect("the next one").timestamp,
        160
    );
}
