//! What loss and jitter do to a voice: Opus with its error correction beside both laws of G.711 (R46, R49).
//!
//! The score is a log-spectral distance in dB, frame by frame, from what the same chain makes of the same stream when
//! nothing is lost: 0 is no harm. It knows nothing of hearing, but ranks the same kind of damage as ears do.

use offhook_audio::dtmf::power_at;
use offhook_audio::{
    AudioCodec, AudioDecoder, AudioEncoder, FRAME_SAMPLES, JitterConfig, OpusEncoderConfig, PAYLOAD_LEN_MAX,
    Packet, Pipeline, PipelineConfig, SAMPLE_RATE_HZ,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const SECONDS: usize = 10;
const PACKETS: usize = SECONDS * 50;
const LOSS: f64 = 0.05;
/// Quieter bands than this count as silence.
const FLOOR_DB: f64 = 30.0;

/// Where the virtual clock starts. An `Instant` comes from nowhere else.
#[expect(
    clippy::disallowed_methods,
    reason = "only a starting point; no test reads it again"
)]
fn virtual_now() -> Instant {
    Instant::now()
}

/// Something like a voice: a gliding pitch under a moving formant, in syllables of a third of a second.
fn voice() -> Vec<i16> {
    let mut phase = 0.0_f64;
    let sample = |index: usize| {
        let time = index as f64 / f64::from(SAMPLE_RATE_HZ);
        phase += (130.0 + 40.0 * (time * 3.0).sin()) / f64::from(SAMPLE_RATE_HZ);
        let formant = 900.0 + 600.0 * (time * 9.0).sin();
        let harmonics = (1..=24).map(|harmonic| {
            let distance = (f64::from(harmonic) * 130.0 - formant) / 350.0;
            (phase * f64::from(harmonic) * std::f64::consts::TAU).sin() / (1.0 + distance * distance)
        });
        let syllable = (time * 3.0 * std::f64::consts::TAU).sin().max(0.05);
        (harmonics.sum::<f64>() * 2_500.0 * syllable) as i16
    };
    (0..PACKETS * FRAME_SAMPLES).map(sample).collect()
}

/// The voice as payloads of `codec`, 20 ms each.
fn payloads(codec: AudioCodec) -> Vec<Vec<u8>> {
    let opus = OpusEncoderConfig {
        expected_loss_percent: 10,
        ..OpusEncoderConfig::default()
    };
    let mut encoder = AudioEncoder::new(codec, &opus).expect("good settings");
    let mut payload = [0; PAYLOAD_LEN_MAX];
    let mut encode = |frame: &[i16]| {
        let len = encoder.encode(frame, &mut payload).expect("a whole frame");
        payload[..len].to_vec()
    };
    voice().chunks_exact(FRAME_SAMPLES).map(&mut encode).collect()
}

/// What a far end hears through the gateway: packets late by `jitter_ms` at most, `loss` of them never there.
fn heard(codec: AudioCodec, loss: f64, jitter_ms: u64) -> Vec<i16> {
    let config = PipelineConfig {
        received: codec,
        sent: AudioCodec::Pcmu,
        opus: OpusEncoderConfig::default(),
        jitter: JitterConfig::default(),
    };
    let mut chain = Pipeline::new(&config).expect("good settings");
    let mut decoder = AudioDecoder::new(AudioCodec::Pcmu).expect("memory");
    let (mut delays, mut losses) = (StdRng::seed_from_u64(3), StdRng::seed_from_u64(4));
    let mut arriving = payloads(codec)
        .into_iter()
        .enumerate()
        .map(|(n, payload)| (n as u64 * 20 + delays.random_range(0..=jitter_ms), n, payload))
        .filter(|(_, n, _)| losses.random::<f64>() >= loss || *n == 0)
        .collect::<Vec<_>>();
    arriving.sort_by_key(|(at_ms, n, _)| (*at_ms, *n));
    let mut arriving = arriving.into_iter().peekable();
    let start = virtual_now();
    let mut audio = Vec::new();
    for at_ms in 0..SECONDS as u64 * 1_000 {
        let now = start + Duration::from_millis(at_ms);
        while let Some((_, n, payload)) = arriving.next_if(|(due_ms, ..)| *due_ms <= at_ms) {
            let packet = Packet {
                sequence: n as u16,
                timestamp: n as u32 * FRAME_SAMPLES as u32 * codec.ticks_per_sample(),
                ssrc: 1,
                payload: &payload,
            };
            chain.push(now, &packet);
        }
        let mut payload = [0; PAYLOAD_LEN_MAX];
        while let Some(frame) = chain.pop(now, &mut payload) {
            let mut samples = [0; FRAME_SAMPLES];
            decoder
                .decode(&payload[..frame.len], &mut samples)
                .expect("our own payload");
            audio.extend_from_slice(&samples);
        }
    }
    let stats = chain.stats();
    let lost = PACKETS as u64 - stats.jitter.received;
    if codec == AudioCodec::Opus && lost > 10 {
        assert!(
            stats.recovered * 10 > lost * 7,
            "of {lost} packets lost: {stats:?}"
        );
    }
    audio
}

/// Levels of the telephone band in steps of 200 Hz, dB.
fn spectrum(frame: &[i16]) -> Vec<f64> {
    (1..=16)
        .map(|band| power_at(frame, band as f32 * 200.0, SAMPLE_RATE_HZ))
        .map(|power| (10.0 * power.max(1e-9).log10()).max(FLOOR_DB))
        .collect()
}

/// Mean distance of all frames and bands, dB.
fn distance_db(a: &[i16], b: &[i16]) -> f64 {
    let frames = a.chunks_exact(FRAME_SAMPLES).zip(b.chunks_exact(FRAME_SAMPLES));
    let distances = frames
        .flat_map(|(a, b)| spectrum(a).into_iter().zip(spectrum(b)))
        .map(|(a, b)| (a - b).abs())
        .collect::<Vec<_>>();
    distances.iter().sum::<f64>() / distances.len() as f64
}

/// How much harm a lossy network does to each codec, dB.
fn harm(jitter_ms: u64) -> [f64; 3] {
    [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma]
        .map(|codec| distance_db(&heard(codec, 0.0, jitter_ms), &heard(codec, LOSS, jitter_ms)))
}

#[test]
fn r46_opus_with_its_error_correction_suffers_least_from_loss() {
    let [opus, pcmu, pcma] = harm(0);
    assert!(
        opus < pcmu && opus < pcma,
        "opus {opus:.3}, PCMU {pcmu:.3}, PCMA {pcma:.3} dB"
    );
}

#[test]
fn r49_and_from_loss_with_jitter_at_less_than_half_the_bit_rate() {
    let [opus, pcmu, pcma] = harm(30);
    assert!(
        opus < pcmu && opus < pcma,
        "opus {opus:.3}, PCMU {pcmu:.3}, PCMA {pcma:.3} dB"
    );
    let payloads = payloads(AudioCodec::Opus);
    let bits_per_second = payloads.iter().map(Vec::len).sum::<usize>() * 8 / SECONDS;
    assert!(bits_per_second < 64_000 / 2, "{bits_per_second} bit/s");
    let sizes = payloads.iter().map(Vec::len).collect::<BTreeSet<_>>();
    assert!(
        sizes.len() > 10,
        "sizes of {sizes:?} bytes do not follow the voice"
    );
}
