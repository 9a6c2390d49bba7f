//! A port that answers STUN and nothing else, for `iceServers` of browsers. The media port answers too, but not for them: a
//! browser takes nothing but STUN from an address that it uses as a STUN server, so no media would come from there.

use offhook_webrtc::stun::{PLAIN_RESPONSE_LEN_MAX, answer_plain_request};
use tokio::net::UdpSocket;

/// Longest request that is looked at, bytes. Binding requests of browsers have 20 to 100.
const REQUEST_LEN_MAX: usize = 548;

/// Answers until it is dropped. Stateless: an answer is no longer than what a request of that size may cause, and goes where
/// the request came from.
pub(super) async fn serve(socket: UdpSocket) {
    let mut request = [0; REQUEST_LEN_MAX];
    let mut response = [0; PLAIN_RESPONSE_LEN_MAX];
    loop {
        // What UDP reports here are answers that did not arrive: nothing to do about it.
        let Ok((len, source)) = socket.recv_from(&mut request).await else {
            continue;
        };
        let request = request.get(..len).unwrap_or_default();
        if let Some(len) = answer_plain_request(request, source, &mut response) {
            // Like any datagram it may be lost; the browser asks again.
            let _ = socket.try_send_to(response.get(..len).unwrap_or_default(), source);
        }
    }
}
