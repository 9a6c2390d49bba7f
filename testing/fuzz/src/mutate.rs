//! Damages inputs the way a hostile or broken peer would: bits, bytes, cuts, repeats, splices, words of the formats.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// Longest input in bytes: more than any datagram, so that limits are reached.
pub const INPUT_MAX: usize = 70_000;

/// Pieces that mean something to one of the readers.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\n",
    b"\0",
    b":",
    b";",
    b",",
    b"\"",
    b"<",
    b">",
    b"@",
    b"[",
    b"]",
    b"%",
    b"%0d%0a",
    b"sip:",
    b"sips:",
    b"tel:",
    b";lr",
    b";tag=",
    b";branch=z9hG4bK",
    b";rport",
    b"SIP/2.0",
    b"INVITE",
    b"CANCEL",
    b"ACK",
    b"Content-Length: ",
    b"-1",
    b"0",
    b"4294967296",
    b"99999999999999999999",
    b"Via: ",
    b"CSeq: ",
    b"a=candidate:",
    b"a=fingerprint:",
    b"a=rtpmap:",
    b"m=audio ",
    b"m=video 0 ",
    b"v=0\r\n",
    b"\x21\x12\xa4\x42",
    b"\xff\xff\xff\xff",
    b"\x80\x00",
    b"\xc8\x00",
    b"{",
    b"}",
    b"[[[[",
    b"null",
    b"\"id\":",
    b"\"method\":",
    b"\"callID\":",
    b"\\u0000",
    b"\\ud800",
    b"\xf0\x9f\x98\x80",
    b"\xe4",
];

/// Changes `input` in one to eight places; `other` lends pieces.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..=8) {
        one(input, other, rng);
    }
    input.truncate(INPUT_MAX);
}

fn one(input: &mut Vec<u8>, other: &[u8], rng: &mut StdRng) {
    let at = rng.random_range(0..=input.len());
    match rng.random_range(0..9) {
        0 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
        1 if at < input.len() => input[at] = rng.random(),
        2 => input.truncate(at),
        3 => {
            let mut noise = vec![0; rng.random_range(1..32)];
            rng.fill_bytes(&mut noise);
            insert(input, at, &noise);
        }
        4 => {
            let end = (at + rng.random_range(1..64)).min(input.len());
            input.drain(at..end);
        }
        5 => {
            let end = (at + rng.random_range(1..200)).min(input.len());
            let piece = input[at..end].to_vec();
            for _ in 0..1 << rng.random_range(0..7) {
                if input.len() < INPUT_MAX {
                    insert(input, at, &piece);
                }
            }
        }
        6 if !other.is_empty() => {
            let from = rng.random_range(0..other.len());
            let end = (from + rng.random_range(1..400)).min(other.len());
            insert(input, at, &other[from..end]);
        }
        7 if input.len() >= 2 && at + 1 < input.len() => {
            let extreme = [0u16, 1, 0x7fff, 0xffff][rng.random_range(0..4)];
            input[at..at + 2].copy_from_slice(&extreme.to_be_bytes());
        }
        _ => insert(input, at, WORDS[rng.random_range(0..WORDS.len())]),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let at = at.min(input.len());
    input.splice(at..at, piece.iter().copied());
}
