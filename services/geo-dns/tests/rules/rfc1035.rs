//! RFC 1035 and its neighbours: what questions look like, and what is said to those that don't.

use crate::support::{NAME, World, data, question};
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use offhook_geo_dns::responder::{Outcome, Transport};

#[test]
fn rfc1035_4_1_1_ours_to_say_and_no_more() {
    let mut world = World::new();
    let mut asked = question(NAME, RecordType::A);
    asked.metadata.recursion_desired = true;
    asked.metadata.checking_disabled = true;
    let reply = world.ask(&asked);
    let header = reply.metadata;
    assert_eq!(header.response_code, ResponseCode::NoError);
    assert!(header.authoritative && header.recursion_desired);
    assert!(!header.checking_disabled && !header.authentic_data && !header.truncation);
    assert_eq!(reply.queries, asked.queries);
    assert!(reply.edns.is_none(), "who does not send OPT gets none");
}

#[test]
fn the_case_of_the_name_comes_back_as_it_was_asked() {
    let mut world = World::new();
    for name in ["RtC.eXaMpLe.CoM.", "rTc.ExAmPlE.cOm."] {
        let reply = world.ask(&question(name, RecordType::A));
        assert!(reply.queries[0].name().eq_case(&Name::from_ascii(name).unwrap()));
        assert!(reply.answers[0].name.eq_case(&Name::from_ascii(name).unwrap()));
    }
}

#[test]
fn rfc1035_3_3_name_servers_and_soa_at_the_top() {
    let mut world = World::new();
    let reply = world.ask(&question(NAME, RecordType::NS));
    assert_eq!(data(&reply.answers), ["ns1.rtc.example.com.", "ns2.example.net."]);
    assert_eq!(
        data(&reply.additionals),
        ["192.0.2.53", "2001:db8::53"],
        "of those in the zone"
    );
    let reply = world.ask(&question(NAME, RecordType::SOA));
    let soa = data(&reply.answers);
    assert!(
        soa[0].starts_with("ns1.rtc.example.com. dns.example.com. 2026 "),
        "{soa:?}"
    );
    assert_eq!(reply.answers[0].ttl, 600);
    let reply = world.ask(&question("ns1.rtc.example.com.", RecordType::AAAA));
    assert_eq!(data(&reply.answers), ["2001:db8::53"]);
}

#[test]
fn rfc1035_4_1_1_what_is_not_ours_is_refused() {
    let mut world = World::new();
    for name in ["example.com.", "xrtc.example.com.", "com.", "."] {
        let reply = world.ask(&question(name, RecordType::A));
        assert_eq!(reply.metadata.response_code, ResponseCode::Refused, "{name}");
        assert!(!reply.metadata.authoritative && reply.authorities.is_empty());
    }
    for kind in [RecordType::AXFR, RecordType::IXFR] {
        let reply = world.ask(&question(NAME, kind));
        assert_eq!(reply.metadata.response_code, ResponseCode::Refused, "{kind}");
    }
    for class in [DNSClass::CH, DNSClass::ANY] {
        let mut asked = question(NAME, RecordType::A);
        asked.queries[0].set_query_class(class);
        let header = world.ask(&asked).metadata;
        assert_eq!(header.response_code, ResponseCode::Refused, "{class}");
        assert!(!header.authoritative, "RFC 1035 §6.2");
    }
}

#[test]
fn rfc1035_4_1_1_other_operations_are_not_implemented() {
    let mut world = World::new();
    for operation in [OpCode::Status, OpCode::Notify, OpCode::Update] {
        let mut message = Message::new(7, MessageType::Query, operation);
        message.queries = question(NAME, RecordType::SOA).queries;
        let bytes = message.to_vec().unwrap();
        let expected = (Outcome::NotImplemented, Some(ResponseCode::NotImp));
        assert_eq!(world.outcome(&bytes), expected, "{operation}");
    }
}

#[test]
fn rfc9619_one_question_and_no_other_number() {
    let mut world = World::new();
    let mut none = question(NAME, RecordType::A);
    none.queries.clear();
    let mut two = question(NAME, RecordType::A);
    two.queries.push(two.queries[0].clone());
    for message in [none, two] {
        let expected = (Outcome::FormatError, Some(ResponseCode::FormErr));
        assert_eq!(world.outcome(&message.to_vec().unwrap()), expected);
    }
}

#[test]
fn what_is_no_question_is_not_answered() {
    let mut world = World::new();
    let mut answer = question(NAME, RecordType::A);
    answer.metadata.message_type = MessageType::Response;
    let answer = answer.to_vec().unwrap();
    let long = vec![0; 5_000];
    for bytes in [&b""[..], b"\x01", &answer[..11], &answer, &long] {
        assert_eq!(
            world.outcome(bytes),
            (Outcome::Ignored, None),
            "{} bytes",
            bytes.len()
        );
    }
}

#[test]
fn broken_messages_get_a_format_error() {
    let mut world = World::new();
    let whole = question(NAME, RecordType::A).to_vec().unwrap();
    for len in 12..whole.len() {
        let expected = (Outcome::FormatError, Some(ResponseCode::FormErr));
        assert_eq!(world.outcome(&whole[..len]), expected, "{len} bytes");
    }
    // A name that points at itself; counts that lie.
    let mut looped = whole[..12].to_vec();
    looped.extend([0xC0, 12, 0, 1, 0, 1]);
    let mut lying = whole.clone();
    lying[6..12].fill(0xFF);
    for bytes in [looped, lying] {
        assert_eq!(world.outcome(&bytes).0, Outcome::FormatError, "{bytes:?}");
    }
}

#[test]
fn rfc1035_4_2_1_what_does_not_fit_is_cut_off_over_udp_alone() {
    let many: Vec<String> = (1..=60).map(|last| format!("\"203.0.113.{last}\"")).collect();
    let world = crate::support::WORLD.replacen("\"192.0.2.1\"", &many.join(", "), 1);
    let mut world = World::of(&world);
    let bytes = question(NAME, RecordType::A).to_vec().unwrap();
    let udp = world.send("198.51.100.1", Transport::Udp, &bytes);
    assert_eq!(udp.outcome, Outcome::Truncated);
    let udp = Message::from_vec(&udp.bytes.unwrap()).unwrap();
    assert!(udp.metadata.truncation && udp.answers.is_empty());
    let tcp = world.send("198.51.100.1", Transport::Tcp, &bytes);
    let tcp = Message::from_vec(&tcp.bytes.unwrap()).unwrap();
    assert!(!tcp.metadata.truncation && tcp.answers.len() == 60);
}

#[test]
fn rfc2181_9_addresses_that_nobody_asked_for_are_left_out_before_anything_is_cut_off() {
    let many: Vec<String> = (1..=60).map(|last| format!("\"203.0.113.{last}\"")).collect();
    let world = crate::support::WORLD.replacen("\"192.0.2.53\"", &many.join(", "), 1);
    let mut world = World::of(&world);
    let reply = world.ask(&question(NAME, RecordType::NS));
    assert!(!reply.metadata.truncation && reply.additionals.is_empty());
    assert_eq!(reply.answers.len(), 2);
}
