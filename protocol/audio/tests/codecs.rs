//! Opus at the narrow rate, loss concealment, tones and their detection.

use offhook_audio::dtmf::{DtmfDetector, dominant_frequency, frequencies_of, power_at};
use offhook_audio::g711::{self, Law};
use offhook_audio::tone::{ComfortNoise, RingbackStyle, Tone};
use offhook_audio::{
    AudioCodec, AudioDecoder, AudioEncoder, AudioError, FRAME_SAMPLES, G711Concealer, OpusDecoder,
    OpusEncoder, OpusEncoderConfig, PAYLOAD_LEN_MAX, SAMPLE_RATE_HZ, level,
};

fn tone(frequency_hz: f32, frames: usize) -> Vec<i16> {
    let mut samples = vec![0; frames * FRAME_SAMPLES];
    Tone::sine(frequency_hz, -12.0).fill(&mut samples);
    samples
}

/// Something like a voice: a pitch of 125 Hz that glides, with harmonics under a moving formant.
fn voice(frames: usize) -> Vec<i16> {
    let mut phase = 0.0_f64;
    let sample = |index: usize| {
        let time = index as f64 / f64::from(SAMPLE_RATE_HZ);
        phase += (125.0 + 30.0 * (time * 7.0).sin()) / f64::from(SAMPLE_RATE_HZ);
        let formant = 700.0 + 500.0 * (time * 11.0).sin();
        let harmonics = (1..=20).map(|harmonic| {
            let distance = (f64::from(harmonic) * 125.0 - formant) / 400.0;
            (phase * f64::from(harmonic) * std::f64::consts::TAU).sin() / (1.0 + distance * distance)
        });
        (harmonics.sum::<f64>() * 1_800.0 * (1.0 + 0.5 * (time * 25.0).sin())) as i16
    };
    (0..frames * FRAME_SAMPLES).map(sample).collect()
}

fn encode_all(samples: &[i16], config: &OpusEncoderConfig) -> Vec<Vec<u8>> {
    let mut encoder = OpusEncoder::new(config).expect("good settings");
    let mut payload = [0; PAYLOAD_LEN_MAX];
    let mut encode = |frame: &[i16]| {
        let len = encoder.encode(frame, &mut payload).expect("a whole frame");
        payload[..len].to_vec()
    };
    samples.chunks_exact(FRAME_SAMPLES).map(&mut encode).collect()
}

/// How far `got` is from `expected`, as a signal-to-noise ratio in dB.
fn snr_db(expected: &[i16], got: &[i16]) -> f64 {
    let energy = |samples: &mut dyn Iterator<Item = f64>| samples.map(|sample| sample * sample).sum::<f64>();
    let signal = energy(&mut expected.iter().map(|sample| f64::from(*sample)));
    let noise = energy(
        &mut expected
            .iter()
            .zip(got)
            .map(|(a, b)| f64::from(*a) - f64::from(*b)),
    );
    10.0 * (signal / noise.max(1.0)).log10()
}

#[test]
fn opus_at_8_khz_keeps_frequency_and_level() {
    for frequency in [300.0, 440.0, 1_000.0, 2_500.0] {
        let samples = tone(frequency, 50);
        let mut decoder = OpusDecoder::new().unwrap();
        let mut decoded = Vec::new();
        for payload in encode_all(&samples, &OpusEncoderConfig::default()) {
            let mut frame = [0; 960];
            let len = decoder.decode(&payload, &mut frame).unwrap();
            assert_eq!(len, FRAME_SAMPLES);
            decoded.extend_from_slice(&frame[..len]);
        }
        let settled = &decoded[3_200..];
        let found = dominant_frequency(settled, SAMPLE_RATE_HZ).unwrap();
        assert!((found - frequency).abs() < 3.0, "{frequency} came out as {found}");
        assert!(
            (level::dbov(settled) - level::dbov(&samples)).abs() < 1.5,
            "{frequency}"
        );
        let share = power_at(settled, frequency, SAMPLE_RATE_HZ)
            / 10_f64.powf(f64::from(level::dbov(settled)) / 10.0)
            / f64::from(i16::MAX).powi(2);
        assert!(
            share > 0.97,
            "{frequency}: {share} of the energy is the tone (15 dB of SNR)"
        );
    }
}

