//! CPU time of the whole chain against the codec calls alone, per 20 ms and direction.
//!
//! `cargo run --release -p offhook-audio --example transcode_cost [complexity [bit/s [seconds]]]`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a command-line tool that measures time"
)]

mod speech;

use speech::Speech;
use std::hint::black_box;
use std::time::{Duration, Instant};

use offhook_audio::{
    AudioCodec, AudioDecoder, AudioEncoder, AudioError, FRAME_SAMPLES, JitterConfig, OpusEncoderConfig,
    PAYLOAD_LEN_MAX, Packet, Pipeline, PipelineConfig,
};

/// Times that each side is measured; the best one counts.
const ROUNDS: usize = 5;

fn main() -> Result<(), AudioError> {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<u32>().ok());
    let complexity = arguments
        .next()
        .map_or(OpusEncoderConfig::default().complexity, |given| {
            given.min(10) as u8
        });
    let bitrate_bps = arguments
        .next()
        .unwrap_or(OpusEncoderConfig::default().bitrate_bps);
    let frames = arguments.next().unwrap_or(120) as usize * 50;
    let opus = OpusEncoderConfig {
        complexity,
        bitrate_bps,
        ..OpusEncoderConfig::default()
    };
    println!("complexity {complexity}, {bitrate_bps} bit/s, FEC on, {frames} frames, best of {ROUNDS}");
    let mut totals = [0.0; 2];
    for (received, sent) in [
        (AudioCodec::Opus, AudioCodec::Pcmu),
        (AudioCodec::Pcmu, AudioCodec::Opus),
    ] {
        let input = encode(received, &opus, frames)?;
        let (mut codecs_us, mut chain_us) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            codecs_us = codecs_us.min(codecs_alone(received, sent, &opus, &input)?);
            chain_us = chain_us.min(whole_chain(received, sent, &opus, &input)?);
        }
        let ratio = chain_us / codecs_us;
        println!(
            "{received:?} -> {sent:?}: codecs {codecs_us:.2} us, chain {chain_us:.2} us, ratio {ratio:.3}"
        );
        totals[0] += codecs_us;
        totals[1] += chain_us;
    }
    let [codecs_us, chain_us] = totals;
    let ratio = chain_us / codecs_us;
    println!("both ways: codecs {codecs_us:.2} us, chain {chain_us:.2} us, ratio {ratio:.3} (budget 1.15)");
    println!("calls per core by the chain alone: {:.0}", 20_000.0 / chain_us);
    Ok(())
}

/// Speech as packets of `codec`.
fn encode(codec: AudioCodec, opus: &OpusEncoderConfig, frames: usize) -> Result<Vec<Vec<u8>>, AudioError> {
    let mut encoder = AudioEncoder::new(codec, opus)?;
    let mut speech = Speech::default();
    (0..frames)
        .map(|_| {
            let mut payload = [0; PAYLOAD_LEN_MAX];
            let len = encoder.encode(&speech.next_frame(), &mut payload)?;
            Ok(payload[..len].to_vec())
        })
        .collect()
}

fn codecs_alone(
    received: AudioCodec,
    sent: AudioCodec,
    opus: &OpusEncoderConfig,
    input: &[Vec<u8>],
) -> Result<f64, AudioError> {
    let (mut decoder, mut encoder) = (AudioDecoder::new(received)?, AudioEncoder::new(sent, opus)?);
    let (mut samples, mut payload) = ([0; 960], [0; PAYLOAD_LEN_MAX]);
    let started = cpu_time_us();
    for packet in input {
        let len = decoder.decode(packet, &mut samples)?;
        black_box(encoder.encode(&samples[..len], &mut payload)?);
    }
    Ok(per_frame_us(started, input.len()))
}

fn whole_chain(
    received: AudioCodec,
    sent: AudioCodec,
    opus: &OpusEncoderConfig,
    input: &[Vec<u8>],
) -> Result<f64, AudioError> {
    let config = PipelineConfig {
        received,
        sent,
        opus: *opus,
        jitter: JitterConfig::default(),
    };
    let mut chain = Pipeline::new(&config)?;
    let ticks = received.ticks_per_sample() * FRAME_SAMPLES as u32;
    let mut payload = [0; PAYLOAD_LEN_MAX];
    let (first, started) = (Instant::now(), cpu_time_us());
    for (number, packet) in (0_u32..).zip(input) {
        let arrival = first + Duration::from_millis(20) * number;
        let packet = Packet {
            sequence: number as u16,
            timestamp: number * ticks,
            ssrc: 1,
            payload: packet,
        };
        black_box(chain.push(arrival, &packet));
        let due = arrival + Duration::from_millis(10);
        while let Some(frame) = chain.pop(due, &mut payload) {
            black_box(frame);
        }
    }
    Ok(per_frame_us(started, input.len()))
}

fn per_frame_us(started_us: f64, frames: usize) -> f64 {
    (cpu_time_us() - started_us) / frames as f64
}

/// CPU time of this thread so far, so that a busy machine disturbs little; to a few milliseconds. Elsewhere than on
/// Linux it is the time of the wall clock.
fn cpu_time_us() -> f64 {
    let kernel = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = kernel.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(wall_clock_us, |nanoseconds| nanoseconds / 1e3)
}

fn wall_clock_us() -> f64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_epoch.map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
