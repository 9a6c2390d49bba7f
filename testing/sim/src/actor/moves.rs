//! What a client does beside dialling, answering and hanging up: hold, transfer, ICE restart, reload, new credentials.

use super::client::{CallView, Client, ClientState, Pending};
use super::lines::TAG;
use serde_json::{Value, json};

impl Client {
    /// Logs in by token instead of password from the next login on; a live socket logs in again at once.
    pub fn set_token(&mut self, token: String) {
        self.token = Some(token);
        if self.state == ClientState::Ready {
            self.log_in(Pending::Relogin);
        }
    }

    /// The page is left, and loaded anew: it knows nothing but the session that its tab has kept.
    pub fn reload(&mut self) {
        self.calls.clear();
        self.handle_closed();
    }

    /// The client's id of a call, by what it is called from end to end.
    pub fn id_of(&self, tag: &str) -> Option<String> {
        let of_tag = self.calls.iter().filter(|(_, view)| view.tag == tag);
        // A session that was lost may have rung before; the last one counts.
        of_tag
            .max_by_key(|(_, view)| view.ending.is_none())
            .map(|(id, _)| id.clone())
    }

    /// All calls of this name, those that are over too.
    pub fn views_of<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a CallView> {
        self.calls.values().filter(move |view| view.tag == tag)
    }

    /// Holds the far end, or takes it back.
    pub fn hold(&mut self, call: &str, hold: bool) {
        let action = if hold { "hold" } else { "unhold" };
        self.modify(call, json!({"action": action}), Pending::Hold(call.into()));
    }

    /// Asks the far end to call somebody else.
    pub fn transfer(&mut self, call: &str, number: &str) {
        let params = json!({"action": "transfer", "destination": number});
        self.modify(call, params, Pending::Transfer(call.into()));
    }

    /// Asks the far end to take the client's place in another call.
    pub fn transfer_to_call(&mut self, call: &str, other: &str) {
        let params = json!({"action": "replace", "replaceCallID": other});
        self.modify(call, params, Pending::Transfer(call.into()));
    }

    /// New ICE credentials for a call that is up.
    pub fn restart_ice(&mut self, call: &str) {
        let params = json!({"action": "updateMedia", "sdp": "new offer of the browser"});
        self.modify(call, params, Pending::Other);
    }

    fn modify(&mut self, call: &str, mut params: Value, pending: Pending) {
        params["sessid"] = self.session.clone().into();
        params["dialogParams"] = json!({"callID": call});
        self.request("telnyx_rtc.modify", params, pending);
    }

    pub(super) fn on_hold_result(&mut self, call: &str, frame: &Value) {
        if let (Some(state), Some(view)) = (frame["result"]["holdState"].as_str(), self.calls.get_mut(call)) {
            view.holds = state == "held";
        }
    }

    /// The call goes on with media made anew, also in a page that knows nothing of it yet.
    pub(super) fn on_attach(&mut self, call: &str, frame: &Value) {
        assert!(frame["params"]["sdp"].is_string(), "an attach carries an SDP");
        let tag = self.tags.get(call).cloned().unwrap_or_default();
        let view = self
            .calls
            .entry(call.to_owned())
            .or_insert_with(|| CallView::new(&tag, Vec::new()));
        if view.ending.is_some() {
            return;
        }
        self.step(call, "active", frame);
        let params = json!({"sessid": self.session, "sdp": "answer to the attach",
            "dialogParams": {"callID": call}});
        self.request("telnyx_rtc.attach", params, Pending::Other);
    }

    pub(super) fn on_call_event(&mut self, params: &Value) {
        let call = params["eventChannel"].as_str().unwrap_or_default().to_owned();
        let data = &params["eventData"];
        match data["kind"].as_str() {
            Some("farHold") => {
                if let Some(view) = self.calls.get_mut(&call) {
                    view.is_held = data["holdState"] == "held";
                }
            }
            Some("transfer") => self.on_transfer(&call, data["state"].as_str().unwrap_or_default()),
            _ => {}
        }
    }

    pub(super) fn on_transfer(&mut self, call: &str, state: &str) {
        if let Some(view) = self.calls.get_mut(call) {
            view.transfer = Some(state.to_owned());
        }
    }
}

/// What the call is called from end to end, if the message says so.
pub(super) fn tag_of(params: &Value) -> String {
    let headers = params["dialogParams"]["custom_headers"].as_array();
    let tag = headers.into_iter().flatten().find(|header| {
        header["name"]
            .as_str()
            .is_some_and(|name| name.eq_ignore_ascii_case(TAG))
    });
    tag.and_then(|header| header["value"].as_str())
        .unwrap_or_default()
        .to_owned()
}
