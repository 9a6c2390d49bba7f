//! Where a call leads: out by the longest prefix to carriers, in to the users and numbers that a number of ours is for.

mod assignment;
mod number;

pub use assignment::{Assignment, Destination, Unanswered};
pub use number::{NUMBER_LEN_MAX, Number, NumberError, Prefix, Rewrite, is_dialable};

use offhook_sip_message::Uri;
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

/// Longest user name in bytes: as long as a token's subject reasonably is, and short enough for a request URI.
pub const USER_NAME_LEN_MAX: usize = 128;

/// Position of a carrier in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CarrierId(pub usize);

/// Name of a user: 1 to [`USER_NAME_LEN_MAX`] bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserName(String);

impl UserName {
    /// Takes `text` if a user can be named so.
    pub fn new(text: &str) -> Option<Self> {
        let valid =
            !text.is_empty() && text.len() <= USER_NAME_LEN_MAX && !text.chars().any(char::is_control);
        valid.then(|| Self(text.to_owned()))
    }

    /// The user that a SIP URI names.
    pub fn of(uri: &Uri<'_>) -> Option<Self> {
        // Checked before the escapes are undone: they only make it longer.
        uri.user().filter(|user| user.len() <= 3 * USER_NAME_LEN_MAX)?;
        Self::new(std::str::from_utf8(&uri.user_unescaped()?).ok()?)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Routes, numbers and users.
#[derive(Debug, Clone, Default)]
pub struct DialPlan {
    routes: BTreeMap<String, Vec<CarrierId>>,
    /// By [`Number::key`].
    numbers: HashMap<String, Assignment>,
    users: HashSet<UserName>,
}

impl DialPlan {
    /// An empty plan: it leads nowhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends numbers that start with `prefix` to `carriers`, in this order.
    pub fn add_route(&mut self, prefix: Prefix, carriers: Vec<CarrierId>) {
        self.routes.insert(prefix.0, carriers);
    }

    /// Makes `number` one of ours.
    pub fn add_number(&mut self, number: &Number, assignment: Assignment) {
        self.numbers.insert(number.key().to_owned(), assignment);
    }

    /// Says that there is such a user, so that the name counts even where it looks like a number.
    pub fn add_user(&mut self, user: UserName) {
        self.users.insert(user);
    }

    /// Carriers for a number: those of the longest prefix. Empty if there is no route.
    pub fn carriers(&self, number: &Number) -> &[CarrierId] {
        let number = number.as_str();
        (0..=number.len())
            .rev()
            .find_map(|end| self.routes.get(&number[..end]))
            .map_or(&[], Vec::as_slice)
    }

    /// What a number of ours is for. Carriers send it with or without its `+`.
    pub fn assignment(&self, number: &Number) -> Option<&Assignment> {
        self.numbers.get(number.key())
    }

    /// The user that a SIP URI names, if the plan has it. Users who log in with tokens alone are not in it.
    pub fn user(&self, uri: &Uri<'_>) -> Option<&UserName> {
        let name = uri.user_unescaped()?;
        self.users.get(std::str::from_utf8(&name).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_longest_prefix_counts() {
        let mut plan = DialPlan::new();
        let route = |plan: &mut DialPlan, prefix: &str, id| {
            plan.add_route(Prefix::new(prefix).unwrap(), vec![CarrierId(id)])
        };
        route(&mut plan, "", 0);
        route(&mut plan, "+1", 1);
        route(&mut plan, "+1555", 2);
        for (dialled, id) in [
            ("+15550100", 2),
            ("+12", 1),
            ("+49", 0),
            ("9196", 0),
            ("+1555", 2),
        ] {
            assert_eq!(plan.carriers(&number(dialled)), [CarrierId(id)], "{dialled}");
        }
        assert!(DialPlan::new().carriers(&number("1")).is_empty());
    }

    #[test]
    fn a_number_is_found_with_and_without_plus() {
        let mut plan = DialPlan::new();
        let to = |user| Assignment::to_user(UserName::new(user).unwrap());
        plan.add_number(&number("+15550100"), to("alice"));
        plan.add_number(&number("700"), to("bob"));
        assert_eq!(plan.assignment(&number("15550100")), Some(&to("alice")));
        assert_eq!(plan.assignment(&number("+15550100")), Some(&to("alice")));
        assert_eq!(plan.assignment(&number("+700")), Some(&to("bob")));
        assert_eq!(plan.assignment(&number("5550100")), None);
    }

    #[test]
    fn user_names_come_out_of_uris() {
        let of = |uri: &str| {
            UserName::of(&Uri::parse(uri.as_bytes()).unwrap()).map(|name| name.as_str().to_owned())
        };
        assert_eq!(of("sip:bob@h").as_deref(), Some("bob"));
        assert_eq!(of("sip:J%C3%BCrgen@h").as_deref(), Some("J\u{fc}rgen"));
        assert_eq!(of("sip:h"), None);
        assert_eq!(of("sip:a%0D%0Ab@h"), None);
        assert_eq!(of("sip:%ff@h"), None);
        assert_eq!(of(&format!("sip:{}@h", "a".repeat(129))), None);
        assert_eq!(of(&format!("sip:{}@h", "%61".repeat(200))), None);
    }
}
