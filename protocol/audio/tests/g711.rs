//! G.711 against the recommendation's own numbers.

use offhook_audio::g711::{self, Law};

/// A code's magnitude and sign as the recommendation counts them: 0 is the smallest, without line inversions.
fn code(law: Law, octet: u8) -> (usize, bool) {
    let plain = match law {
        Law::Mu => !octet & 0x7F,
        Law::A => (octet ^ 0x55) & 0x7F,
    };
    (usize::from(plain), octet & 0x80 != 0)
}

/// Decision values of table 2a (µ-law, 14 bit units): the first interval is half as wide as the others of its segment.
fn mu_decisions() -> Vec<i32> {
    let mut values = vec![0, 1];
    for segment in 0..8 {
        let steps = if segment == 0 { 15 } else { 16 };
        for _ in 0..steps {
            values.push(values[values.len() - 1] + (2 << segment));
        }
    }
    values
}

/// Decision values of table 1a (A-law, 13 bit units).
fn a_decisions() -> Vec<i32> {
    let mut values = vec![0];
    for segment in 0_i32..8 {
        for _ in 0..16 {
            values.push(values[values.len() - 1] + (2 << (segment - 1).max(0)));
        }
    }
    values
}

#[test]
fn g711_tables_1a_and_2a_end_where_the_recommendation_says() {
    assert_eq!((mu_decisions().len(), mu_decisions()[128]), (129, 8159));
    assert_eq!((a_decisions().len(), a_decisions()[128]), (129, 4096));
}

#[test]
fn every_sample_gets_the_code_of_its_interval() {
    for (law, decisions, shift) in [(Law::Mu, mu_decisions(), 2), (Law::A, a_decisions(), 3)] {
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(if sample < 0 { !sample } else { sample }) >> shift;
            let expected = decisions
                .iter()
                .rposition(|value| *value <= magnitude)
                .unwrap()
                .min(127);
            let octet = g711::from_linear(law, sample);
            assert_eq!(code(law, octet), (expected, sample >= 0), "{law:?} {sample}");
        }
    }
}

#[test]
fn every_code_decodes_to_the_middle_of_its_interval_and_back_to_itself() {
    for (law, decisions, scale) in [(Law::Mu, mu_decisions(), 4), (Law::A, a_decisions(), 8)] {
        for octet in 0..=255_u8 {
            let (number, positive) = code(law, octet);
            let middle = match (law, number) {
                (Law::Mu, 0) => 0,
                _ => (decisions[number] + decisions[number + 1]) * scale / 2,
            };
            let sample = g711::to_linear(law, octet);
            assert_eq!(
                i32::from(sample),
                if positive { middle } else { -middle },
                "{law:?} {octet:#x}"
            );
            // µ-law has two zeros; the samples have one.
            if octet != 0x7F || law == Law::A {
                assert_eq!(g711::from_linear(law, sample), octet, "{law:?}");
            }
        }
    }
}

#[test]
fn known_octets() {
    assert_eq!([g711::silence(Law::Mu), g711::silence(Law::A)], [0xFF, 0xD5]);
    assert_eq!(
        [
            g711::from_linear(Law::Mu, i16::MAX),
            g711::from_linear(Law::Mu, i16::MIN)
        ],
        [0x80, 0x00]
    );
    assert_eq!(
        [
            g711::from_linear(Law::A, i16::MAX),
            g711::from_linear(Law::A, i16::MIN)
        ],
        [0xAA, 0x2A]
    );
}

fn converted(from: Law, to: Law, octet: u8) -> u8 {
    let mut payload = [octet];
    g711::convert(from, to, &mut payload);
    payload[0]
}

/// Tables 3 and 4: A-law value numbers (1 to 128) for each µ-law one (0 to 127), and back.
fn tables_3_and_4() -> (Vec<usize>, Vec<usize>) {
    let mut mu_to_a: Vec<usize> = (0..16).map(|number| number / 2 + 1).collect();
    mu_to_a.extend(9..=24);
    mu_to_a.extend([25, 27, 29, 31]);
    mu_to_a.extend(33..=44);
    mu_to_a.push(46);
    mu_to_a.extend(48..=62);
    mu_to_a.extend(64..=79);
    mu_to_a.extend(81..=128);
    let mut a_to_mu = vec![1, 3, 5, 7, 9, 11, 13, 15];
    a_to_mu.extend(16..=31);
    a_to_mu.extend([32, 32, 33, 33, 34, 34, 35, 35]);
    a_to_mu.extend(36..=47);
    a_to_mu.extend([48, 48, 49, 49]);
    a_to_mu.extend(50..=63);
    a_to_mu.extend([64, 64]);
    a_to_mu.extend(65..=79);
    a_to_mu.extend([80, 80]);
    a_to_mu.extend(81..=127);
    (mu_to_a, a_to_mu)
}

#[test]
fn g711_tables_3_and_4_between_the_laws_bit_for_bit() {
    let (mu_to_a, a_to_mu) = tables_3_and_4();
    assert_eq!((mu_to_a.len(), a_to_mu.len()), (128, 128));
    for octet in 0..=255_u8 {
        let (mu, positive) = code(Law::Mu, octet);
        assert_eq!(
            code(Law::A, converted(Law::Mu, Law::A, octet)),
            (mu_to_a[mu] - 1, positive),
            "µ {octet:#x}"
        );
        let (a, positive) = code(Law::A, octet);
        assert_eq!(
            code(Law::Mu, converted(Law::A, Law::Mu, octet)),
            (a_to_mu[a], positive),
            "A {octet:#x}"
        );
    }
}

#[test]
fn only_the_values_without_a_partner_change_on_the_way_there_and_back() {
    for octet in 0..=255_u8 {
        let there = converted(Law::Mu, Law::A, octet);
        let (before, after) = (
            code(Law::Mu, octet).0,
            code(Law::Mu, converted(Law::A, Law::Mu, there)).0,
        );
        let changes = before < 16 && before % 2 == 0;
        assert_eq!(after, before + usize::from(changes), "µ {before}");
        let there = converted(Law::A, Law::Mu, octet);
        let (before, after) = (
            code(Law::A, octet).0 + 1,
            code(Law::A, converted(Law::Mu, Law::A, there)).0 + 1,
        );
        let expected = match before {
            26 | 28 | 30 | 32 => before - 1,
            45 | 47 | 63 | 80 => before + 1,
            _ => before,
        };
        assert_eq!(after, expected, "A {before}");
    }
}

#[test]
fn whole_payloads_of_unequal_lengths() {
    let mut samples = [7; 3];
    assert_eq!(g711::decode(Law::Mu, &[0xFF, 0x80], &mut samples), 2);
    assert_eq!(samples, [0, 32_124, 7]);
    let mut payload = [0; 2];
    assert_eq!(g711::encode(Law::A, &samples, &mut payload), 2);
    assert_eq!(payload, [0xD5, 0xAA]);
}
