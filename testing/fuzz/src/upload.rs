//! What SDKs upload by HTTP: reports of calls, and the ids that recordings are named by.

use offhook_call_trace::redact_json;
use offhook_vsp::uploads::{Report, recording_name};
use serde_json::Value;
use std::path::{Component, Path};
use std::time::Duration;

pub(crate) const SEEDS: &[&[u8]] = &[
    br##"{"callReportId":"cr-1","callId":"c","summary":{"durationSeconds":12.5,"passwd":"x"},"stats":[{"audio":{"inbound":{"jitterAvg":1}}},{"audio":{"outbound":{"packetsSent":7}}}],"logs":[{"message":"a=ice-pwd:x"}]}"##,
    br##"{"summary":null,"stats":[],"stats_":[[[[]]]]}"##,
    b"../../etc/passwd",
    b"0d9cbb5b-1a7b-4c4c-8f24-fb0c1b7f6a10",
];

pub(crate) fn upload(input: &[u8]) {
    let report = Report::read(input);
    if let (Some(report), Ok(all)) = (&report, serde_json::from_slice::<Value>(input)) {
        if let Some(Value::Array(stats)) = all.get("stats") {
            assert_eq!(
                stats.last().unwrap_or(&Value::Null),
                &report.last_interval,
                "the last one is kept"
            );
        }
        let _ = redact_json(&report.summary);
    }
    let name = recording_name(&String::from_utf8_lossy(input), Duration::from_secs(1), 7);
    let parts: Vec<_> = Path::new(&name).components().collect();
    assert!(
        matches!(parts[..], [Component::Normal(_)]) && name.is_ascii() && name.len() < 100,
        "a file of the directory: {name:?}"
    );
}
