//! Transfers: by clients and by far ends, to a number and to another call.

use super::Game;
use super::deeds::pick;
use crate::action::Action;
use crate::actor::{CallView, LineState, Plan};
use crate::{PROXY, SECOND_CARRIER_PREFIX};
use std::time::Duration;

/// Longer than a request takes to come to a carrier and back, in fair weather and, mostly, in foul.
const MOMENT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// Longer than somebody talks to whom a call was transferred.
const TRANSFERRED_FOR: Duration = Duration::from_secs(8);

/// A client and its call with a carrier.
#[derive(Debug, Clone)]
struct Talk {
    client: usize,
    call: String,
    carrier: usize,
    tag: String,
}

impl Game {
    fn wait_a_moment(&mut self) {
        self.world.run_for(MOMENT[usize::from(!self.is_fair)]);
    }

    fn talks_with_carriers(&mut self) -> Vec<Talk> {
        let mut talks = Vec::new();
        for (client, call) in self.at_clients(CallView::is_active) {
            let tag = self.tag(client, &call);
            for carrier in 0..2 {
                if self.world.carrier(carrier).line(&tag) == Some(LineState::Talking) {
                    talks.push(Talk {
                        client,
                        call: call.clone(),
                        carrier,
                        tag: tag.clone(),
                    });
                }
            }
        }
        talks
    }

    /// A client asks its far end to call a number, which does so; or else the VSP calls in its place.
    pub(super) fn transfer(&mut self, action: &Action) -> Option<()> {
        let talk = pick(&self.talks_with_carriers(), action.who)?.clone();
        let calls = action.which.is_multiple_of(2);
        let Talk {
            client,
            call,
            carrier,
            tag,
        } = talk;
        self.world.client(client).transfer(&call, &Plan::HangUp.number());
        self.wait_a_moment();
        self.world
            .with_carrier(carrier, |carrier, now| carrier.decide_transfer(now, &tag, calls));
        if !calls {
            // Whom the VSP calls hangs up after a while.
            self.world.run_for(TRANSFERRED_FOR);
        }
        if calls || self.model.may_call(client) {
            self.model.transferred(client, &tag);
        }
        Some(())
    }

    /// A client wants two of its far ends to talk with each other: one calls the other, or else the VSP connects them.
    pub(super) fn transfer_to_call(&mut self, action: &Action) -> Option<()> {
        let talks = self.talks_with_carriers();
        let mut pairs = Vec::new();
        for one in &talks {
            let others = talks
                .iter()
                .filter(|other| other.client == one.client && other.call != one.call);
            pairs.extend(others.map(|other| (one.clone(), other.clone())));
        }
        let (one, other) = pick(&pairs, action.who)?.clone();
        let calls = action.which.is_multiple_of(2);
        self.world
            .client(one.client)
            .transfer_to_call(&one.call, &other.call);
        self.wait_a_moment();
        self.world.with_carrier(one.carrier, |carrier, now| {
            carrier.decide_transfer(now, &one.tag, calls)
        });
        if !calls {
            self.joined.push((one.tag.clone(), other.tag.clone()));
            self.model.joined(one.client, &one.tag, &other.tag);
            return Some(());
        }
        self.model.transferred(one.client, &one.tag);
        self.wait_a_moment();
        self.world
            .with_carrier(other.carrier, |carrier, now| carrier.end(now, &other.tag));
        self.model.carrier_ends(other.carrier, &other.tag);
        Some(())
    }

    /// A far end sends the client to somebody at the other carrier, who answers, or does not want to.
    pub(super) fn send_on(&mut self, action: &Action) -> Option<()> {
        let talk = pick(&self.talks_with_carriers(), action.who)?.clone();
        let (tag, old) = (talk.tag, talk.carrier);
        let new = 1 - old;
        let prefix = if new == 0 { "" } else { SECOND_CARRIER_PREFIX };
        let number = format!("{prefix}{}", Plan::Wait.number());
        self.world
            .with_carrier(old, |carrier, now| carrier.send_to(now, &tag, &number, PROXY));
        self.wait_a_moment();
        let answers = action.which.is_multiple_of(2);
        self.world.with_carrier(new, |carrier, now| match answers {
            true => carrier.take(now, &tag),
            false => carrier.refuse(now, &tag, 486),
        });
        self.wait_a_moment();
        if self.model.sends_on(&tag) && answers {
            self.model.succeeded(&tag, old, new);
        }
        Some(())
    }
}
