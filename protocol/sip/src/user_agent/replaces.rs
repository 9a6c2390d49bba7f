//! Replaces (RFC 3891): one call takes the place of another.

use super::UserAgent;
use super::api::{Ending, Event, LegId};
use super::leg::State;
use crate::dialog::{Dialog, DialogId};
use crate::extra_header::Header;
use bytes::Bytes;
use offhook_sip_message::header::{Header as _, Replaces};
use offhook_sip_message::{HeaderName, Message, StatusCode};
use std::time::Instant;

/// Longest value of a Replaces header that is read out of a URI, in bytes: a Call-ID and two tags.
pub(super) const REPLACES_VALUE_MAX: usize = 1024;

/// The dialog that a new call shall take the place of, as the one who holds it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedDialog {
    /// Its Call-ID.
    pub call_id: Bytes,
    /// Tag of the one who receives the new INVITE.
    pub to_tag: Bytes,
    /// Tag of that one's other side.
    pub from_tag: Bytes,
    /// Only while it still rings.
    pub early_only: bool,
}

impl ReplacedDialog {
    /// What the far end of `dialog`, a call of ours, is sent in order that a new call takes its place: in our own INVITE,
    /// or by somebody whom we ask to call with REFER.
    pub fn of_dialog(dialog: &Dialog) -> Self {
        Self {
            call_id: dialog.id.call_id.clone(),
            to_tag: dialog.id.remote_tag.clone(),
            from_tag: dialog.id.local_tag.clone(),
            early_only: false,
        }
    }

    /// Reads the value of a Replaces header; `None` if it is none.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let replaces = Replaces::parse(value).ok()?;
        Some(Self {
            call_id: Bytes::copy_from_slice(replaces.call_id),
            to_tag: Bytes::copy_from_slice(replaces.to_tag()?),
            from_tag: Bytes::copy_from_slice(replaces.from_tag()?),
            early_only: replaces.early_only(),
        })
    }

    /// The header for an INVITE. `None` if the Call-ID or a tag, which a peer chose, cannot stand in a header.
    pub fn header(&self) -> Option<Header> {
        Header::new("Replaces", std::str::from_utf8(&self.value()).ok()?).ok()
    }

    pub(super) fn value(&self) -> Vec<u8> {
        let mut value = self.call_id.to_vec();
        for (name, tag) in [(&b";to-tag="[..], &self.to_tag), (b";from-tag=", &self.from_tag)] {
            value.extend_from_slice(name);
            value.extend_from_slice(tag);
        }
        if self.early_only {
            value.extend_from_slice(b";early-only");
        }
        value
    }
}

impl UserAgent {
    /// The call that an incoming one shall take the place of. When the owner answers the new call with a 2xx, the user
    /// agent ends the old one (`Terminated` with [`Ending::Local`], or `Failed` where it still rang).
    pub fn replaced_by(&self, leg: LegId) -> Option<LegId> {
        let old = self.legs.get(&leg)?.replaces?;
        self.legs.contains_key(&old).then_some(old)
    }

    /// The call that an INVITE wants to replace, or why it cannot (RFC 3891 §3).
    pub(super) fn replaced(&self, invite: &Message) -> Result<Option<LegId>, StatusCode> {
        if !self.extensions.replaces {
            return Ok(None);
        }
        let mut values = invite.headers_named(HeaderName::Replaces);
        let Some(line) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() || invite.has(HeaderName::Join) {
            return Err(StatusCode::BAD_REQUEST);
        }
        let replaced = ReplacedDialog::parse(line.value).ok_or(StatusCode::BAD_REQUEST)?;
        let leg = self
            .leg_replaced(&replaced)
            .ok_or(StatusCode::CALL_DOES_NOT_EXIST)?;
        match self.legs.get(&leg).map(|leg| &leg.state) {
            Some(State::Confirmed(_)) if replaced.early_only => Err(StatusCode::BUSY_HERE),
            Some(State::Confirmed(_)) => Ok(Some(leg)),
            Some(State::Calling(calling)) if !calling.cancelled => Ok(Some(leg)),
            Some(State::Closing(_)) => Err(StatusCode::DECLINE),
            // An early dialog that we did not start cannot be replaced.
            Some(State::Calling(_) | State::Ringing { .. }) | None => Err(StatusCode::CALL_DOES_NOT_EXIST),
        }
    }

    fn leg_replaced(&self, replaced: &ReplacedDialog) -> Option<LegId> {
        // A tag of 0 means none (RFC 2543 peers).
        let remote_tag = match &replaced.from_tag[..] {
            b"0" => Bytes::new(),
            _ => replaced.from_tag.clone(),
        };
        let id = |remote_tag| DialogId {
            call_id: replaced.call_id.clone(),
            local_tag: replaced.to_tag.clone(),
            remote_tag,
        };
        let exact = self.dialogs.get(&id(replaced.from_tag.clone()));
        exact.or_else(|| self.dialogs.get(&id(remote_tag))).copied()
    }

    /// The new call is answered: the old one ends.
    pub(super) fn end_replaced(&mut self, now: Instant, leg: LegId) {
        let Some(old) = self.legs.get_mut(&leg).and_then(|leg| leg.replaces.take()) else {
            return;
        };
        match self.legs.get(&old).map(|leg| &leg.state) {
            Some(State::Confirmed(_)) => {
                self.close(now, old, Vec::new());
                self.push_event(Event::Terminated {
                    leg: old,
                    ending: Ending::Local,
                });
            }
            Some(State::Calling(_)) => {
                if let Err(error) = self.cancel(now, old, Vec::new()) {
                    tracing::debug!(%error, "the replaced call was over already");
                }
            }
            Some(State::Ringing { .. } | State::Closing(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let replaced = ReplacedDialog {
            call_id: "98732@sip.example.com".into(),
            to_tag: "r33th4x0r".into(),
            from_tag: "ff87ff".into(),
            early_only: true,
        };
        let value = replaced.value();
        assert_eq!(
            value,
            b"98732@sip.example.com;to-tag=r33th4x0r;from-tag=ff87ff;early-only"
        );
        assert_eq!(ReplacedDialog::parse(&value), Some(replaced));
        assert_eq!(ReplacedDialog::parse(b"98732@sip.example.com;to-tag=1"), None);
    }
}
