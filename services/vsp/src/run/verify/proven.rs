//! Passwords that are known to be right, so that a user's next login does not take a slow hash again.
//!
//! After a restart all clients come at once; a slow hash for each would keep them out for minutes. What is kept is a
//! keyed digest (HMAC-SHA-256) under a key that this process alone has, in memory alone: as long as the process lives,
//! it says no more than that the password was right.

use crate::auth::Credential;
use crate::config::UserConfig;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// Digests by user: one at most for each user of the configuration.
pub(super) struct Proven {
    key: [u8; 32],
    digests: RwLock<HashMap<String, [u8; 32]>>,
}

impl Proven {
    /// Knows the passwords that stand in the configuration. `key` is a random number that nobody else has.
    pub(super) fn new(key: [u8; 32], users: &[UserConfig]) -> Self {
        let proven = Self {
            key,
            digests: RwLock::default(),
        };
        for user in users {
            if let (Some(password), None) = (&user.password, &user.password_hash)
                && let Some(password) = Credential::new(password.expose().to_owned())
            {
                proven.add(&user.name, &password);
            }
        }
        proven
    }

    /// Whether this is the user's password. `false` says nothing: it may not have been shown yet.
    pub(super) fn holds(&self, user: &str, password: &Credential) -> bool {
        let digests = self.digests.read().unwrap_or_else(PoisonError::into_inner);
        let digest = digests.get(user).copied();
        drop(digests);
        digest.is_some_and(|digest| self.mac(user, password).verify_slice(&digest).is_ok())
    }

    /// Whether a password of this user is known.
    pub(super) fn knows(&self, user: &str) -> bool {
        let digests = self.digests.read().unwrap_or_else(PoisonError::into_inner);
        digests.contains_key(user)
    }

    /// The user of the configuration has this password.
    pub(super) fn add(&self, user: &str, password: &Credential) {
        let digest = self.mac(user, password).finalize().into_bytes().into();
        let mut digests = self.digests.write().unwrap_or_else(PoisonError::into_inner);
        digests.insert(user.to_owned(), digest);
    }

    fn mac(&self, user: &str, password: &Credential) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        // The length keeps the name apart from the password.
        mac.update(&(user.len() as u64).to_be_bytes());
        mac.update(user.as_bytes());
        mac.update(password.expose().as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(text: &str) -> Credential {
        Credential::new(text.to_owned()).unwrap()
    }

    fn users() -> Vec<UserConfig> {
        let users = serde_json::json!([
            {"name": "plain", "password": "open sesame"},
            {"name": "hashed", "password_hash": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$PVDMEHw0TYvOZB5iUVDUdcPDDsc+R1o1lcpBq+oPzfE"},
        ]);
        serde_json::from_value(users).unwrap()
    }

    #[test]
    fn what_was_shown_holds_for_its_user_alone() {
        let proven = Proven::new([7; 32], &users());
        assert!(proven.holds("plain", &credential("open sesame")));
        assert!(!proven.holds("plain", &credential("open sesam")));
        assert!(!proven.holds("hashed", &credential("open sesame")));
        proven.add("hashed", &credential("x"));
        assert!(proven.holds("hashed", &credential("x")));
        assert!(!proven.holds("plain", &credential("x")));
        // Name and password do not run into one another.
        proven.add("ab", &credential("c"));
        proven.add("a", &credential("d"));
        assert!(!proven.holds("a", &credential("bc")));
    }

    #[test]
    fn a_user_with_a_hash_is_not_known_before_its_first_login() {
        let proven = Proven::new([7; 32], &users());
        assert!(proven.knows("plain") && !proven.knows("hashed") && !proven.knows("mallory"));
    }
}
