//! `[[number]]`: whose our numbers are.

use super::RouteConfig;
use crate::dial_plan::{Assignment, Destination, Number, Unanswered, UserName};
use offhook_process::{Problem, Secret};
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;

/// Most targets of a number: who is the tenth to be rung has no caller left.
const TARGETS_MAX: usize = 10;

/// `[[number]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberConfig {
    /// The number in E.164, with `+`.
    pub number: String,
    /// Who is tried, in this order: `user:NAME`, or `carrier:NUMBER` for a number elsewhere, over the carriers of its route.
    pub targets: Vec<TargetConfig>,
    /// How long each of them may ring, seconds. Default: as long as any call.
    #[serde(default)]
    pub ring_timeout_s: Option<u64>,
    /// What makes the proxy try the next one: `busy`, `no-answer`, `offline`, `rejected`. Default: all but `rejected`.
    #[serde(default = "next_on")]
    pub next_on: Vec<NextOn>,
}

fn next_on() -> Vec<NextOn> {
    vec![NextOn::Busy, NextOn::NoAnswer, NextOn::Offline]
}

/// One of `number.targets`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TargetConfig(pub Destination);

impl TryFrom<String> for TargetConfig {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let destination = match text.split_once(':') {
            Some(("user", name)) => UserName::new(name).map(Destination::User),
            Some(("carrier", number)) => Number::new(number.as_bytes()).ok().map(Destination::Number),
            _ => None,
        };
        destination
            .map(Self)
            .ok_or_else(|| format!("`{text}` is neither user:NAME nor carrier:NUMBER"))
    }
}

/// One of `number.next_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NextOn {
    /// In another call.
    Busy,
    /// Rang, and nobody answered.
    NoAnswer,
    /// No session.
    Offline,
    /// Does not want the call.
    Rejected,
}

impl From<NextOn> for Unanswered {
    fn from(next_on: NextOn) -> Self {
        match next_on {
            NextOn::Busy => Self::Busy,
            NextOn::NoAnswer => Self::NoAnswer,
            NextOn::Offline => Self::Offline,
            NextOn::Rejected => Self::Rejected,
        }
    }
}

/// What the proxy needs of a `[[user]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserNumbers {
    /// Name of the user.
    pub name: String,
    /// Numbers that are the user's alone.
    pub numbers: Vec<String>,
    /// What SIP phones of the user register and call with; without it there are none.
    pub phone_password: Option<Secret>,
    /// Number that its phones show when they ask for none of `numbers`; without it the first of those.
    pub caller_id: Option<String>,
    /// Name that its phones show when they give none.
    pub display_name: Option<String>,
    /// Whether those called may not see who calls.
    pub hide_caller: bool,
    /// Most calls at a time, over browsers and phones; without it there is no limit.
    pub calls_max: Option<usize>,
}

impl NumberConfig {
    /// What the dial plan keeps of it.
    pub fn assignment(&self) -> Assignment {
        Assignment {
            destinations: self.targets.iter().map(|target| target.0.clone()).collect(),
            ring_timeout: self.ring_timeout_s.map(Duration::from_secs),
            next_on: self.next_on.iter().copied().map(Unanswered::from).collect(),
        }
    }

    fn check(&self, users: &[UserNumbers], routes: &[RouteConfig]) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.targets.is_empty() || self.targets.len() > TARGETS_MAX {
            problems.push(Problem::error(
                "targets",
                format!(
                    "{} targets: at least 1 and at most {TARGETS_MAX}",
                    self.targets.len()
                ),
                "Name who is to be rung, such as \"user:alice\"",
            ));
        }
        if self.ring_timeout_s == Some(0) {
            problems.push(Problem::error(
                "ring_timeout_s",
                "nobody can answer in 0 s",
                "Take 15 to 60, or leave it out",
            ));
        }
        for (index, TargetConfig(target)) in self.targets.iter().enumerate() {
            let place = format!("targets[{index}]");
            match target {
                Destination::User(user) if users.iter().all(|known| known.name != user.as_str()) => {
                    problems.push(Problem::warning(
                        place,
                        format!("there is no [[user]] `{user}`"),
                        "Add one, unless the user logs in with tokens alone",
                    ));
                }
                Destination::Number(number) if !is_routed(number, routes) => {
                    problems.push(Problem::error(
                        place,
                        format!("no [[route]] is for `{number}`"),
                        "Add a route whose prefix the number starts with",
                    ));
                }
                Destination::User(_) | Destination::Number(_) => {}
            }
        }
        problems
    }
}

fn is_routed(number: &Number, routes: &[RouteConfig]) -> bool {
    routes
        .iter()
        .any(|route| number.as_str().starts_with(&route.prefix))
}

/// All numbers, those of users too: each spelt right, and none given twice.
pub(super) fn check(numbers: &[NumberConfig], users: &[UserNumbers], routes: &[RouteConfig]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut all: Vec<(String, &str)> = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        let place = format!("number[{index}]");
        let found = number.check(users, routes).into_iter();
        problems.extend(found.map(|problem| problem.below(&place)));
        all.push((format!("{place}.number"), &number.number));
    }
    for (index, user) in users.iter().enumerate() {
        let numbers = user.numbers.iter().enumerate();
        all.extend(numbers.map(|(at, number)| (format!("user[{index}].numbers[{at}]"), number.as_str())));
    }
    let mut seen: HashMap<String, String> = HashMap::new();
    for (place, text) in all {
        let Ok(number) = Number::new(text.as_bytes()) else {
            problems.push(Problem::error(
                place,
                format!("`{text}` is no number"),
                "Write it as +15550100",
            ));
            continue;
        };
        let key = number.as_str().trim_start_matches('+').to_owned();
        if let Some(first) = seen.insert(key, place.clone()) {
            problems.push(Problem::error(
                place,
                format!("`{text}` is given to somebody in {first} already"),
                "Give it once; a [[number]] may have several targets",
            ));
        }
    }
    problems
}
