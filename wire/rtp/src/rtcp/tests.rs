//! Compounds written and read back, compounds by hand, and any bytes.

use proptest::prelude::*;

use super::*;

const BLOCK: ReportBlock = ReportBlock {
    ssrc: Ssrc(0x0a0b_0c0d),
    fraction_lost: 64,
    cumulative_lost: -3,
    highest_sequence: 0x0001_fffe,
    jitter: 77,
    last_sr: 0x1234_5678,
    delay_since_last_sr: 0x0001_0000,
};
const INFO: SenderInfo = SenderInfo {
    ntp: NtpTime(0xe000_0000_8000_0000),
    rtp_timestamp: 160,
    packets: 2,
    octets: 320,
};

fn full() -> Vec<u8> {
    let mut bytes = Vec::new();
    CompoundWriter::new(&mut bytes)
        .sender_report(Ssrc(1), &INFO, &[BLOCK, BLOCK])
        .cname(Ssrc(1), "någon")
        .goodbye(Ssrc(1), Some("moved"));
    bytes
}

#[test]
fn reads_what_it_writes() {
    let bytes = full();
    let compound = Compound::parse(&bytes).unwrap();
    let packets: Vec<_> = compound.packets().collect();
    let [
        Packet::SenderReport {
            ssrc: Ssrc(1),
            info,
            reports,
        },
        Packet::SourceDescription(chunks),
        Packet::Goodbye { sources, reason },
    ] = &packets[..]
    else {
        panic!("{packets:?}");
    };
    assert_eq!(*info, INFO);
    assert_eq!(reports.clone().collect::<Vec<_>>(), [BLOCK, BLOCK]);
    let chunk = SdesChunk {
        ssrc: Ssrc(1),
        cname: Some("någon".as_bytes()),
    };
    assert_eq!(chunks.clone().collect::<Vec<_>>(), [chunk]);
    assert_eq!(
        (sources.clone().collect::<Vec<_>>(), *reason),
        (vec![Ssrc(1)], Some(&b"moved"[..]))
    );
}

#[test]
fn receiver_report_without_blocks_is_eight_bytes() {
    let mut bytes = Vec::new();
    CompoundWriter::new(&mut bytes).receiver_report(Ssrc(5), &[]);
    assert_eq!(bytes, [0x80, 201, 0, 1, 0, 0, 0, 5]);
}

#[test]
fn cumulative_loss_is_held_within_24_bits() {
    for (given, read) in [(0x7fff_ffff, 0x7f_ffff), (-0x7fff_ffff, -0x80_0000), (-1, -1)] {
        let mut bytes = Vec::new();
        CompoundWriter::new(&mut bytes).receiver_report(
            Ssrc(5),
            &[ReportBlock {
                cumulative_lost: given,
                ..BLOCK
            }],
        );
        let compound = Compound::parse(&bytes).unwrap();
        let Some(Packet::ReceiverReport { mut reports, .. }) = compound.packets().next() else {
            panic!()
        };
        assert_eq!(reports.next().unwrap().cumulative_lost, read);
    }
}

#[test]
fn unknown_types_and_reduced_size_are_skipped_not_refused() {
    // Transport-wide feedback alone (RFC 5506), then a BYE without reason.
    let bytes = [
        0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x81, 203, 0, 1, 0, 0, 0, 9,
    ];
    let kinds: Vec<_> = Compound::parse(&bytes).unwrap().packets().collect();
    assert!(matches!(kinds[0], Packet::Unknown { packet_type: 205 }));
    assert!(matches!(kinds[1], Packet::Goodbye { reason: None, .. }));
}

#[test]
fn padding_only_in_the_last_packet() {
    let padded_rr = [0xa0, 201, 0, 2, 0, 0, 0, 5, 0, 0, 0, 4];
    assert!(Compound::parse(&padded_rr).is_ok());
    let twice = [padded_rr, padded_rr].concat();
    assert_eq!(Compound::parse(&twice).unwrap_err(), RtcpError::Padding { at: 0 });
    for bad in [0, 3, 12] {
        let mut bytes = padded_rr;
        bytes[11] = bad;
        assert_eq!(Compound::parse(&bytes).unwrap_err(), RtcpError::Padding { at: 0 });
    }
}

#[test]
fn every_cut_of_a_compound_is_refused_or_ends_between_packets() {
    let bytes = full();
    let boundaries: Vec<_> = [76, 96].into();
    for len in 0..bytes.len() {
        assert_eq!(
            Compound::parse(&bytes[..len]).is_ok(),
            boundaries.contains(&len),
            "{len}"
        );
    }
}

#[test]
fn counts_that_the_content_does_not_hold_are_refused() {
    for (packet_type, count) in [(SR, 3), (RR, 1), (SDES, 2), (BYE, 2)] {
        let bytes = [0x80 | count, packet_type, 0, 1, 0, 0, 0, 5];
        assert_eq!(
            Compound::parse(&bytes).unwrap_err(),
            RtcpError::Content { at: 0, packet_type }
        );
    }
    assert_eq!(
        Compound::parse(&[0x40, 201, 0, 0]).unwrap_err(),
        RtcpError::Version { at: 0, version: 1 }
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
        packet_type in 198u8..=206,
        words in 0u8..20,
    ) {
        if let [first, second, high, low, ..] = &mut bytes[..] {
            (*first, *second, *high, *low) = ((*first & 0x3f) | 0x80, packet_type, 0, words);
        }
        if let Ok(compound) = Compound::parse(&bytes) {
            for packet in compound.packets() {
                match packet {
                    Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => {
                        prop_assert!(reports.count() <= REPORT_BLOCKS_MAX);
                    }
                    Packet::SourceDescription(chunks) => prop_assert!(chunks.count() <= 31),
                    Packet::Goodbye { sources, .. } => prop_assert!(sources.count() <= 31),
                    Packet::Unknown { packet_type } => prop_assert!(!(SR..=BYE).contains(&packet_type)),
                }
            }
        }
    }
}
