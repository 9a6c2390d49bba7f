//! SIP messages as text: what was sent, and what no user agent would send.

use crate::world::{World, proxy_address};
use bytes::Bytes;

impl World {
    /// The last message of the far end that starts with this.
    pub(crate) fn far_said(&self, start: &str) -> &str {
        let said = self
            .wire
            .iter()
            .rev()
            .find(|(of_vsp, text)| !of_vsp && text.starts_with(start));
        &said.expect("a message of the far end").1
    }

    /// Messages of the VSP that start with this and hold that.
    pub(crate) fn vsp_said(&self, start: &str, part: &str) -> usize {
        let said = self.wire.iter().filter(|(of_vsp, _)| *of_vsp);
        said.filter(|(_, text)| text.starts_with(start) && text.contains(part))
            .count()
    }

    /// The far end sends a message of its own making.
    pub(crate) fn forge(&mut self, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.server.handle_datagram(self.now, proxy_address(), bytes);
        self.settle();
    }
}
