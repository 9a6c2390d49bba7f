//! Asks a site how it is: one HTTP request.

use crate::config::HealthUrl;
use crate::fleet::{Check, CheckFailure};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::{net::TcpStream, time};

/// Longest answer that is read, bytes: every role of a process, with its addresses.
const BODY_LEN_MAX: usize = 64 * 1024;

/// Asks once; takes no longer than `limit`.
pub(super) async fn check(url: &HealthUrl, limit: Duration) -> Check {
    match time::timeout(limit, ask(url)).await {
        Ok(Ok(check)) => check,
        Ok(Err(failure)) => Check::Failed(failure),
        Err(_elapsed) => Check::Failed(CheckFailure::Timeout),
    }
}

async fn ask(url: &HealthUrl) -> Result<Check, CheckFailure> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
    let stream = stream.map_err(|_| CheckFailure::Unreachable)?;
    let host = match url.host.contains(':') {
        true => format!("[{}]:{}", url.host, url.port),
        false => format!("{}:{}", url.host, url.port),
    };
    let request = Request::get(&url.path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| CheckFailure::Unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failure)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(failure)?;
        let status = response.status();
        if status.is_success() {
            return Ok(Check::Ready);
        }
        // A body that breaks off, or never ends, says nothing; the status has said enough.
        let body = Limited::new(response.into_body(), BODY_LEN_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        match status == StatusCode::SERVICE_UNAVAILABLE && is_draining(&body) {
            true => Ok(Check::Draining),
            false => Err(CheckFailure::Status(status.as_u16())),
        }
    };
    // The connection ends when the exchange has let go of it; how, does not matter any more.
    let (result, _) = tokio::join!(exchange, connection);
    result
}

fn failure(error: hyper::Error) -> CheckFailure {
    if error.is_parse() {
        CheckFailure::NotHttp
    } else {
        CheckFailure::Unreachable
    }
}

/// What a `/readyz` says of its roles.
fn is_draining(body: &[u8]) -> bool {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let roles = body["roles"].as_array();
    roles.is_some_and(|roles| roles.iter().any(|role| role["state"] == "draining"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    const LIMIT: Duration = Duration::from_secs(5);

    /// What is found of a site that answers so.
    async fn answered(answer: &'static [u8]) -> Check {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let site = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let len = stream.read(&mut request).await.unwrap();
            stream.write_all(answer).await.unwrap();
            String::from_utf8_lossy(&request[..len]).into_owned()
        });
        let url = HealthUrl::parse(&format!("http://127.0.0.1:{port}/readyz?x=1")).unwrap();
        let check = check(&url, LIMIT).await;
        let request = site.await.unwrap();
        assert!(request.starts_with("GET /readyz?x=1 HTTP/1.1\r\n"), "{request}");
        assert!(
            request.contains(&format!("host: 127.0.0.1:{port}\r\n")),
            "{request}"
        );
        check
    }

    #[tokio::test]
    async fn the_answer_tells_how_a_site_is() {
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(answered(ok).await, Check::Ready);
        let not =
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"ready\":false,\"roles\":[{\"state\":\"starting\"}]}";
        assert_eq!(answered(not).await, Check::Failed(CheckFailure::Status(503)));
        let drains =
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"roles\":[{\"state\":\"ready\"},{\"state\":\"draining\"}]}";
        assert_eq!(answered(drains).await, Check::Draining);
        let moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answered(moved).await, Check::Failed(CheckFailure::Status(302)));
        assert_eq!(
            answered(b"220 smtp.example.com\r\n").await,
            Check::Failed(CheckFailure::NotHttp)
        );
        assert_eq!(answered(b"").await, Check::Failed(CheckFailure::Unreachable));
    }

    #[tokio::test]
    async fn who_is_not_there_or_says_nothing_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = HealthUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let silent = check(&url, Duration::from_millis(50)).await;
        assert_eq!(silent, Check::Failed(CheckFailure::Timeout));
        drop(listener);
        assert_eq!(check(&url, LIMIT).await, Check::Failed(CheckFailure::Unreachable));
    }
}
