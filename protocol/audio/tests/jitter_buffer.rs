//! The jitter buffer on a virtual clock: each rule, then random networks by seed.

use std::time::{Duration, Instant};

use offhook_audio::{JitterBuffer, JitterConfig, JitterStats, Packet, Pulled, Pushed};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const RATE_HZ: u32 = 8_000;
const FRAME: u32 = 160;
const FRAME_TIME: Duration = Duration::from_millis(20);

/// Where the virtual clock starts. An `Instant` comes from nowhere else.
#[expect(
    clippy::disallowed_methods,
    reason = "only a starting point; no test reads it again"
)]
fn virtual_now() -> Instant {
    Instant::now()
}

fn buffer() -> JitterBuffer {
    JitterBuffer::new(&JitterConfig::default(), RATE_HZ, FRAME)
}

/// Packet number `n` of a stream: its payload is its number.
fn push(buffer: &mut JitterBuffer, now: Instant, n: u32) -> Pushed {
    push_at(buffer, now, n as u16, n.wrapping_mul(FRAME), 7, n)
}

fn push_at(
    buffer: &mut JitterBuffer,
    now: Instant,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    mark: u32,
) -> Pushed {
    let payload = mark.to_be_bytes();
    buffer.push(
        now,
        &Packet {
            sequence,
            timestamp,
            ssrc,
            payload: &payload,
        },
        FRAME,
    )
}

/// What a pull gave: a packet's number, a loss, or a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Played {
    Number(u32),
    Lost { repairable: bool },
    Paused,
}

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.try_into().expect("four bytes"))
}

fn pull(buffer: &mut JitterBuffer) -> Played {
    match buffer.pull().expect("a stream") {
        Pulled::Packet { payload, .. } => Played::Number(number(payload)),
        Pulled::Missing { next, .. } => Played::Lost {
            repairable: next.is_some(),
        },
        Pulled::Pause { .. } => Played::Paused,
    }
}

/// Plays all that is due until `now`.
fn play(buffer: &mut JitterBuffer, now: Instant, into: &mut Vec<Played>) {
    while buffer.due(0).is_some_and(|due| due <= now) {
        into.push(pull(buffer));
    }
}

#[test]
fn packets_come_out_in_order_whatever_order_they_came_in() {
    let (mut buffer, now) = (buffer(), virtual_now());
    assert_eq!(buffer.due(0), None);
    assert_eq!(push(&mut buffer, now, 0), Pushed::Restarted);
    for n in [3, 1, 2] {
        assert_eq!(push(&mut buffer, now, n), Pushed::Queued);
    }
    let played: Vec<Played> = (0..4).map(|_| pull(&mut buffer)).collect();
    assert_eq!(played, [0, 1, 2, 3].map(Played::Number));
    assert_eq!(buffer.stats().reordered, 2);
}

#[test]
fn duplicates_and_late_packets_are_dropped_and_counted_apart() {
    let (mut buffer, now) = (buffer(), virtual_now());
    for n in [0, 1, 3] {
        push(&mut buffer, now, n);
    }
    assert_eq!(push(&mut buffer, now, 1), Pushed::Duplicate);
    for n in [Some(0), Some(1), None] {
        let expected = n.map_or(Played::Lost { repairable: true }, Played::Number);
        assert_eq!(pull(&mut buffer), expected);
    }
    assert_eq!(push(&mut buffer, now, 0), Pushed::Duplicate, "played, but known");
    assert_eq!(push(&mut buffer, now, 2), Pushed::Late);
    let JitterStats {
        received,
        duplicates,
        late,
        ..
    } = buffer.stats();
    assert_eq!((received, duplicates, late), (6, 2, 1));
}

#[test]
fn a_single_loss_names_the_packet_that_may_repair_it() {
    let (mut buffer, now) = (buffer(), virtual_now());
    for n in [0, 2, 5] {
        push(&mut buffer, now, n);
    }
    let played: Vec<Played> = (0..6).map(|_| pull(&mut buffer)).collect();
    let lost = |repairable| Played::Lost { repairable };
    let expected = [
        Played::Number(0),
        lost(true),
        Played::Number(2),
        lost(false),
        lost(true),
        Played::Number(5),
    ];
    assert_eq!(played, expected);
}

