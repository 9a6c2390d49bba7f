//! What each action does to the world, and what it means for the model.

use super::{CLIENTS, Game, TOKEN_CLIENT, TOKEN_LIFETIME};
use crate::action::{Action, Deed};
use crate::actor::{ClientState, LineState, Plan};
use crate::model::{End, Seen};
use crate::{ALICE, ALICE_NUMBER, BOB, BOB_NUMBER, PROXY, SECOND_CARRIER_PREFIX};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Calls of one client at once; more than a person has.
const CALLS_MAX: usize = 4;
/// Statuses with which carriers refuse.
const REFUSALS: [u16; 7] = [486, 603, 404, 480, 403, 488, 503];
/// Who calls at the same time as somebody else is answered first within this time.
pub(super) const AT_ONCE: Duration = Duration::from_secs(2);

/// A client and a call of it.
type AtClient = (usize, String);

impl Game {
    /// Does it, if there is somebody to do it to.
    pub(super) fn act(&mut self, action: &Action) -> Result<(), String> {
        let done = match action.deed {
            Deed::Dial | Deed::DialUser => self.dial(action).map(Ok),
            Deed::CallIn => self.call_in(action).map(Ok),
            Deed::Answer => self.answer(action).map(Ok),
            Deed::HangUp => self.hang_up(action).map(Ok),
            Deed::Hold => self.hold(action).map(Ok),
            Deed::Digits | Deed::RestartIce => self.media(action).map(Ok),
            Deed::Transfer => self.transfer(action).map(Ok),
            Deed::TransferToCall => self.transfer_to_call(action).map(Ok),
            Deed::SendOn => self.send_on(action).map(Ok),
            Deed::Cut | Deed::Connect | Deed::Roam | Deed::Reload | Deed::Renew => {
                self.move_client(action).map(Ok)
            }
            Deed::Take | Deed::Refuse | Deed::End | Deed::FarHold => self.carrier(action).map(Ok),
            Deed::LoseMedia => self.lose_media(action).map(Ok),
            Deed::LoseGateway => self.lose_gateway(action).map(Ok),
            Deed::KillCarrier => self.kill_carrier(action).map(Ok),
            Deed::DrainVsp => self.drain_vsp().map(Ok),
            Deed::DrainProxy => self.drain_proxy().map(Ok),
            Deed::TwoAnswers => self.two_answers(action),
            Deed::BothHold | Deed::BothEnd | Deed::AnswerAndEnd | Deed::TakeAndHangUp => {
                self.both_ends(action.deed, action)
            }
        };
        let Some(outcome) = done else {
            return Ok(());
        };
        self.report.actions += 1;
        self.report.deeds |= 1 << action.deed as u32;
        outcome
    }

    fn online(&mut self) -> Vec<usize> {
        (0..CLIENTS)
            .filter(|client| self.world.client(*client).state() == ClientState::Ready)
            .collect()
    }

    /// Calls at clients that are there, of a state.
    pub(super) fn at_clients(&mut self, wanted: impl Fn(&crate::actor::CallView) -> bool) -> Vec<AtClient> {
        let mut found = Vec::new();
        for client in self.online() {
            let actor = self.world.client(client);
            for call in actor.live_calls() {
                if actor.call(&call).is_some_and(&wanted) {
                    found.push((client, call));
                }
            }
        }
        found
    }