#[test]
fn opus_bit_rate_follows_the_setting_and_varies() {
    let samples = voice(250);
    let total = |bitrate_bps, constant_bitrate| {
        let config = OpusEncoderConfig {
            bitrate_bps,
            constant_bitrate,
            ..OpusEncoderConfig::default()
        };
        let packets = encode_all(&samples, &config);
        let lengths: std::collections::BTreeSet<usize> = packets.iter().map(Vec::len).collect();
        (packets.iter().map(Vec::len).sum::<usize>() * 8 / 5, lengths.len())
    };
    let (low, lengths) = total(12_000, false);
    assert!(
        (8_000..=12_500).contains(&low) && lengths > 5,
        "{low} bit/s in {lengths} lengths"
    );
    let (high, _) = total(24_000, false);
    assert!((low + 4_000..=25_000).contains(&high), "{high}");
    let (constant, lengths) = total(16_000, true);
    assert_eq!((constant, lengths), (16_000, 1));
}

#[test]
fn opus_settings_out_of_range_are_held_in_it() {
    let wild = OpusEncoderConfig {
        bitrate_bps: 0,
        complexity: 200,
        expected_loss_percent: 255,
        ..Default::default()
    };
    assert!(
        encode_all(&tone(440.0, 2), &wild)
            .iter()
            .all(|payload| !payload.is_empty())
    );
}

/// What is done about a lost packet.
#[derive(Clone, Copy, PartialEq)]
enum Repair {
    NotLost,
    ByNextPacket,
    ByConcealment,
}

/// Decodes a stream in which every tenth packet is lost; gives the audio of just those.
fn tenth_frames(packets: &[Vec<u8>], repair: Repair) -> Vec<i16> {
    let mut decoder = OpusDecoder::new().expect("memory");
    let mut tenths = Vec::new();
    for (index, pair) in packets.windows(2).enumerate() {
        let mut frame = [0; FRAME_SAMPLES];
        let is_tenth = index % 10 == 9;
        let made = match repair {
            Repair::ByNextPacket if is_tenth => decoder.recover(&pair[1], &mut frame),
            Repair::ByConcealment if is_tenth => decoder.conceal(&mut frame),
            _ => decoder.decode(&pair[0], &mut frame),
        };
        assert_eq!(made, Ok(FRAME_SAMPLES));
        if is_tenth {
            tenths.extend_from_slice(&frame);
        }
    }
    tenths
}

#[test]
fn opus_error_correction_recovers_a_single_loss_better_than_concealment() {
    let config = OpusEncoderConfig {
        bitrate_bps: 24_000,
        expected_loss_percent: 20,
        ..OpusEncoderConfig::default()
    };
    let packets = encode_all(&voice(200), &config);
    let clean = tenth_frames(&packets, Repair::NotLost);
    let with = snr_db(&clean, &tenth_frames(&packets, Repair::ByNextPacket));
    let without = snr_db(&clean, &tenth_frames(&packets, Repair::ByConcealment));
    println!("lost frames: {with:.1} dB by error correction, {without:.1} dB by concealment");
    assert!(
        with > without + 3.0 && with > 4.0,
        "{with:.1} dB against {without:.1} dB"
    );
}

