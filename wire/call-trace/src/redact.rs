//! Keeps passwords, tokens and keys out of traces and logs.

use serde_json::Value;

const REDACTED: &str = "[redacted]";

/// Header and SDP line starts (lower case) whose rest is a secret.
const SECRET_LINES: [&str; 8] = [
    "authorization:",
    "proxy-authorization:",
    "a=ice-pwd:",
    "a=crypto:",
    "k=",
    "x-api-key:",
    "cookie:",
    "set-cookie:",
];

/// JSON keys (lower case) whose value is a secret, at any depth.
const SECRET_KEYS: [&str; 9] = [
    "passwd",
    "password",
    "login_token",
    "token",
    "credential",
    "push_device_token",
    "iceservers",
    "authorization",
    "secret",
];

/// A SIP message (or an SDP) as text without its secrets: digest answers, ICE passwords and SDES keys are blanked.
pub fn redact_sip(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\r', '\n']);
        let lower = body.trim_start().to_ascii_lowercase();
        match SECRET_LINES.iter().find(|start| lower.starts_with(*start)) {
            Some(start) => {
                let lead = body.len() - body.trim_start().len();
                out.push_str(&body[..lead + start.len()]);
                out.push_str(REDACTED);
                out.push_str(&line[body.len()..]);
            }
            None => out.push_str(line),
        }
    }
    out
}

/// A JSON value without its secrets; SDP inside strings is treated by [`redact_sip`].
pub fn redact_json(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, inner)| {
                    let secret = SECRET_KEYS.contains(&key.to_ascii_lowercase().as_str());
                    (
                        key.clone(),
                        if secret {
                            Value::from(REDACTED)
                        } else {
                            redact_json(inner)
                        },
                    )
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(redact_json).collect()),
        Value::String(text) if text.contains("a=ice-pwd:") || text.contains("a=crypto:") => {
            Value::from(redact_sip(text.as_bytes()))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip_secrets_are_blanked_and_the_rest_is_kept() {
        let text = redact_sip(
            b"INVITE sip:a SIP/2.0\r\nAuthorization: Digest x\r\n\r\na=ice-pwd:abc\r\na=mid:0\r\n",
        );
        assert_eq!(
            text,
            "INVITE sip:a SIP/2.0\r\nAuthorization:[redacted]\r\n\r\na=ice-pwd:[redacted]\r\na=mid:0\r\n"
        );
    }

    #[test]
    fn json_secrets_are_blanked_at_any_depth() {
        let value = serde_json::json!({"params": {"passwd": "x", "dialogParams": {"iceServers": [{"credential": "y"}]},
            "sdp": "v=0\r\na=ice-pwd:zzz\r\n", "login": "alice"}});
        let text = redact_json(&value).to_string();
        assert!(
            !text.contains("\"x\"") && !text.contains("\"y\"") && !text.contains("zzz"),
            "{text}"
        );
        assert!(text.contains("alice"));
    }
}