#[test]
fn a_gap_of_time_without_a_gap_of_numbers_is_a_pause() {
    let (mut buffer, now) = (buffer(), virtual_now());
    push_at(&mut buffer, now, 0, 0, 7, 0);
    push_at(&mut buffer, now + 3 * FRAME_TIME, 1, 3 * FRAME, 7, 1);
    let played: Vec<Played> = (0..4).map(|_| pull(&mut buffer)).collect();
    assert_eq!(
        played,
        [
            Played::Number(0),
            Played::Paused,
            Played::Paused,
            Played::Number(1)
        ]
    );
}

#[test]
fn sequence_numbers_and_timestamps_wrap_unnoticed() {
    let (mut buffer, start) = (buffer(), virtual_now());
    let mut played = Vec::new();
    for n in 0..40_u32 {
        let now = start + FRAME_TIME * n;
        let sequence = 65_520_u16.wrapping_add(n as u16);
        let timestamp = (u32::MAX - 20 * FRAME).wrapping_add(n * FRAME);
        push_at(&mut buffer, now, sequence, timestamp, 7, n);
        play(&mut buffer, now + Duration::from_millis(15), &mut played);
    }
    assert_eq!(played, (0..40).map(Played::Number).collect::<Vec<_>>());
    assert_eq!(buffer.stats().restarts, 0);
}

#[test]
fn a_new_source_and_a_jump_of_time_start_anew_without_losing_the_beat() {
    let (mut buffer, now) = (buffer(), virtual_now());
    push(&mut buffer, now, 0);
    assert_eq!(
        push_at(&mut buffer, now + FRAME_TIME, 9_000, 1, 8, 42),
        Pushed::Restarted
    );
    assert_eq!(pull(&mut buffer), Played::Number(42));
    let jumped = push_at(&mut buffer, now + 2 * FRAME_TIME, 9_001, 3_000_000_000, 8, 43);
    assert_eq!(jumped, Pushed::Restarted);
    assert_eq!(pull(&mut buffer), Played::Number(43));
    assert_eq!((buffer.stats().restarts, buffer.stats().skipped), (2, 1));
}

#[test]
fn a_straggler_from_another_time_changes_nothing() {
    let (mut buffer, start) = (buffer(), virtual_now());
    for n in 10..20 {
        push(&mut buffer, start + FRAME_TIME * (n - 10), n);
    }
    let (due, hold) = (buffer.due(0), buffer.stats().hold_us);
    assert_eq!(
        push_at(&mut buffer, start + FRAME_TIME * 10, 9, 2_000_000_000, 7, 9),
        Pushed::Late
    );
    assert_eq!((buffer.due(0), buffer.stats().hold_us), (due, hold));
}

#[test]
fn rfc3550_a_1_a_source_that_numbers_its_packets_anew_is_heard_from_its_second_one() {
    let (mut buffer, mut now) = (buffer(), virtual_now());
    for n in 20_000..20_020 {
        push(&mut buffer, now, n);
        now += FRAME_TIME;
        play(&mut buffer, now, &mut Vec::new());
    }
    let fates = (100..104).map(|n: u16| {
        now += FRAME_TIME;
        push_at(&mut buffer, now, n, 77 + u32::from(n) * FRAME, 7, u32::from(n))
    });
    let expected = [Pushed::Late, Pushed::Restarted, Pushed::Queued, Pushed::Queued];
    assert_eq!(fates.collect::<Vec<_>>(), expected);
    assert_eq!(pull(&mut buffer), Played::Number(101));
}

#[test]
fn old_packets_among_the_new_ones_are_no_new_beginning() {
    let (mut buffer, mut now) = (buffer(), virtual_now());
    for n in 200..300 {
        push(&mut buffer, now, n);
        push(&mut buffer, now, n - 100);
        now += FRAME_TIME;
        play(&mut buffer, now, &mut Vec::new());
    }
    assert_eq!((buffer.stats().restarts, buffer.stats().late), (0, 100));
}

#[test]
fn a_path_that_becomes_slower_for_good_is_followed() {
    let (mut buffer, start) = (buffer(), virtual_now());
    let mut played = Vec::new();
    for n in 0..100_u32 {
        let detour = if n < 30 {
            Duration::ZERO
        } else {
            Duration::from_millis(400)
        };
        let now = start + FRAME_TIME * n + detour;
        push(&mut buffer, now, n);
        play(&mut buffer, now + Duration::from_millis(10), &mut played);
    }
    let last: Vec<Played> = played.iter().rev().take(30).copied().collect();
    assert!(
        last.iter().all(|one| matches!(one, Played::Number(_))),
        "{last:?}"
    );
}

