//! The `ng` protocol, as SIP servers speak it to a media proxy, on real sockets of the loopback interface.
#![expect(clippy::unwrap_used, reason = "a failure here fails the test that uses it")]

mod support;

use std::net::SocketAddr;
use support::client::{Client, Version};
use support::running::{Gateway, PATIENCE};
use support::{Voice, sdp};
use tokio::net::UdpSocket;

/// Asks over `ng`; the response as text.
async fn ng(socket: &UdpSocket, cookie: &str, fields: &[(&str, &str)]) -> String {
    let mut message = format!("{cookie} d");
    for (key, value) in fields {
        message.push_str(&format!("{}:{key}{}:{value}", key.len(), value.len()));
    }
    message.push('e');
    socket.send(message.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let len = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .expect("no response")
        .unwrap();
    let text = String::from_utf8(buffer[..len].to_vec()).unwrap();
    text.strip_prefix(cookie)
        .expect("the cookie comes back")
        .to_owned()
}

/// A gateway that speaks `ng`, and a SIP server that asks it about the call `c@x`.
struct Call {
    gateway: Gateway,
    control: UdpSocket,
    cookies: u32,
}

impl Call {
    async fn at_ports(rtp_ports: &str) -> Self {
        let gateway = Gateway::start(rtp_ports, serde_json::json!({"ng": "127.0.0.1:0"})).await;
        let control = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        control.connect(gateway.address("ng")).await.unwrap();
        Self {
            gateway,
            control,
            cookies: 0,
        }
    }

    async fn ask(&mut self, command: &str, extra: &[(&str, &str)]) -> String {
        self.cookies += 1;
        let fields = [
            &[("command", command), ("call-id", "c@x"), ("from-tag", "f")],
            extra,
        ];
        ng(&self.control, &format!("k{}", self.cookies), &fields.concat()).await
    }

    /// Offers `sdp`; gives what the other side is offered.
    async fn offer(&mut self, sdp: &str, extra: &[(&str, &str)]) -> String {
        let response = self.ask("offer", &[&[("sdp", sdp)], extra].concat()).await;
        sdp_of(&response).to_owned()
    }

    /// Answers `sdp` as the party with this tag; gives what the offerer is answered.
    async fn answer(&mut self, sdp: &str, to_tag: &str) -> String {
        let response = self.ask("answer", &[("sdp", sdp), ("to-tag", to_tag)]).await;
        sdp_of(&response).to_owned()
    }

    async fn end(self) {
        let delete = [("command", "delete"), ("call-id", "c@x"), ("from-tag", "f")];
        assert_eq!(ng(&self.control, "delete", &delete).await, " d6:result2:oke");
        self.gateway.wait_for_metric("media_rtp_ports_in_use", 0).await;
        self.gateway.stop().await;
    }
}

/// A party with plain RTP.
struct Party {
    socket: UdpSocket,
    voice: Voice,
    /// What its packets are filled with.
    says: u8,
}

impl Party {
    async fn new(says: u8) -> Self {
        Self {
            socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            voice: Voice::new(0, u32::from(says)),
            says,
        }
    }

    fn sdp(&self) -> String {
        sdp::carrier(self.socket.local_addr().unwrap(), "0")
    }

    async fn speak(&mut self, to: &str) {
        let to = SocketAddr::new([127, 0, 0, 1].into(), sdp::port(to));
        let packet = self.voice.packet(&[self.says; 160], 160);
        self.socket.send_to(&packet, to).await.unwrap();
    }

    /// Waits for a packet of `other`.
    async fn hears(&self, other: &Party) {
        let mut buffer = [0; 1500];
        let (len, _) = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut buffer))
            .await
            .expect("nothing is heard")
            .unwrap();
        assert_eq!((len, buffer[12]), (172, other.says));
    }
}

/// Lets both talk: each sends to what it was told.
async fn talk(a: &mut Party, to_a: &str, b: &mut Party, to_b: &str) {
    for _ in 0..3 {
        a.speak(to_a).await;
        b.hears(a).await;
        b.speak(to_b).await;
        a.hears(b).await;
    }
}

