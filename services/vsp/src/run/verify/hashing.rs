//! Argon2 in memory that is kept from one check to the next: an allocator would keep that of each thread.

use argon2::password_hash::{Error, Output, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use std::sync::{Mutex, PoisonError};

/// Checks passwords against hashes. It holds as much memory as the dearest checks that ever ran at once needed.
#[derive(Default)]
pub(super) struct Hashing {
    spare: Mutex<Vec<Vec<Block>>>,
}

impl Hashing {
    /// Whether `password` is the one of `hash`, a text in PHC format. Takes some 20 ms of a core.
    pub(super) fn matches(&self, password: &[u8], hash: &str) -> bool {
        self.check(password, hash).unwrap_or(false)
    }

    fn check(&self, password: &[u8], hash: &str) -> Result<bool, Error> {
        let hash = PasswordHash::new(hash)?;
        let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
            return Ok(false);
        };
        let algorithm = Algorithm::try_from(hash.algorithm)?;
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from)?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&hash)?);
        let mut salt_bytes = [0; Salt::MAX_LENGTH];
        let salt = salt.decode_b64(&mut salt_bytes)?;

        let mut memory = self.spare().pop().unwrap_or_default();
        let blocks = argon2.params().block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::default());
        }
        let given = Output::init_with(expected.len(), |given| {
            Ok(argon2.hash_password_into_with_memory(password, salt, given, &mut memory)?)
        });
        self.spare().push(memory);
        // Compares in constant time.
        Ok(given? == expected)
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::PasswordHasher;
    use argon2::password_hash::SaltString;

    fn hash(argon2: &Argon2<'_>, password: &str) -> String {
        let salt = SaltString::encode_b64(b"sixteen bytes it").unwrap();
        argon2
            .hash_password(password.as_bytes(), &salt)
            .unwrap()
            .to_string()
    }

    #[test]
    fn hashes_of_each_cost_are_told_apart_in_the_same_memory() {
        let cheap = Argon2::new(
            Algorithm::Argon2i,
            Version::V0x10,
            Params::new(64, 1, 1, Some(16)).unwrap(),
        );
        let dear = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(256, 2, 2, None).unwrap(),
        );
        let hashing = Hashing::default();
        for argon2 in [&cheap, &dear, &cheap] {
            let hash = hash(argon2, "right");
            assert!(hashing.matches(b"right", &hash), "{hash}");
            assert!(!hashing.matches(b"wrong", &hash), "{hash}");
        }
        let kept = hashing.spare();
        assert_eq!(kept.len(), 1, "one check at a time needs one memory");
        assert_eq!(kept[0].len(), dear.params().block_count());
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        let hashing = Hashing::default();
        for text in [
            "",
            "secret",
            "$argon2id$v=19$m=64,t=1,p=1",
            "$scrypt$ln=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        ] {
            assert!(!hashing.matches(b"secret", text), "{text}");
        }
    }
}