#[test]
fn what_is_not_opus_is_refused() {
    let mut decoder = OpusDecoder::new().unwrap();
    let mut frame = [0; 960];
    let refused = |payload: &[u8], decoder: &mut OpusDecoder, frame: &mut [i16]| {
        assert_eq!(
            decoder.decode(payload, frame),
            Err(AudioError::BadPayload {
                codec: AudioCodec::Opus,
                len: payload.len()
            })
        );
    };
    refused(&[], &mut decoder, &mut frame);
    refused(&[0xFF, 0xFF, 0xFF, 0xFF], &mut decoder, &mut frame);
    let good = &encode_all(&tone(440.0, 1), &OpusEncoderConfig::default())[0];
    refused(good, &mut decoder, &mut [0; 80]);
    assert_eq!(
        decoder.decode(good, &mut frame),
        Ok(FRAME_SAMPLES),
        "it goes on after them"
    );
}

#[test]
fn each_codec_goes_there_and_back() {
    let samples = voice(25);
    for codec in [AudioCodec::Pcmu, AudioCodec::Pcma] {
        let mut encoder = AudioEncoder::new(codec, &OpusEncoderConfig::default()).unwrap();
        let mut decoder = AudioDecoder::new(codec).unwrap();
        let mut out = Vec::new();
        for frame in samples.chunks_exact(FRAME_SAMPLES) {
            let mut payload = [0; FRAME_SAMPLES];
            assert_eq!(encoder.encode(frame, &mut payload), Ok(FRAME_SAMPLES));
            let mut decoded = [0; FRAME_SAMPLES];
            assert_eq!(decoder.decode(&payload, &mut decoded), Ok(FRAME_SAMPLES));
            out.extend_from_slice(&decoded);
        }
        assert!(
            snr_db(&samples, &out) > 30.0,
            "{codec:?}: {:.1} dB",
            snr_db(&samples, &out)
        );
        let error = encoder
            .encode(&samples[..FRAME_SAMPLES], &mut [0; 10])
            .unwrap_err();
        assert_eq!(
            error,
            AudioError::NoRoom {
                room: 10,
                needed: FRAME_SAMPLES
            }
        );
    }
}

#[test]
fn g711_concealment_goes_on_with_the_pitch_then_fades_to_silence() {
    let samples = tone(200.0, 20);
    let mut concealer = G711Concealer::default();
    let (played, lost) = samples.split_at(10 * FRAME_SAMPLES);
    concealer.decoded(&mut played.to_vec());
    let mut made_up = vec![0; 4 * FRAME_SAMPLES];
    concealer.conceal(&mut made_up);
    assert!(
        snr_db(&lost[..80], &made_up[..80]) > 15.0,
        "{:.1} dB",
        snr_db(&lost[..80], &made_up[..80])
    );
    let levels: Vec<f32> = made_up.chunks(80).map(level::dbov).collect();
    assert!(
        levels.windows(2).all(|pair| pair[1] <= pair[0] + 0.1),
        "{levels:?}"
    );
    assert_eq!(levels[6..], [level::SILENCE_DBOV; 2], "silent after 60 ms");
    let mut back = lost[4 * FRAME_SAMPLES..5 * FRAME_SAMPLES].to_vec();
    concealer.decoded(&mut back);
    assert_eq!(
        back[FRAME_SAMPLES - 120..],
        lost[5 * FRAME_SAMPLES - 120..5 * FRAME_SAMPLES]
    );
    assert!(back[0].abs() < 2_000, "it fades in");
}

#[test]
fn g711_concealment_beats_silence_on_a_voice() {
    let samples = voice(100);
    let mut concealer = G711Concealer::default();
    let mut lost = Vec::new();
    let mut made_up = Vec::new();
    for (index, frame) in samples.chunks_exact(FRAME_SAMPLES).enumerate() {
        let mut out = frame.to_vec();
        if index % 10 == 5 {
            concealer.conceal(&mut out);
            lost.extend_from_slice(&frame[..80]);
            made_up.extend_from_slice(&out[..80]);
        } else {
            concealer.decoded(&mut out);
        }
    }
    assert!(
        snr_db(&lost, &made_up) > 3.0,
        "{:.1} dB; silence has 0",
        snr_db(&lost, &made_up)
    );
}