#[test]
fn a_stall_that_empties_itself_in_a_burst_leaves_no_lasting_delay() {
    let (mut buffer, start) = (buffer(), virtual_now());
    let mut played = Vec::new();
    for n in 0..400_u32 {
        let sent = FRAME_TIME * n;
        let now = start
            + if (100..160).contains(&n) {
                FRAME_TIME * 160
            } else {
                sent
            };
        play(&mut buffer, now, &mut played);
        push(&mut buffer, now, n);
    }
    let hold = buffer.stats().hold_us;
    assert!(hold < 10_000, "held for {hold} µs at the end");
    assert!(buffer.len() <= 2, "{} packets wait", buffer.len());
}

#[test]
fn a_source_that_comes_back_after_a_silence_is_heard_at_once() {
    let (mut buffer, start) = (buffer(), virtual_now());
    let mut played = Vec::new();
    for n in 0..20 {
        push(&mut buffer, start + FRAME_TIME * n, n);
        play(&mut buffer, start + FRAME_TIME * n, &mut played);
    }
    // Three seconds of nothing; the sender's clock stood still meanwhile.
    let back = start + Duration::from_secs(3);
    play(&mut buffer, back, &mut played);
    assert_eq!(push(&mut buffer, back, 20), Pushed::Restarted);
    assert_eq!(pull(&mut buffer), Played::Number(20));
}

#[test]
fn what_waits_is_bounded() {
    let (mut buffer, now) = (buffer(), virtual_now());
    for n in 0..10_000 {
        push(&mut buffer, now, n % 40);
        push(&mut buffer, now, n);
    }
    assert!(buffer.len() <= offhook_audio::jitter_buffer::JITTER_PACKETS_MAX);
    let empty = Packet {
        sequence: 1,
        timestamp: 1,
        ssrc: 7,
        payload: &[],
    };
    assert_eq!(buffer.push(now, &empty, FRAME), Pushed::Unusable);
    let long = Packet {
        payload: &[0; 1_276],
        ..empty
    };
    assert_eq!(buffer.push(now, &long, FRAME), Pushed::Unusable);
}

#[test]
fn packets_that_are_no_multiple_of_a_frame_wait_for_the_one_that_completes_it() {
    let start = virtual_now();
    for (packet_ticks, wait_ms) in [(80, 10), (160, 0), (240, 10), (320, 0), (480, 0)] {
        let mut buffer = buffer();
        buffer.push(
            start,
            &Packet {
                sequence: 0,
                timestamp: 0,
                ssrc: 7,
                payload: &[1],
            },
            packet_ticks,
        );
        let expected = JitterConfig::default().start_delay + Duration::from_millis(wait_ms);
        assert_eq!(buffer.due(0), Some(start + expected), "{packet_ticks} ticks");
    }
}

#[test]
fn playout_runs_at_the_senders_clock() {
    for drift in [-500_i64, 500] {
        let (mut buffer, start) = (buffer(), virtual_now());
        let mut played = Vec::new();
        for n in 0..30_000_u32 {
            let micros = i64::from(n) * (20_000 * 1_000_000 + 20_000 * drift) / 1_000_000;
            let now = start + Duration::from_micros(micros as u64);
            push(&mut buffer, now, n);
            play(&mut buffer, now + Duration::from_millis(10), &mut played);
        }
        let lost = played
            .iter()
            .filter(|one| !matches!(one, Played::Number(_)))
            .count();
        assert_eq!((played.len(), lost), (30_000, 0), "ten minutes at {drift} ppm");
        assert!(buffer.stats().hold_us < 12_000);
    }
}

/// A network: jitter up to `jitter_ms`, loss and duplication in percent.
struct Network {
    jitter_ms: f64,
    loss: u32,
    duplicates: u32,
}

struct Outcome {
    played: Vec<Played>,
    /// From a packet's sending to its playing, in milliseconds, for those that were played.
    delays_ms: Vec<f64>,
    stats: JitterStats,
    /// Greatest distance of two deadlines, milliseconds.
    longest_ms: f64,
}

