//! Streams: where messages end, keep-alives (RFC 5626 §4.4.1), and what closes the connection (RFC 3261 §18.3).

use offhook_sip_message::framing::{Frame, FrameError, Framer};
use offhook_sip_message::limits::{MESSAGE_MAX, STREAM_HEAD_MAX};

fn frames(bytes: &[u8]) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = Framer::new();
    framer.feed(bytes);
    let mut found = Vec::new();
    loop {
        match framer.poll() {
            Ok(Some(frame)) => found.push(frame),
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error)),
        }
    }
}

const MESSAGE: &[u8] = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn two_line_breaks_are_a_ping_one_is_nothing() {
    assert_eq!(frames(b"\r\n\r\n"), (vec![Frame::Ping], None));
    assert_eq!(frames(b"\r\n"), (vec![], None));
    let (found, error) = frames(&[b"\r\n", MESSAGE, b"\r\n\r\n\r\n", MESSAGE].concat());
    let message = || Frame::Message(MESSAGE.into());
    assert_eq!((found, error), (vec![message(), Frame::Ping, message()], None));
}

#[test]
fn an_unfinished_message_waits() {
    for end in 0..MESSAGE.len() {
        assert_eq!(frames(&MESSAGE[..end]), (vec![], None), "{end}");
    }
}

#[test]
fn the_length_has_to_be_there_once_and_be_a_number() {
    for head in [
        "OPTIONS sip:x SIP/2.0\r\n\r\n",
        "OPTIONS sip:x SIP/2.0\r\nl: -1\r\n\r\n",
        "OPTIONS sip:x SIP/2.0\r\nl: 1\r\nContent-Length: 1\r\n\r\n",
        "OPTIONS sip:x SIP/2.0\r\nl: 99999999999999999999\r\n\r\n",
    ] {
        assert_eq!(
            frames(head.as_bytes()),
            (vec![], Some(FrameError::ContentLength)),
            "{head}"
        );
    }
}

#[test]
fn lengths_are_bounded() {
    let endless = vec![b'a'; STREAM_HEAD_MAX + 1];
    assert_eq!(frames(&endless), (vec![], Some(FrameError::HeadTooLong)));
    let huge = format!("OPTIONS sip:x SIP/2.0\r\nl: {MESSAGE_MAX}\r\n\r\n");
    assert!(matches!(
        frames(huge.as_bytes()),
        (_, Some(FrameError::TooLarge { .. }))
    ));
}
