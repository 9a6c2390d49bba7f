//! Makes a run that fails as short as it can be made.

use super::play;
use crate::action::Action;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs that are tried at most.
const TRIES_MAX: usize = 500;

/// What went wrong, if something did; a panic too.
pub fn failure(seed: u64, actions: &[Action]) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| play(seed, actions))) {
        Ok(Ok(_)) => None,
        Ok(Err(mismatch)) => Some(mismatch.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!("panic: {}", text.unwrap_or_default()))
        }
    }
}

/// What a failure is about: how it ends, without numbers.
fn kind(why: &str) -> String {
    let text: String = why.chars().filter(|char| !char.is_ascii_digit()).collect();
    text.rsplit(" sees ")
        .next()
        .unwrap_or_default()
        .rsplit(", and not ")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Leaves out actions as long as it still goes wrong in the same way: large parts first, then single ones.
pub fn shrink(seed: u64, actions: &[Action]) -> (Vec<Action>, String) {
    let mut kept = actions.to_vec();
    let mut why = failure(seed, &kept).unwrap_or_else(|| "it went well this time".to_owned());
    let wanted = kind(&why);
    let mut part = kept.len().div_ceil(2);
    let mut tries = 0;
    while part > 0 && tries < TRIES_MAX {
        let mut at = 0;
        while at < kept.len() && tries < TRIES_MAX {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + part).min(kept.len()));
            tries += 1;
            match failure(seed, &fewer).filter(|why| kind(why) == wanted) {
                Some(still) => (kept, why) = (fewer, still),
                None => at += part,
            }
        }
        part /= 2;
    }
    (kept, why)
}
