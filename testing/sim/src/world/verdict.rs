//! Whether credentials hold: what the shell of a VSP finds out in its users and keys.

use crate::scene;
use offhook_vsp::auth::{Claims, Question, Refusal, Verdict};

pub(super) fn on(question: &Question, unix_now_s: u64) -> Verdict {
    match question {
        Question::Password { user, password } => {
            let known = [scene::ALICE, scene::BOB]
                .into_iter()
                .find(|(name, _)| name == user);
            match known {
                Some((_, right)) if right == password.expose() => Verdict::Password { user: user.clone() },
                Some(_) => Verdict::Refused(Refusal::WrongPassword),
                None => Verdict::Refused(Refusal::UnknownUser),
            }
        }
        Question::Token { token } => match token.expose().split_once(' ') {
            Some((user, ends_s)) => {
                let claims = Claims {
                    subject: Some(user.to_owned()),
                    expires_s: ends_s.parse().ok(),
                    ..Claims::default()
                };
                Verdict::Token { claims, unix_now_s }
            }
            None => Verdict::Refused(Refusal::TokenMalformed),
        },
    }
}
