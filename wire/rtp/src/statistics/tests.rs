//! RFC 3550 A.1, A.3, A.8 and §6.4.1 by example.

use super::*;

const FRAME: Duration = Duration::from_millis(20);

/// Feeds sequence numbers 20 ms and 160 units apart, in the order given.
fn stream(first: u16, others: impl IntoIterator<Item = u16>) -> (ReceiverStats, Instant) {
    let start = crate::origin();
    let mut stats = ReceiverStats::new(Ssrc(1), 8_000, first, 0, start);
    let mut now = start;
    for sequence in others {
        now += FRAME;
        let frames = u32::from(sequence.wrapping_sub(first));
        stats.receive(sequence, frames * 160, now);
    }
    (stats, now)
}

#[test]
fn a_3_loss_is_counted_across_the_wrap() {
    let (mut stats, now) = stream(65_530, [65_531, 65_533, 65_535, 0, 1, 4]);
    let report = stats.make_report(now);
    assert_eq!(report.highest_sequence, 0x0001_0004);
    assert_eq!((stats.received(), stats.lost()), (7, 4));
    assert_eq!(report.cumulative_lost, 4);
    assert_eq!(report.fraction_lost, (4 * 256 / 11) as u8);
}

#[test]
fn a_3_fraction_is_that_of_the_interval_and_cumulative_that_of_the_stream() {
    let (mut stats, now) = stream(0, [2, 4]);
    assert_eq!(stats.make_report(now).fraction_lost, (2 * 256 / 5) as u8);
    for sequence in 5..10 {
        stats.receive(sequence, u32::from(sequence) * 160, now);
    }
    let report = stats.make_report(now);
    assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 2));
    assert_eq!(stats.make_report(now).fraction_lost, 0);
}

#[test]
fn a_3_duplicates_make_the_loss_negative_and_the_fraction_zero() {
    let (mut stats, now) = stream(10, [11, 11, 11, 12]);
    let report = stats.make_report(now);
    assert_eq!((report.cumulative_lost, report.fraction_lost), (-2, 0));
}

#[test]
fn a_1_late_packets_repair_the_loss() {
    let (stats, _) = stream(0, [1, 4, 2, 3]);
    assert_eq!(stats.lost(), 0);
}

#[test]
fn a_1_a_stray_packet_is_not_counted_and_two_in_a_row_restart() {
    let (mut stats, now) = stream(0, [1, 2]);
    assert_eq!(stats.receive(40_000, 0, now), SequenceVerdict::Jumped);
    assert_eq!(stats.receive(3, 480, now), SequenceVerdict::Ahead);
    assert_eq!(stats.receive(40_001, 0, now), SequenceVerdict::Jumped);
    assert_eq!((stats.received(), stats.lost()), (4, 0));
    assert_eq!(stats.receive(40_002, 0, now), SequenceVerdict::Restarted);
    assert_eq!((stats.received(), stats.lost()), (1, 0));
    assert_eq!(stats.receive(40_003, 160, now), SequenceVerdict::Ahead);
}

#[test]
fn a_sender_that_skips_ahead_all_the_time_wraps_the_report_and_breaks_nothing() {
    let (mut stats, now) = stream(0, []);
    let mut sequence = 0u16;
    for _ in 0..1_500_000 {
        sequence = sequence.wrapping_add(2_999);
        stats.receive(sequence, 0, now);
    }
    let report = stats.make_report(now);
    assert_eq!(u64::from(report.highest_sequence), 1_500_000 * 2_999 % (1 << 32));
    assert_eq!((report.cumulative_lost, report.fraction_lost), (0x7f_ffff, 255));
}

#[test]
fn a_8_even_arrival_has_no_jitter() {
    let (stats, _) = stream(0, 1..200);
    assert_eq!(stats.jitter(), Duration::ZERO);
}

#[test]
fn a_8_jitter_settles_at_the_mean_deviation() {
    let start = crate::origin();
    let mut stats = ReceiverStats::new(Ssrc(1), 8_000, 0, 0, start);
    for sequence in 1..1_000u16 {
        // Every second packet is 10 ms late: each transit differs from the last by 10 ms.
        let late = Duration::from_millis(u64::from(sequence % 2) * 10);
        stats.receive(
            sequence,
            u32::from(sequence) * 160,
            start + FRAME * u32::from(sequence) + late,
        );
    }
    let jitter = stats.jitter().as_secs_f64() * 1_000.0;
    assert!((9.0..=10.1).contains(&jitter), "{jitter} ms");
}

#[test]
fn a_8_a_jump_of_the_media_clock_is_not_jitter() {
    let (mut stats, now) = stream(0, 1..50);
    stats.receive(50, 0x8000_0000, now + FRAME);
    stats.receive(51, 0x8000_00a0, now + FRAME * 2);
    assert_eq!(stats.jitter(), Duration::ZERO);
}

#[test]
fn section_6_4_1_round_trip_of_the_rfc() {
    // The example of RFC 3550 figure 2: 6.125 s.
    let block = ReportBlock {
        last_sr: 0xb705_2000,
        delay_since_last_sr: 0x0005_4000,
        ..stream(0, []).0.make_report(crate::origin())
    };
    let arrival = NtpTime(0x0000_b710_8000_0000);
    assert_eq!(round_trip(arrival, &block), Some(Duration::from_millis(6_125)));
    assert_eq!(round_trip(NtpTime(0), &ReportBlock { last_sr: 0, ..block }), None);
    assert_eq!(
        round_trip(NtpTime(0x0000_b705_2000_0000), &block),
        None,
        "before it was sent"
    );
}

#[test]
fn delay_since_the_last_sender_report() {
    let (mut stats, now) = stream(0, [1]);
    let ntp = NtpTime::from_unix(Duration::from_millis(1_700_000_000_500));
    stats.receive_sender_report(ntp, now);
    let report = stats.make_report(now + Duration::from_millis(1_500));
    assert_eq!(report.last_sr, ntp.middle());
    assert_eq!(report.delay_since_last_sr, 0x0001_8000);
    assert_eq!(ntp.0 as u32, 0x8000_0000, "half a second");
}
