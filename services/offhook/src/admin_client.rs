//! Asks the admin port of a running process: one HTTP request, one JSON answer.

use offhook_process::admin::AdminConfig;
use serde_json::Value;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

/// How long the process may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Longest answer, bytes: as many sessions as are listed at most, with a few calls each.
const ANSWER_LEN_MAX: u64 = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminClientError {
    /// Nobody is there.
    #[error(
        "cannot ask the admin port {address}: {source}; does the process run, and is this its configuration?"
    )]
    Unreachable {
        /// Where it should be.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// It says no.
    #[error("{what}")]
    Refused {
        /// In its words.
        what: String,
    },
    /// Something else listens there.
    #[error("what listens on {0} is no admin port of offhook")]
    NotOurs(SocketAddr),
}

/// `method` is `GET` or `POST`; `path` is a path with its query, percent-encoded.
pub(crate) async fn ask(config: &AdminConfig, method: &str, path: &str) -> Result<Value, AdminClientError> {
    let address = config.listen;
    let answer = time::timeout(ANSWER_WAIT, exchange(config, method, path)).await;
    let answer = answer
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| AdminClientError::Unreachable { address, source })?;
    let (status, body) = split(&answer).ok_or(AdminClientError::NotOurs(address))?;
    let body: Value = serde_json::from_slice(body).map_err(|_| AdminClientError::NotOurs(address))?;
    if status == 200 {
        return Ok(body);
    }
    let what = body["error"].as_str().unwrap_or("refused without a reason");
    Err(AdminClientError::Refused {
        what: what.to_owned(),
    })
}

async fn exchange(config: &AdminConfig, method: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(config.listen).await?;
    let token = config.token.as_ref().map(|token| token.expose());
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    // HTTP/1.0, so that the answer is one piece and ends with the connection.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {}\r\n{authorization}Content-Length: 0\r\n\r\n",
        config.listen
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LEN_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Status and body.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let status = answer.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    Some((status, answer.get(end + 4..)?))
}

/// A name as it may stand in a path or a query.
pub(crate) fn encode(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let mut encoded = String::new();
    for byte in name.bytes() {
        match plain(byte) {
            true => encoded.push(byte.into()),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use offhook_process::{
        Context, NodeName, Secret, Shutdown, TraceLimits,
        admin::{Admin, Pages},
    };

    #[test]
    fn names_of_any_kind_stay_one_segment() {
        assert_eq!(encode("alice"), "alice");
        assert_eq!(encode("a/b ü?"), "a%2Fb%20%C3%BC%3F");
    }

    #[tokio::test]
    async fn a_running_process_answers_those_with_the_token() {
        let mut config = AdminConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            token: Some(Secret::new("t0ken")),
        };
        let context = Context::new(NodeName::default(), TraceLimits::default());
        let admin = Admin::bind(&config, context, Pages::default()).await.unwrap();
        config.listen = admin.local_address();
        let (_trigger, shutdown) = Shutdown::new();
        tokio::spawn(admin.serve(shutdown));

        let calls = ask(&config, "GET", "/calls").await.unwrap();
        assert_eq!(calls, serde_json::json!({ "calls": [] }));
        let error = ask(&config, "GET", "/calls/x").await.unwrap_err().to_string();
        assert!(error.contains("no such call"), "{error}");
        config.token = None;
        let error = ask(&config, "GET", "/calls").await.unwrap_err().to_string();
        assert!(error.contains("admin.token"), "{error}");
        config.listen = "127.0.0.1:1".parse().unwrap();
        let error = ask(&config, "GET", "/calls").await.unwrap_err().to_string();
        assert!(error.contains("does the process run"), "{error}");
    }
}
