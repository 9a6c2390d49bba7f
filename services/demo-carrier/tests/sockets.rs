//! The role as a whole: real sockets, real time.

use crate::support::{bytes_of, decode, invite_to, negotiation, user_agent};
use offhook_audio::SAMPLE_RATE_HZ;
use offhook_audio::dtmf::dominant_frequency;
use offhook_demo_carrier::{Config, ROLE, SIP_UDP};
use offhook_offer_answer::Codec;
use offhook_process::{Context, NodeName, Shutdown, TraceLimits};
use offhook_sip::Flow;
use offhook_sip::user_agent::{Event, Output};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Enough for a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn a_call_over_loopback_is_heard_and_shutdown_ends_it() {
    let context = Context::new(NodeName::new("test").unwrap(), TraceLimits::default());
    let (trigger, shutdown) = Shutdown::new();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        ring_ms: 0,
        ..Config::default()
    };
    let role = tokio::spawn(offhook_demo_carrier::run(config, context.clone(), shutdown));
    assert!(context.readiness.wait_for(&[ROLE], LIMIT).await);
    let carrier = context.readiness.address(ROLE, SIP_UDP).unwrap();

    let sip = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut caller = user_agent(sip.local_addr().unwrap());
    let mut session = negotiation(rtp.local_addr().unwrap(), vec![Codec::Pcma]);
    let offer = session.offer(Default::default());
    caller
        .invite(now(), invite_to("9197", carrier, Some(offer)))
        .unwrap();

    let (mut heard, mut ended) = (Vec::new(), false);
    let (mut signal, mut media) = ([0; 4096], [0; 2048]);
    let deadline = now() + LIMIT;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while !ended {
        assert!(
            now() < deadline,
            "the call did not end; {} packets were heard",
            heard.len()
        );
        while let Some(output) = caller.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    sip.send_to(&transmit.bytes, transmit.flow.remote).await.unwrap();
                }
                Output::Event(Event::Terminated { .. }) => ended = true,
                Output::Event(_) | Output::Observed(_) => {}
            }
        }
        tokio::select! {
            received = sip.recv_from(&mut signal) => {
                let (len, from) = received.unwrap();
                caller.handle_datagram(now(), Flow::udp(from), bytes_of(&signal[..len]));
            }
            received = rtp.recv_from(&mut media) => {
                let (len, _) = received.unwrap();
                heard.push(media[..len].to_vec());
                if heard.len() == 50 {
                    trigger.drain(now());
                }
            }
            _ = ticks.tick() => caller.handle_timeout(now()),
        }
    }
    let frequency = dominant_frequency(&decode(&heard), SAMPLE_RATE_HZ).unwrap();
    assert!((frequency - 440.0).abs() < 2.0, "{frequency} Hz");
    // The answer to the carrier's BYE lets it leave.
    while let Some(output) = caller.poll_output() {
        if let Output::Transmit(transmit) = output {
            sip.send_to(&transmit.bytes, transmit.flow.remote).await.unwrap();
        }
    }
    let result = tokio::time::timeout(LIMIT, role).await.expect("the role leaves");
    result.unwrap().unwrap();
    expect_traced(&context);
}

/// The call stands in the trace store and in the metrics.
fn expect_traced(context: &Context) {
    let trace = context.traces.find("call-7").expect("the call was traced");
    assert!(
        trace
            .events
            .iter()
            .any(|recorded| recorded.event.name == "200 INVITE")
    );
    assert!(context.metrics.encode().contains("demo_carrier_calls_total 1"));
}