#[test]
fn q23_every_digit_is_made_and_found_once() {
    let mut detector = DtmfDetector::default();
    let mut found = String::new();
    for digit in "0123456789*#ABCD".chars() {
        let mut samples = [0; 960];
        Tone::dtmf(digit, 60).unwrap().fill(&mut samples);
        let mut payload = [0; 960];
        g711::encode(Law::Mu, &samples, &mut payload);
        g711::decode(Law::Mu, &payload, &mut samples);
        detector.push(&samples, |digit| found.push(digit));
    }
    assert_eq!(found, "0123456789*#ABCD");
    assert!(Tone::dtmf('x', 60).is_none() && frequencies_of('e').is_none());
    assert_eq!(frequencies_of('d'), Some((941.0, 1633.0)));
}

#[test]
fn digits_are_not_found_in_speech_single_tones_noise_or_silence() {
    let mut detector = DtmfDetector::default();
    let mut noise = vec![0; 16_000];
    ComfortNoise::new(7).fill(&mut noise);
    for samples in [
        voice(250),
        tone(697.0, 50),
        tone(1_209.0, 50),
        noise,
        vec![0; 8_000],
    ] {
        detector.push(&samples, |digit| panic!("found {digit}"));
    }
}

#[test]
fn a_frequency_is_measured_to_a_hertz() {
    for frequency in [200.0, 425.0, 440.0, 480.0, 1_004.0, 3_333.0] {
        let samples = tone(frequency, 10);
        let found = dominant_frequency(&samples, SAMPLE_RATE_HZ).unwrap();
        assert!(
            (found - frequency).abs() <= 1.0,
            "{frequency} measured as {found}"
        );
    }
    assert_eq!(dominant_frequency(&[0; 8_000], SAMPLE_RATE_HZ), None);
    assert_eq!(dominant_frequency(&[100; 10], SAMPLE_RATE_HZ), None);
}

#[test]
fn ringback_has_its_countrys_cadence() {
    let mut tone = Tone::ringback(RingbackStyle::Europe);
    let mut second = || {
        let mut samples = [0; 8_000];
        tone.fill(&mut samples);
        let heard = level::dbov(&samples) > -30.0;
        (
            heard,
            dominant_frequency(&samples, SAMPLE_RATE_HZ).map(f32::round),
        )
    };
    assert_eq!(second(), (true, Some(425.0)));
    assert_eq!([second(), second(), second(), second()], [(false, None); 4]);
    assert_eq!(second(), (true, Some(425.0)));
    let mut american = [0; 4_000];
    Tone::ringback(RingbackStyle::NorthAmerica).fill(&mut american);
    for frequency in [440.0, 480.0] {
        assert!(
            power_at(&american, frequency, SAMPLE_RATE_HZ) > 1e5,
            "{frequency}"
        );
    }
    let mut british = Tone::ringback(RingbackStyle::UnitedKingdom);
    let mut samples = [0; 24_000];
    british.fill(&mut samples);
    let tenths: String = samples
        .chunks(800)
        .map(|tenth| if level::dbov(tenth) > -40.0 { '#' } else { '.' })
        .collect();
    assert_eq!(tenths, "####..####....................");
}

#[test]
fn tones_have_their_level_and_end() {
    assert!((level::dbov(&tone(1_000.0, 50)) + 12.0).abs() < 0.1);
    let mut digit = Tone::dtmf('5', 10).unwrap();
    let mut samples = [1; 160];
    digit.fill(&mut samples);
    assert!(digit.is_over());
    assert_eq!(samples[80..], [0; 80]);
    assert!(!Tone::sine(440.0, -10.0).is_over());
}

#[test]
fn comfort_noise_is_low_and_not_silent() {
    let mut samples = [0; 8_000];
    ComfortNoise::new(0).fill(&mut samples);
    let level = level::dbov(&samples);
    assert!((-75.0..-55.0).contains(&level), "{level}");
    assert_eq!(level::dbov(&[]), level::SILENCE_DBOV);
    assert!(level::dbov(&[i16::MIN; 10]) <= 0.0);
}