/// The SDP of an ng response: it is the last entry but for nothing that follows.
fn sdp_of(response: &str) -> &str {
    &response[response
        .find("v=0")
        .unwrap_or_else(|| panic!("no SDP in {response}"))..response.len() - 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ng_carries_a_plain_call() {
    let mut call = Call::at_ports("12300-12399").await;
    assert_eq!(
        ng(&call.control, "p", &[("command", "ping")]).await,
        " d6:result4:ponge"
    );
    let (mut a, mut b) = (Party::new(7).await, Party::new(9).await);
    let to_b = call.offer(&a.sdp(), &[]).await;
    call.cookies -= 1;
    let repeated = call.offer("not even read", &[]).await;
    assert_eq!(repeated, to_b, "a repeated request gets the same response");
    let to_a = call.answer(&b.sdp(), "t").await;
    talk(&mut a, &to_a, &mut b, &to_b).await;
    let held = sdp::carrier_with(a.socket.local_addr().unwrap(), "0", "sendonly");
    let offer = call.offer(&held, &[("to-tag", "t")]).await;
    assert!(offer.contains("a=sendonly"), "who holds says so: {offer}");
    let mut buffer = [0; 1500];
    for (cookie, message) in [("x1", "x"), ("x2", "d7:command5:startee")] {
        let message = format!("{cookie} {message}");
        call.control.send(message.as_bytes()).await.unwrap();
        let len = tokio::time::timeout(PATIENCE, call.control.recv(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(String::from_utf8_lossy(&buffer[..len]).contains("error-reason"));
    }
    call.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_branch_is_offered_the_same_ports_and_who_answers_has_them() {
    let mut call = Call::at_ports("12400-12499").await;
    let (mut a, mut b) = (Party::new(7).await, Party::new(9).await);
    let first = call.offer(&a.sdp(), &[]).await;
    // The first branch has failed, or rings beside the second one.
    let second = call.offer(&a.sdp(), &[]).await;
    assert_eq!(sdp::port(&second), sdp::port(&first));
    let early = call.answer(&b.sdp(), "t2").await;
    let to_a = call.answer(&b.sdp(), "t2").await;
    assert_eq!(to_a, early, "the 200 after the 183");
    talk(&mut a, &to_a, &mut b, &first).await;
    call.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_offer_that_asks_for_something_else_gets_it() {
    let mut call = Call::at_ports("12500-12599").await;
    let (mut a, mut b) = (Party::new(7).await, Party::new(9).await);
    let browser = call
        .offer(&a.sdp(), &[("transport-protocol", "UDP/TLS/RTP/SAVPF")])
        .await;
    assert!(browser.contains("a=ice-ufrag"), "{browser}");
    let phone = call.offer(&a.sdp(), &[]).await;
    assert!(
        phone.contains("RTP/AVP") && !phone.contains("a=ice-ufrag"),
        "{phone}"
    );
    let to_a = call.answer(&b.sdp(), "t2").await;
    talk(&mut a, &to_a, &mut b, &phone).await;
    call.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_early_media_of_a_branch_that_fails_the_next_one_is_heard() {
    let mut call = Call::at_ports("12600-12699").await;
    let (mut a, mut b, mut c) = (Party::new(7).await, Party::new(9).await, Party::new(11).await);
    let to_b = call.offer(&a.sdp(), &[]).await;
    let to_a = call.answer(&b.sdp(), "t1").await;
    talk(&mut a, &to_a, &mut b, &to_b).await;
    let to_c = call.offer(&a.sdp(), &[]).await;
    let again = call.answer(&c.sdp(), "t2").await;
    assert_eq!(sdp::port(&again), sdp::port(&to_a), "the offerer was told before");
    talk(&mut a, &again, &mut c, &to_c).await;
    call.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_after_early_media_gets_keys_of_its_own_and_a_dialog_keeps_them() {
    let mut call = Call::at_ports("12700-12799").await;
    let a = Party::new(7).await;
    let browser = [("transport-protocol", "UDP/TLS/RTP/SAVPF")];
    let first = call.offer(&a.sdp(), &browser).await;
    let client = Client::new(
        std::time::Instant::now(),
        Version::Dtls12,
        true,
        "127.0.0.1:9".parse().unwrap(),
    );
    let answer = sdp::browser_with(&client, "0", &client.fingerprint().to_string(), "active");
    call.answer(&answer, "t1").await;
    let ufrag = |offer: &str| sdp::value(offer, "a=ice-ufrag:").to_owned();
    let within = call
        .offer(&a.sdp(), &[&browser[..], &[("to-tag", "t1")]].concat())
        .await;
    assert_eq!(ufrag(&within), ufrag(&first));
    let next = call.offer(&a.sdp(), &browser).await;
    assert_ne!(ufrag(&next), ufrag(&first));
    assert!(next.contains("a=setup:actpass"), "{next}");
    call.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_gone_is_deleted_again_with_a_warning() {
    let mut call = Call::at_ports("12800-12899").await;
    let unknown = call.ask("delete", &[]).await;
    assert_eq!(unknown, " d6:result2:ok7:warning15:Unknown call-ide");
    let a = Party::new(7).await;
    call.offer(&a.sdp(), &[]).await;
    call.end().await;
}
