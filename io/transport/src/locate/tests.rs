//! RFC 3263 against a name server of our own on loopback; addresses are those of `localhost`.

use super::message::{Answer, Kind, answer, question};
use super::*;
use tokio::net::TcpListener;

/// Lifetime of all records, seconds.
const LIFETIME_S: u8 = 60;

/// A record's data, with `name` as its owner by pointer to the question.
fn record(kind: Kind, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0xc0, 12];
    out.extend((kind as u16).to_be_bytes());
    out.extend([0, 1, 0, 0, 0, LIFETIME_S]);
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
    out
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut out: Vec<u8> = labels
        .flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat())
        .collect();
    out.push(0);
    out
}

fn srv(priority: u16, port: u16, target: &str) -> Vec<u8> {
    let numbers = [priority, 10, port].map(u16::to_be_bytes).concat();
    record(Kind::Srv, &[numbers, name(target)].concat())
}

fn naptr(order: u16, service: &str, replacement: &str) -> Vec<u8> {
    let mut data = [order, 50].map(u16::to_be_bytes).concat();
    for text in ["s", service, ""] {
        data.push(text.len() as u8);
        data.extend(text.as_bytes());
    }
    data.extend(name(replacement));
    record(Kind::Naptr, &data)
}

fn reply(question: &[u8], flags: [u8; 2], records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = question.to_vec();
    out[2..4].copy_from_slice(&flags);
    out[7] = records.len() as u8;
    out.extend(records.concat());
    out
}

/// A name server that knows what `zone` says; `truncates`: only over TCP.
async fn server(zone: impl Fn(&str) -> Vec<Vec<u8>> + Clone + Send + 'static, truncates: bool) -> Locator {
    let stream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stream.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let read = |question: &[u8]| String::from_utf8_lossy(&question[13..question.len() - 5]).into_owned();
    let over_tcp = zone.clone();
    tokio::spawn(async move {
        let mut buffer = [0; DATAGRAM_MAX];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let question = &buffer[..length];
            let answer = match truncates {
                true => reply(question, [0x82, 0], &[]),
                false => reply(question, [0x80, 0], &zone(&read(question))),
            };
            let forged = [&[answer[0] ^ 1], &answer[1..]].concat();
            socket.send_to(&forged, from).await.unwrap();
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut client, _)) = stream.accept().await {
            let mut question = vec![0; client.read_u16().await.unwrap().into()];
            client.read_exact(&mut question).await.unwrap();
            let answer = reply(&question, [0x80, 0], &over_tcp(&read(&question)));
            client.write_u16(answer.len() as u16).await.unwrap();
            client.write_all(&answer).await.unwrap();
        }
    });
    Locator::new(vec![address])
}

async fn addresses_of(locator: &Locator, domain: &str, port: Option<u16>) -> Vec<SocketAddr> {
    let found = locator.locate(domain, port, true).await;
    found
        .servers
        .into_iter()
        .flat_map(|server| server.addresses)
        .collect()
}

async fn ports(locator: &Locator, domain: &str, port: Option<u16>) -> Vec<u16> {
    let found = addresses_of(locator, domain, port).await;
    assert!(
        found.iter().all(|address| address.ip().is_loopback()),
        "{found:?}"
    );
    found.iter().map(SocketAddr::port).collect()
}

/// Labels are told apart by their length bytes, which are no text here.
fn asks(name: &str, label: &str) -> bool {
    name.starts_with(label)
}

#[tokio::test]
async fn rfc3263_4_1_naptr_leads_to_srv_in_order_of_priority() {
    let zone = |name: &str| match name {
        name if asks(name, "pbx") => vec![
            naptr(10, "SIPS+D2T", "_sips._tcp.pbx.test"),
            naptr(30, "SIP+D2U", "_wrong.pbx.test"),
            naptr(20, "sip+d2u", "_right.pbx.test"),
        ],
        name if asks(name, "_right") => vec![srv(20, 5092, "localhost"), srv(10, 5091, "localhost")],
        _ => Vec::new(),
    };
    for truncates in [false, true] {
        let locator = server(zone, truncates).await;
        assert_eq!(ports(&locator, "pbx.test", None).await, [5091, 5092]);
    }
}

#[tokio::test]
async fn rfc3263_4_1_without_naptr_srv_is_asked_for_and_without_srv_the_address() {
    let zone = |name: &str| match asks(name, "_sip") && name.contains("pbx") {
        true => vec![srv(1, 5093, "localhost")],
        false => Vec::new(),
    };
    let locator = server(zone, false).await;
    assert_eq!(ports(&locator, "pbx.test", None).await, [5093]);
    assert_eq!(ports(&locator, "localhost", None).await, [5060]);
}

