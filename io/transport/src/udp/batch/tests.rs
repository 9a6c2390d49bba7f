//! Batches over loopback.

use super::super::DATAGRAM_LEN_MAX;
use super::*;

const LONG: Duration = Duration::from_secs(10);

fn socket() -> BatchSocket {
    BatchSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

fn send(from: &mut BatchSocket, to: SocketAddr, bytes: &[u8]) {
    assert!(from.push(to, &Bytes::copy_from_slice(bytes)), "there is room");
}

/// Waits for `count` datagrams.
fn receive(socket: &mut BatchSocket, count: usize) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut got = Vec::new();
    while got.len() < count {
        socket.wait(LONG).unwrap();
        socket
            .receive(|bytes, from| got.push((bytes.to_vec(), from)), |_| {})
            .unwrap();
    }
    got
}

#[test]
fn a_batch_arrives_whole_and_in_order() {
    let (mut a, mut b) = (socket(), socket());
    let (from, to) = (a.local_address(), b.local_address());
    let large = vec![7; DATAGRAM_LEN_MAX];
    for bytes in [b"one".as_slice(), b"", &large] {
        send(&mut a, to, bytes);
    }
    a.flush(|to, error| panic!("{to}: {error}"));
    assert_eq!(
        receive(&mut b, 3),
        [(b"one".to_vec(), from), (Vec::new(), from), (large, from)]
    );
}

#[test]
fn a_batch_has_an_end_in_both_directions() {
    let (mut a, mut b) = (socket(), socket());
    let to = b.local_address();
    for _ in 0..BATCH_MAX {
        send(&mut a, to, b"x");
    }
    assert!(!a.push(to, &Bytes::from_static(b"x")));
    a.flush(|to, error| panic!("{to}: {error}"));
    send(&mut a, to, b"last");
    a.flush(|to, error| panic!("{to}: {error}"));
    b.wait(LONG).unwrap();
    assert_eq!(b.receive(|_, _| {}, |_| {}).unwrap(), BATCH_MAX);
    let mut last: Vec<u8> = Vec::new();
    assert_eq!(b.receive(|bytes, _| last.extend(bytes), |_| {}).unwrap(), 1);
    assert_eq!(last, b"last");
    assert_eq!(b.receive(|_, _| {}, |_| {}).unwrap(), 0);
}

#[test]
fn whoever_waits_can_be_woken_before_and_meanwhile() {
    let socket = socket();
    let waker = socket.waker();
    waker.wake();
    waker.wake();
    socket.wait(Duration::MAX).unwrap();
    let thread = std::thread::spawn(move || waker.wake());
    socket.wait(Duration::MAX).unwrap();
    thread.join().unwrap();
    socket.wait(Duration::ZERO).unwrap();
}

#[test]
fn a_dead_peer_is_named_and_does_not_keep_others_from_their_datagrams() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(mut a) = BatchSocket::bind(host.parse().unwrap()) else {
            continue; // A machine without IPv6.
        };
        let dead = BatchSocket::bind(host.parse().unwrap()).unwrap().local_address();
        let mut other = BatchSocket::bind(host.parse().unwrap()).unwrap();
        let mut named = Vec::new();
        for to in [dead, other.local_address(), dead, other.local_address()] {
            send(&mut a, to, b"anybody there");
        }
        a.flush(|to, error| panic!("{to}: {error}"));
        assert_eq!(receive(&mut other, 2).len(), 2);
        while named.len() < 2 {
            a.wait(LONG).unwrap();
            assert_eq!(a.receive(|_, _| {}, |peer| named.push(peer)).unwrap(), 0);
        }
        assert_eq!(named, [dead, dead]);
    }
}

#[test]
fn what_cannot_be_sent_is_told_and_the_rest_goes() {
    let (mut a, mut b) = (socket(), socket());
    let v6 = "[2001:db8::1]:5060".parse().unwrap();
    let to = b.local_address();
    send(&mut a, to, b"one");
    send(&mut a, v6, b"not from an IPv4 socket");
    send(&mut a, to, b"two");
    let mut failed = Vec::new();
    a.flush(|to, _| failed.push(to));
    assert_eq!(failed, [v6]);
    assert_eq!(receive(&mut b, 2).len(), 2);
}
