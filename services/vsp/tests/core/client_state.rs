//! The application's own text about a call (`clientState`), from one end to the other and back (C12).

use crate::world::{World, header, invite_params};
use serde_json::json;

#[test]
fn c12_client_state_of_the_caller_travels_and_comes_back_with_the_end() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let mut params = invite_params("call-1", "9196");
    params["dialogParams"]["clientState"] = json!("eyJvcmRlciI6N30=");
    world.ask(client, "telnyx_rtc.invite", params);
    let (_, incoming, invite) = world.far_invite();
    assert_eq!(
        header(&invite, "X-Client-State").as_deref(),
        Some("eyJvcmRlciI6N30=")
    );
    world.far_respond(incoming, 486, None);
    let bye = world.expect(client, "bye");
    assert_eq!(bye["client_state"], "eyJvcmRlciI6N30=");
}

#[test]
fn c12_client_state_of_the_invite_reaches_the_client_that_is_called() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    let leg = world.far_call("alice", &[("X-Client-State", "e30=")]);
    let invite = world.expect(client, "invite");
    assert_eq!(invite["client_state"], "e30=");
    for id in ["telnyx_call_control_id", "telnyx_session_id", "telnyx_leg_id"] {
        assert!(invite[id].is_string(), "{id}");
    }
    world.answer(client, &invite["callID"]);
    world.frame(client);
    world.far_bye(leg, None);
    let bye = world.expect(client, "bye");
    assert_eq!(bye["client_state"], "e30=");
    assert!(bye["sip_call_id"].is_string());
}

#[test]
fn c12_client_state_that_no_header_may_hold_is_refused_by_name() {
    let mut world = World::new();
    let (client, _) = world.log_in("alice");
    for bad in ["a\r\nX-Evil: 1", &"x".repeat(300)] {
        let mut params = invite_params("call-1", "9196");
        params["dialogParams"]["clientState"] = json!(bad);
        world.ask(client, "telnyx_rtc.invite", params);
        let bye = world.expect(client, "bye");
        let reason = bye["sipReason"].as_str().unwrap();
        assert!(reason.starts_with("clientState: "), "{reason}");
    }
    assert!(world.far_events.is_empty());
}