#[tokio::test]
async fn rfc3263_4_2_a_port_or_an_address_needs_no_srv() {
    let locator = server(|_| vec![srv(1, 5093, "localhost")], false).await;
    assert_eq!(ports(&locator, "localhost", Some(5070)).await, [5070]);
    assert_eq!(ports(&locator, "127.0.0.1", None).await, [5060]);
    let v6 = locator.locate("[::1]", Some(5070), false).await;
    assert_eq!(v6.servers[0].addresses, ["[::1]:5070".parse().unwrap()]);
    assert_eq!(
        ports(&locator, "::1", None).await,
        [],
        "which our socket cannot send to"
    );
}

#[tokio::test]
async fn rfc2782_a_dot_says_that_there_is_no_such_service() {
    let locator = server(|_| vec![srv(0, 0, "")], false).await;
    assert!(addresses_of(&locator, "localhost", None).await.is_empty());
}

#[tokio::test]
async fn the_name_server_tells_addresses_and_how_long_they_hold() {
    let zone = |name: &str| match name {
        name if asks(name, "_sip") => vec![srv(1, 5093, "a.pbx.test"), srv(2, 5094, "b.pbx.test")],
        name if asks(name, "a") => vec![record(Kind::A, &[192, 0, 2, 1]), record(Kind::A, &[192, 0, 2, 2])],
        name if asks(name, "b") => vec![record(Kind::Aaaa, &[0xfd; 16]), record(Kind::A, &[192, 0, 2, 3])],
        _ => Vec::new(),
    };
    let locator = server(zone, false).await;
    let found = locator.locate("pbx.test", None, true).await;
    assert_eq!(found.fresh_for, Duration::from_secs(LIFETIME_S.into()));
    let texts = |server: &Server| {
        server
            .addresses
            .iter()
            .map(SocketAddr::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(&found.servers[0]), ["192.0.2.1:5093", "192.0.2.2:5093"]);
    assert_eq!(texts(&found.servers[1]), ["192.0.2.3:5094"]);
    assert_eq!((found.servers[0].priority, found.servers[1].priority), (1, 2));
    let v6 = locator.locate("pbx.test", None, false).await;
    assert_eq!(v6.servers.len(), 1);
}

#[tokio::test]
async fn what_stands_in_the_hosts_file_is_not_asked_for() {
    let mut locator = server(|_| vec![srv(1, 5093, "localhost")], false).await;
    locator.hosts =
        hosts_of("# ours\n192.0.2.7 pbx.test PBX # the old one\nfe80::1%eth0 x\n\n192.0.2.8 pbx.test\n");
    let found = addresses_of(&locator, "Pbx.Test", None).await;
    assert_eq!(
        found,
        [
            "192.0.2.7:5060".parse().unwrap(),
            "192.0.2.8:5060".parse().unwrap()
        ]
    );
    assert_eq!(ports(&locator, "localhost", None).await, [5093]);
}

#[tokio::test]
async fn a_silent_name_server_leaves_the_address() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let locator = Locator::new(vec![silent.local_addr().unwrap()]);
    assert_eq!(ports(&locator, "localhost", None).await, [5060]);
}

#[test]
fn broken_answers_are_refused_and_never_followed_in_circles() {
    let question = question(7, "a.test", Kind::Srv).unwrap();
    let whole = reply(&question, [0x80, 0], &[srv(1, 2, "b.test")]);
    assert!(matches!(answer(&whole, &question), Some(Answer::Records(records)) if records.len() == 1));
    for length in 0..whole.len() {
        assert!(
            !matches!(answer(&whole[..length], &question), Some(Answer::Records(_))),
            "{length}"
        );
    }
    let at = question.len() as u16;
    let circle = [&[0xc0 | (at >> 8) as u8, at as u8][..], &[0; 10]].concat();
    assert_eq!(
        answer(&reply(&question, [0x80, 0], &[circle]), &question),
        Some(Answer::Failed)
    );
    assert_eq!(
        answer(&reply(&question, [0x80, 2], &[]), &question),
        Some(Answer::Failed)
    );
    assert_eq!(
        answer(&reply(&question, [0x80, 3], &[]), &question),
        Some(Answer::Records(vec![]))
    );
    assert_eq!(answer(&question, &question), None, "a question is no answer");
    let long = "x".repeat(64);
    assert!(super::message::question(1, &long, Kind::Srv).is_none());
    assert!(super::message::question(1, "a..b", Kind::Srv).is_none());
}

#[test]
fn name_servers_are_the_systems() {
    let text = "# by hand\nnameserver 192.0.2.1\nsearch test\nnameserver ::1\n";
    let servers = servers_of(text);
    assert_eq!(
        servers,
        ["192.0.2.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]
    );
    assert_eq!(servers_of(""), ["127.0.0.1:53".parse().unwrap()]);
}
