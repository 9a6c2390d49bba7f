//! Asks a carrier whether it is there: a SIP OPTIONS over UDP (RFC 3261 §11).

use std::{io, net::SocketAddr, time::Duration};
use tokio::{net::UdpSocket, time};

/// How often and how long to ask: timer E of RFC 3261 starts at 500 ms.
const WAITS: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(1_500),
];

/// What came of a probe.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It answered with this status; any will do, for it shows that SIP is spoken there.
    Status(u16),
    /// It answered with something that is not SIP.
    NotSip,
    /// Nothing came.
    Silence,
}

/// Sends OPTIONS to `to` up to three times.
pub(crate) async fn options(to: SocketAddr) -> io::Result<Answer> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    let request = request(socket.local_addr()?, to);
    let mut buffer = [0; 2048];
    for wait in WAITS {
        socket.send(request.as_bytes()).await?;
        match time::timeout(wait, socket.recv(&mut buffer)).await {
            Ok(Ok(len)) => return Ok(read(&buffer[..len])),
            // The port is closed: waiting longer will not open it.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(Answer::Silence),
            Ok(Err(error)) => return Err(error),
            Err(_elapsed) => {}
        }
    }
    Ok(Answer::Silence)
}

fn request(from: SocketAddr, to: SocketAddr) -> String {
    let id = rand::random::<u64>();
    format!(
        "OPTIONS sip:{to} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from};rport;branch=z9hG4bK{id:016x}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:check@{from}>;tag={id:08x}\r\n\
         To: <sip:{to}>\r\n\
         Call-ID: {id:016x}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Contact: <sip:check@{from}>\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn read(answer: &[u8]) -> Answer {
    let status = answer.strip_prefix(b"SIP/2.0 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.map_or(Answer::NotSip, Answer::Status)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn peer(answer: &'static [u8]) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            assert!(
                buffer[..len].starts_with(b"OPTIONS sip:127.0.0.1:") && buffer[..len].ends_with(b"\r\n\r\n")
            );
            socket.send_to(answer, from).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn answers_are_told_apart() {
        assert_eq!(
            options(peer(b"SIP/2.0 405 Method Not Allowed\r\n\r\n").await)
                .await
                .unwrap(),
            Answer::Status(405)
        );
        assert_eq!(
            options(peer(b"HTTP/1.1 400 Bad Request").await).await.unwrap(),
            Answer::NotSip
        );
        let closed = UdpSocket::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        assert_eq!(options(closed).await.unwrap(), Answer::Silence);
    }
}
