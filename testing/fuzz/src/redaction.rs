//! What goes into logs and traces: messages of all kinds, and reports that clients upload, without their secrets.

use offhook_call_trace::{redact_json, redact_sip};
use serde_json::{Value, json};

pub(crate) const SEEDS: &[&[u8]] = &[
    br##"{"summary":{"callId":"c","passwd":"x"},"stats":[{"token":"t","list":[{"sdp":"v=0\r\na=ice-pwd:hidden\r\n"}]}]}"##,
    b"v=0\r\na=ice-pwd:hidden\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:hidden\r\n",
    b"REGISTER sip:r SIP/2.0\r\nAuthorization: Digest username=\"a\",\r\n response=\"hidden\"\r\n\r\n",
];

/// A word that no input holds by chance, at the places of secrets.
const SECRET: &str = "hush-hush-hush";

pub(crate) fn redaction(input: &[u8]) {
    let _ = redact_sip(input);
    if let Ok(report) = serde_json::from_slice::<Value>(input) {
        let once = redact_json(&report);
        assert_eq!(redact_json(&once), once, "nothing is left to blank");
        let beside = redact_json(&json!({"passwd": SECRET, "beside": report, "token": SECRET}));
        assert!(!beside.to_string().contains(SECRET));
    }
    let lines = [b"a=ice-pwd:", SECRET.as_bytes(), b"\r\n", input].concat();
    assert!(
        !redact_sip(&lines).contains(SECRET),
        "what follows a secret does not uncover it"
    );
    let lines = [input, b"\r\na=ice-pwd:", SECRET.as_bytes(), b"\r\n"].concat();
    assert!(!redact_sip(&lines).contains(SECRET), "nor does what comes before");
}
