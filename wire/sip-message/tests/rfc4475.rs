//! The cases of RFC 4475 (SIP torture tests), each built here from what its section describes: well-formed messages are
//! read, edited and printed without loss; broken ones are refused at the place that the section means.

#[path = "rfc4475/malformed.rs"]
mod malformed;
#[path = "rfc4475/well_formed.rs"]
mod well_formed;

use offhook_sip_message::Message;

/// A head from its lines, with the empty line that ends it.
fn message(lines: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// A plain OPTIONS with these lines in place of, or beside, the usual ones.
fn options(start: &str, replaced: &[(&str, &str)]) -> Vec<u8> {
    let usual = [
        ("Via", "SIP/2.0/UDP 192.0.2.65:5060;branch=z9hG4bKtorture"),
        ("From", "<sip:caller@example.org>;tag=323"),
        ("To", "<sip:user@example.com>"),
        ("Call-ID", "torture.0ha0isndaksdj@192.0.2.65"),
        ("CSeq", "8 OPTIONS"),
        ("Max-Forwards", "70"),
        ("Content-Length", "0"),
    ];
    let mut lines = vec![start.to_owned()];
    for (name, value) in usual {
        if !replaced.iter().any(|(other, _)| *other == name) {
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.extend(replaced.iter().map(|(name, value)| format!("{name}: {value}")));
    message(&lines.iter().map(|line| line.as_bytes()).collect::<Vec<_>>())
}

fn parse(raw: &[u8]) -> Message {
    Message::parse(raw.to_vec().into())
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(raw)))
}