fn simulate(seed: u64, packets: u32, network: impl Fn(u32) -> Network) -> Outcome {
    let mut rng = StdRng::seed_from_u64(seed);
    let start = virtual_now();
    let mut arrivals: Vec<(u64, u32)> = Vec::new();
    for n in 0..packets {
        let Network {
            jitter_ms,
            loss,
            duplicates,
        } = network(n);
        let copies = if rng.random_range(0..100) < loss {
            0
        } else {
            1 + u32::from(rng.random_range(0..100) < duplicates)
        };
        for _ in 0..copies {
            let delay_us = 30_000.0 + rng.random::<f64>() * jitter_ms * 1_000.0;
            arrivals.push((u64::from(n) * 20_000 + delay_us as u64, n));
        }
    }
    arrivals.sort_unstable();
    let mut buffer = buffer();
    let mut outcome = Outcome {
        played: Vec::new(),
        delays_ms: Vec::new(),
        stats: JitterStats::default(),
        longest_ms: 0.0,
    };
    let mut last_due: Option<Instant> = None;
    let mut arrivals = arrivals.into_iter().peekable();
    for millisecond in 0..u64::from(packets) * 20 {
        let now = start + Duration::from_millis(millisecond);
        while let Some((at, n)) = arrivals.next_if(|(at, _)| *at <= millisecond * 1_000) {
            push(&mut buffer, start + Duration::from_micros(at), n);
        }
        while let Some(due) = buffer.due(0).filter(|due| *due <= now) {
            let gap = last_due.map_or(0.0, |last| {
                due.saturating_duration_since(last).as_secs_f64() * 1e3
            });
            outcome.longest_ms = outcome.longest_ms.max(gap);
            last_due = Some(due);
            let one = pull(&mut buffer);
            if let Played::Number(n) = one {
                outcome
                    .delays_ms
                    .push((due - start).as_secs_f64() * 1e3 - f64::from(n) * 20.0 - 30.0);
            }
            outcome.played.push(one);
        }
    }
    outcome.stats = buffer.stats();
    outcome
}

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

#[test]
fn on_a_clean_network_packets_are_hardly_held() {
    let outcome = simulate(1, 1_500, |_| Network {
        jitter_ms: 1.0,
        loss: 0,
        duplicates: 0,
    });
    let p99 = quantile(&outcome.delays_ms, 0.99);
    println!(
        "clean network: hold p50 {:.1} ms, p99 {p99:.1} ms",
        quantile(&outcome.delays_ms, 0.5)
    );
    assert!(p99 <= 4.0, "{p99} ms; with a packet of 20 ms the budget is 24 ms");
    assert_eq!(outcome.stats.late, 0);
}

#[test]
fn the_hold_grows_with_jitter_and_shrinks_back() {
    let network = |n: u32| Network {
        jitter_ms: if (500..1_500).contains(&n) { 60.0 } else { 1.0 },
        loss: 0,
        duplicates: 0,
    };
    let outcome = simulate(2, 3_000, network);
    let part = |from: usize, to: usize| quantile(&outcome.delays_ms[from..to], 0.5);
    let (before, during, after) = (part(200, 450), part(800, 1_300), part(2_200, 2_800));
    println!("hold p50: {before:.1} ms, under 60 ms of jitter {during:.1} ms, then {after:.1} ms");
    assert!(
        before < 4.0 && (45.0..75.0).contains(&during) && after < 4.0,
        "{before} {during} {after}"
    );
    assert!(outcome.stats.late < 50, "{} of 1,000 late", outcome.stats.late);
}

#[test]
fn random_networks_never_break_order_or_bounds() {
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xA5A5);
        let (jitter_ms, loss, duplicates) = (
            rng.random::<f64>() * 150.0,
            rng.random_range(0..30),
            rng.random_range(0..10),
        );
        let outcome = simulate(seed, 600, |_| Network {
            jitter_ms,
            loss,
            duplicates,
        });
        let numbers: Vec<u32> = outcome
            .played
            .iter()
            .filter_map(|one| {
                if let Played::Number(n) = one {
                    Some(*n)
                } else {
                    None
                }
            })
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "seed {seed}: out of order"
        );
        let spoken = outcome.played.len() as f64 / 600.0;
        assert!(
            (0.9..=1.05).contains(&spoken),
            "seed {seed}: {} deadlines for 600 packets",
            outcome.played.len()
        );
        assert!(
            outcome.longest_ms <= 31.0,
            "seed {seed}: {} ms without a deadline",
            outcome.longest_ms
        );
        let slowest = quantile(&outcome.delays_ms, 1.0);
        assert!(
            slowest < 232.0,
            "seed {seed}: held {slowest} ms under {jitter_ms} ms of jitter"
        );
        let heard = numbers.len() as f64 / (600.0 * (1.0 - f64::from(loss) / 100.0));
        assert!(
            heard > 0.85,
            "seed {seed}: only {heard:.2} of what came was played ({jitter_ms} ms, {loss} %)"
        );
    }
}
