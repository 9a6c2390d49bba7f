//! What tells transactions apart: branch, sent-by and method of the top Via (RFC 3261 §17.1.3, §17.2.3).

use offhook_sip_message::header::Via;
use offhook_sip_message::{Host, Method};

/// Writes the key of a message into `out`. ACK counts as INVITE, whose transaction it belongs to.
pub(super) fn write(out: &mut Vec<u8>, via: &Via<'_>, method: &Method) {
    let sent_by = (via.host, via.port_or_default());
    write_parts(out, via.branch().unwrap_or_default(), sent_by, method);
}

/// The same, of the parts.
pub(super) fn write_parts(out: &mut Vec<u8>, branch: &[u8], sent_by: (Host<'_>, u16), method: &Method) {
    out.clear();
    out.extend_from_slice(branch);
    out.push(b'|');
    let (host, port) = sent_by;
    match host {
        Host::Name(name) => out.extend(name.iter().map(u8::to_ascii_lowercase)),
        Host::V4(address) => out.extend_from_slice(&address.octets()),
        Host::V6(address) => out.extend_from_slice(&address.octets()),
    }
    out.push(b'|');
    out.extend_from_slice(&port.to_be_bytes());
    let method = if *method == Method::Ack {
        &Method::Invite
    } else {
        method
    };
    out.extend_from_slice(method.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_sip_message::header::Header;

    fn key(via: &str, method: Method) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, &Via::parse(via.as_bytes()).unwrap(), &method);
        out
    }

    #[test]
    fn branch_sent_by_and_method_count() {
        let base = key("SIP/2.0/UDP a.example.com;branch=z9hG4bK1", Method::Invite);
        assert_eq!(
            base,
            key(
                "SIP/2.0/UDP A.Example.COM:5060;branch=z9hG4bK1;rport",
                Method::Ack
            )
        );
        for other in [
            key("SIP/2.0/UDP a.example.com;branch=z9hG4bK2", Method::Invite),
            key("SIP/2.0/UDP b.example.com;branch=z9hG4bK1", Method::Invite),
            key("SIP/2.0/UDP a.example.com:5070;branch=z9hG4bK1", Method::Invite),
            key("SIP/2.0/UDP a.example.com;branch=z9hG4bK1", Method::Cancel),
        ] {
            assert_ne!(base, other);
        }
    }
}
