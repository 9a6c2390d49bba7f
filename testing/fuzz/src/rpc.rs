//! The client dialect.

use offhook_rpc_message::{ClientFrame, ErrorCode, RpcError, VoiceSdkId, decode, validate};

pub(crate) const SEEDS: &[&[u8]] = &[
    br##"{"jsonrpc":"2.0","id":"u1","method":"login","params":{"login":"alice","passwd":"x","userVariables":{"a":1},"reconnection":true,"loginParams":{"early_sdp_answer":true},"User-Agent":{"sdkVersion":"2.27.10","data":"x"},"sessid":"s"}}"##,
    br##"{"jsonrpc":"2.0","id":7,"method":"telnyx_rtc.invite","params":{"sessid":"s","sdp":"v=0\r\n","dialogParams":{"callID":"c1","destination_number":"+4930123456","caller_id_name":"A","caller_id_number":"1","custom_headers":[{"name":"X-A","value":"1"}]}}}"##,
    br##"{"jsonrpc":"2.0","id":"b","method":"telnyx_rtc.bye","params":{"cause":"USER_BUSY","causeCode":17,"dialogParams":{"callId":"c1"}}}"##,
    br##"{"jsonrpc":"2.0","id":"m","method":"telnyx_rtc.modify","params":{"action":"updateMedia","callID":"c","sdp":"v=0"}}"##,
    br##"{"jsonrpc":"2.0","id":"i","method":"telnyx_rtc.info","params":{"dtmf":"12#","dialogParams":{"callID":"c"}}}"##,
    br##"{"jsonrpc":"2.0","id":41,"result":{"method":"telnyx_rtc.ringing"}}"##,
    br##"{"jsonrpc":"2.0","id":"d","type":"debug_report_data","debug_report_id":"x","debug_report_data":{"event":"stats"}}"##,
    b"#SPU 2048",
];

pub(crate) fn frame(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let voice_sdk_id = VoiceSdkId("vsdk-1".into());
    if let Ok(ClientFrame::Request { id, method }) = decode(text) {
        let answer = RpcError::new(ErrorCode::MethodNotFound, method.name()).encode(&id, &voice_sdk_id);
        let first = answer.trim_start().as_bytes().first();
        assert_eq!(first, Some(&b'{'), "an answer is a JSON object");
        assert!(!answer.contains(['\r', '\n']), "an answer is one line");
    }
    if let Ok(destination) = validate::Destination::new(text) {
        assert!(!destination.as_str().contains(['\r', '\n', ' ', '<', '>', '@']));
    }
    if let Ok(header) = validate::CustomHeader::new("X-Fuzz", text) {
        assert!(!header.value().contains(['\r', '\n', '\0']));
    }
    assert!(!validate::display_name(text).contains(['\r', '\n', '\0']));
}