    fn at_carriers(&mut self, wanted: impl Fn(LineState) -> bool) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for carrier in 0..2 {
            for tag in &self.tags {
                if self.world.carrier(carrier).line(tag).is_some_and(&wanted) {
                    found.push((carrier, tag.clone()));
                }
            }
        }
        found
    }

    pub(super) fn tag(&mut self, client: usize, call: &str) -> String {
        let view = self.world.client(client).call(call);
        view.map(|view| view.tag.clone()).unwrap_or_default()
    }

    fn dial(&mut self, action: &Action) -> Option<()> {
        let client = *pick(&self.online(), action.who)?;
        if self.world.client(client).live_calls().len() >= CALLS_MAX {
            return None;
        }
        let tag = format!("c{}", action.number);
        let to_carrier = action.deed == Deed::Dial;
        let carrier = action.which as usize % 2;
        let number = match (to_carrier, client % 2) {
            (true, _) if carrier == 1 => format!("{SECOND_CARRIER_PREFIX}{}", Plan::Wait.number()),
            (true, _) => Plan::Wait.number(),
            (false, 0) => BOB.0.to_owned(),
            (false, _) => ALICE.0.to_owned(),
        };
        self.world.client(client).dial(&tag, &number);
        match to_carrier {
            true => self.model.dial(client, &tag, carrier),
            false => self.model.call_user(End::Client(client), &tag, 1 - client % 2),
        }
        self.tags.push(tag);
        Some(())
    }

    fn call_in(&mut self, action: &Action) -> Option<()> {
        let (carrier, user) = (action.who as usize % 2, action.which as usize % 2);
        // Whom it would ring at in vain has too many calls already.
        let busy = (0..CLIENTS).any(|client| self.world.client(client).live_calls().len() > 2 * CALLS_MAX);
        if busy {
            return None;
        }
        let tag = format!("i{}", action.number);
        let number = [ALICE_NUMBER, BOB_NUMBER][user];
        self.world
            .with_carrier(carrier, |carrier, now| carrier.call(now, &tag, number, PROXY));
        self.model.call_user(End::Carrier(carrier), &tag, user);
        self.tags.push(tag);
        Some(())
    }

    fn answer(&mut self, action: &Action) -> Option<()> {
        let ringing = self.at_clients(|view| view.states == ["ringing"]);
        let (client, call) = pick(&ringing, action.who)?.clone();
        let tag = self.tag(client, &call);
        self.world.client(client).answer(&call);
        self.model.answer(End::Client(client), &tag);
        Some(())
    }

    fn hang_up(&mut self, action: &Action) -> Option<()> {
        let (client, call) = pick(&self.at_clients(|_| true), action.who)?.clone();
        let tag = self.tag(client, &call);
        self.world.client(client).hang_up(&call);
        self.model.hang_up(client, &tag);
        Some(())
    }

    fn hold(&mut self, action: &Action) -> Option<()> {
        let talking = self.at_clients(|view| view.is_active() && view.knows_hold());
        let (client, call) = pick(&talking, action.who)?.clone();
        let tag = self.tag(client, &call);
        let hold = !self.world.client(client).call(&call)?.holds;
        self.world.client(client).hold(&call, hold);
        self.model.hold(End::Client(client), &tag, hold);
        Some(())
    }

    fn media(&mut self, action: &Action) -> Option<()> {
        let talking = self.at_clients(crate::actor::CallView::is_active);
        let (client, call) = pick(&talking, action.who)?.clone();
        if action.deed == Deed::RestartIce {
            self.world.client(client).restart_ice(&call);
            return Some(());
        }
        let digits = format!("{}#", action.which);
        self.world.client(client).send_digits(&call, &digits);
        self.model.digits.push_str(&digits);
        Some(())
    }

    fn move_client(&mut self, action: &Action) -> Option<()> {
        let online = self.online();
        match action.deed {
            Deed::Connect => {
                let away: Vec<usize> = (0..CLIENTS).filter(|client| !online.contains(client)).collect();
                let client = *pick(&away, action.who)?;
                self.renew_if_needed(client);
                self.world.connect(client);
                self.model.connect(client);
            }
            Deed::Renew => {
                online.contains(&TOKEN_CLIENT).then_some(())?;
                self.renew();
            }
            Deed::Cut => {
                let client = *pick(&online, action.who)?;
                self.world.cut(client);
                self.model.cut(client);
            }
            Deed::Roam => {
                let client = *pick(&online, action.who)?;
                self.renew_if_needed(client);
                self.world.cut(client);
                self.model.cut(client);
                let address = Ipv4Addr::new(192, 0, 2, (action.which % 250) as u8);
                self.world.connect_from(client, address);
                self.model.connect(client);
            }
            _ => {
                let client = *pick(&online, action.who)?;
                self.renew_if_needed(client);
                let calls = self.world.client(client).live_calls();
                let order: Vec<String> = calls.iter().map(|call| self.tag(client, call)).collect();
                self.world.leave_page(client);
                self.world.connect(client);
                self.model.reload(client, &order);
            }
        }
        Some(())
    }

    /// A client whose token has ended gets another one before it comes back.
    fn renew_if_needed(&mut self, client: usize) {
        if client == TOKEN_CLIENT && self.model.seat(client).is_expired(self.world.elapsed() + AT_ONCE) {
            self.renew();
        }
    }

    fn renew(&mut self) {
        let token = self.world.token(BOB.0, TOKEN_LIFETIME);
        self.world.client(TOKEN_CLIENT).set_token(token);
        self.model.seat(TOKEN_CLIENT).token_until = Some(self.world.elapsed() + TOKEN_LIFETIME);
    }

    fn carrier(&mut self, action: &Action) -> Option<()> {
        let (is_ringing, is_talking) = (
            |state| state == LineState::Ringing,
            |state| state == LineState::Talking,
        );
        let candidates = match action.deed {
            Deed::Take | Deed::Refuse => {
                let ringing = self.at_carriers(is_ringing);
                // Those that it calls itself are not its to answer.
                ringing
                    .into_iter()
                    .filter(|(_, tag)| tag.starts_with('c'))
                    .collect()
            }
            Deed::End => {
                let placed = |tag: &str| tag.starts_with('i');
                let mut all = self.at_carriers(is_talking);
                all.extend(
                    self.at_carriers(is_ringing)
                        .into_iter()
                        .filter(|(_, tag)| placed(tag)),
                );
                all
            }
            _ => self.at_carriers(is_talking),
        };
        let (carrier, tag) = pick(&candidates, action.who)?.clone();
        let status = *pick(&REFUSALS, action.which)?;
        let hold = !self.world.carrier(carrier).holds(&tag).0;
        self.world
            .with_carrier(carrier, |carrier, now| match action.deed {
                Deed::Take => carrier.take(now, &tag),
                Deed::Refuse => carrier.refuse(now, &tag, status),
                Deed::End => carrier.end(now, &tag),
                _ => carrier.hold(now, &tag, hold),
            });
        match action.deed {
            Deed::Take => self.model.answer(End::Carrier(carrier), &tag),
            Deed::Refuse => self.model.carrier_refuses(carrier, &tag, status),
            Deed::End => self.model.carrier_ends(carrier, &tag),
            _ => self.model.hold(End::Carrier(carrier), &tag, hold),
        }
        Some(())
    }

    /// A client and the carrier at the other end of its call.
    fn both_ends(&mut self, deed: Deed, action: &Action) -> Option<Result<(), String>> {
        let is_early = matches!(deed, Deed::AnswerAndEnd | Deed::TakeAndHangUp);
        let mut pairs = Vec::new();
        for (client, call) in self.at_clients(|view| view.is_active() != is_early && view.knows_hold()) {
            let tag = self.tag(client, &call);
            let wanted = if is_early {
                LineState::Ringing
            } else {
                LineState::Talking
            };
            let fits = match deed {
                Deed::AnswerAndEnd => tag.starts_with('i'),
                Deed::TakeAndHangUp => tag.starts_with('c'),
                _ => true,
            };
            for carrier in 0..2 {
                if fits && self.world.carrier(carrier).line(&tag) == Some(wanted) {
                    pairs.push((client, call.clone(), carrier, tag.clone()));
                }
            }
        }
        let (client, call, carrier, tag) = pick(&pairs, action.who)?.clone();
        let holds = self.world.client(client).call(&call)?.holds;
        let far_holds = self.world.carrier(carrier).holds(&tag).0;
        match deed {
            Deed::BothHold => self.world.client(client).hold(&call, !holds),
            Deed::AnswerAndEnd => self.world.client(client).answer(&call),
            _ => self.world.client(client).hang_up(&call),
        }
        self.world.with_carrier(carrier, |carrier, now| match deed {
            Deed::BothHold => carrier.hold(now, &tag, !far_holds),
            Deed::TakeAndHangUp => carrier.take(now, &tag),
            _ => carrier.end(now, &tag),
        });
        Some(match deed {
            Deed::BothHold => self.both_held(client, carrier, &tag, !holds),
            Deed::AnswerAndEnd => self.given_up_or_hung_up(client, &call, carrier),
            _ => {
                self.model.hang_up(client, &tag);
                Ok(())
            }
        })
    }

    /// Ours goes through, at once or once theirs has; theirs may be refused, and then nobody may believe that it was not.
    fn both_held(&mut self, client: usize, carrier: usize, tag: &str, hold: bool) -> Result<(), String> {
        self.world.run_for(AT_ONCE);
        self.model.hold(End::Client(client), tag, hold);
        let far_holds = self.world.carrier(carrier).holds(tag).0;
        self.model.hold(End::Carrier(carrier), tag, far_holds);
        Ok(())
    }

    /// The caller gave up while a client answered: the call is over, and which came first may be seen.
    fn given_up_or_hung_up(&mut self, client: usize, call: &str, carrier: usize) -> Result<(), String> {
        self.world.run_for(AT_ONCE);
        if !self.is_fair {
            return Ok(());
        }
        let tag = &self.tag(client, call);
        let view = self.world.client(client).call(call);
        let ending = view.and_then(|view| view.ending.clone());
        let (end, far) = (End::Client(client), End::Carrier(carrier));
        let Some(ending) = ending else {
            return Err(format!(
                "call {tag}: the caller gave up, and {end:?} still sees {view:?}"
            ));
        };
        let ends = self.model.calls()[tag].ends().clone();
        let live = ends.into_iter().filter(|(_, seen)| seen.is_live());
        let others: Vec<End> = live
            .map(|(other, _)| other)
            .filter(|other| *other != far)
            .collect();
        self.model.carrier_ends(carrier, tag);
        let given_up = ending.cause == crate::model::Ending::GIVEN_UP.causes[0].0;
        let mut ends: BTreeMap<End, Seen> = [(far, Seen::Over(None))].into();
        for other in others {
            // Who came too late to answer was not beaten by another client.
            let seen = match given_up {
                true => crate::model::Ending::GIVEN_UP,
                false if other == end => crate::model::Ending::NORMAL,
                false => crate::model::Ending::LOST_RACE,
            };
            ends.insert(other, Seen::Over(Some(seen)));
        }
        self.model.adopt(tag, ends);
        Ok(())
    }

    /// Two clients of one user answer: one of them has the call.
    fn two_answers(&mut self, action: &Action) -> Option<Result<(), String>> {
        let ringing = self.at_clients(|view| view.states == ["ringing"]);
        let mut pairs = Vec::new();
        for (first, one) in &ringing {
            for (second, other) in ringing.iter().filter(|(second, _)| second > first) {
                if self.tag(*first, one) == self.tag(*second, other) {
                    pairs.push([(*first, one.clone()), (*second, other.clone())]);
                }
            }
        }
        let pair = pick(&pairs, action.who)?.clone();
        let tag = self.tag(pair[0].0, &pair[0].1);
        for (client, call) in &pair {
            self.world.client(*client).answer(call);
        }
        self.world.run_for(AT_ONCE);
        let mut talking = Vec::new();
        for (client, call) in &pair {
            if self
                .world
                .client(*client)
                .call(call)
                .is_some_and(|view| view.ending.is_none())
            {
                talking.push(*client);
            }
        }
        if !self.is_fair {
            return Some(Ok(()));
        }
        match talking[..] {
            [winner] => {
                self.model.answer(End::Client(winner), &tag);
                Some(Ok(()))
            }
            _ => Some(Err(format!(
                "call {tag}: two clients answered, and {talking:?} have it"
            ))),
        }
    }
}

pub(super) fn pick<T>(from: &[T], number: u32) -> Option<&T> {
    (!from.is_empty()).then(|| &from[number as usize % from.len()])
}
