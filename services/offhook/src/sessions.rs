//! `offhook sessions` and `offhook punt`: clients of a running VSP, seen and evicted.

use crate::admin_client::{AdminClientError, ask, encode};
use offhook_process::admin::AdminConfig;
use offhook_vsp::run::operator::SESSIONS_LISTED_MAX;
use serde_json::Value;
use std::io::{self, Write};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionsError {
    /// The running process.
    #[error(transparent)]
    Admin(#[from] AdminClientError),
    /// Nobody reads what we say.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Prints the sessions, and below each its calls.
pub(crate) async fn list(config: &AdminConfig, user: Option<&str>, json: bool) -> Result<(), SessionsError> {
    let user = user.map_or_else(String::new, |user| format!("&user={}", encode(user)));
    let path = format!("/sessions?limit={SESSIONS_LISTED_MAX}{user}");
    let answer = ask(config, "GET", &path).await?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{answer:#}")?;
    } else {
        print(&mut out, &answer)?;
    }
    Ok(out.flush()?)
}

/// Evicts one client, or all of a user.
pub(crate) async fn punt(
    config: &AdminConfig,
    session: Option<&str>,
    user: Option<&str>,
) -> Result<(), SessionsError> {
    let path = match (session, user) {
        (Some(session), _) => format!("/sessions/{}/punt", encode(session)),
        (None, user) => format!("/users/{}/punt", encode(user.unwrap_or_default())),
    };
    let answer = ask(config, "POST", &path).await?;
    Ok(writeln!(io::stdout(), "{} evicted", answer["punted"])?)
}

fn print(out: &mut impl Write, answer: &Value) -> io::Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let none = Vec::new();
    let list = |value: &Value| value.as_array().unwrap_or(&none).clone();
    for session in list(&answer["sessions"]) {
        let away = if session["connected"] == true {
            ""
        } else {
            ", away"
        };
        let [id, user, address] = ["session", "user", "address"].map(|key| text(&session[key]));
        writeln!(out, "{id}  {user} at {address}{away}")?;
        for call in list(&session["calls"]) {
            let [id, stage, from, to] = ["call_id", "stage", "from", "to"].map(|key| text(&call[key]));
            writeln!(out, "  {id}  {stage}  {from} -> {to}  {} s", call["age_s"])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_for_each_session_and_call() {
        let call =
            json!({"call_id": "c-1", "stage": "active", "from": "+15550100", "to": "9196", "age_s": 7});
        let sessions = json!({"sessions": [
            {"session": "s-1", "user": "alice", "address": "192.0.2.1", "connected": true, "calls": [call]},
            {"session": "s-2", "user": "bob", "address": null, "connected": false, "calls": []},
        ]});
        let mut out = Vec::new();
        print(&mut out, &sessions).unwrap();
        let expected =
            "s-1  alice at 192.0.2.1\n  c-1  active  +15550100 -> 9196  7 s\ns-2  bob at -, away\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
