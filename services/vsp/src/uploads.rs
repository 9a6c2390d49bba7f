//! What SDKs upload, as far as it is read: how the browser saw a call, and which file a recording goes into.

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// Characters of a call's id that stand in a file's name.
const NAME_LEN_MAX: usize = 64;

/// The part of a report that is kept. Its logs may hold SDP, and are not read.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The SDK's figures of the whole call.
    pub summary: Value,
    /// Those of the last interval; null if there are none.
    #[serde(rename = "stats", deserialize_with = "last")]
    pub last_interval: Value,
}

impl Report {
    /// Reads the body of a report; `None` if it is none.
    pub fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// The last one of a list. The others are let go one by one: in memory they would be many times as long as the body.
fn last<'de, D: Deserializer<'de>>(list: D) -> Result<Value, D::Error> {
    struct Last;
    impl<'de> Visitor<'de> for Last {
        type Value = Value;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
            let mut last = Value::Null;
            while let Some(next) = list.next_element()? {
                last = next;
            }
            Ok(last)
        }
    }
    list.deserialize_seq(Last)
}

/// The name of the file for a recording: it leads nowhere else, whatever id the page has chosen for `call`. `number` has to be
/// another one each time.
pub fn recording_name(call: &str, since_1970: Duration, number: u64) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let call: String = call.chars().take(NAME_LEN_MAX).map(safe).collect();
    format!("{call}-{}-{number}.json", since_1970.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_a_report_summary_and_last_interval_are_kept() {
        let body = json!({"summary": {"mos": 4.2}, "stats": [{"n": 1}, {"n": 2}], "logs": ["x"]});
        let report = Report::read(body.to_string().as_bytes()).unwrap();
        let (summary, last_interval) = (json!({"mos": 4.2}), json!({"n": 2}));
        assert_eq!(
            report,
            Report {
                summary,
                last_interval
            }
        );
        assert_eq!(Report::read(b"{\"stats\":[]}"), Some(Report::default()));
        for body in ["", "[", "5", "{\"stats\":{}}", "{\"stats\":null}"] {
            assert_eq!(Report::read(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_recording_goes_into_no_other_directory() {
        let name = recording_name("../../etc/x\0ä", Duration::from_millis(17), 3);
        assert_eq!(name, "______etc_x__-17-3.json");
        assert!(recording_name(&"x".repeat(1_000), Duration::ZERO, 0).len() < 100);
    }
}
