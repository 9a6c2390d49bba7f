//! `offhook hash-password`: makes the `password_hash` of a user.

use argon2::{
    Argon2, PasswordHasher,
    password_hash::{SaltString, rand_core::OsRng},
};
use std::io::{self, BufRead, IsTerminal, Write};

/// Why no hash could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashPasswordError {
    /// Standard input or output failed.
    #[error("cannot read the password: {0}")]
    Io(#[from] io::Error),
    /// Nothing was given.
    #[error("the password is empty; give it on standard input: printf %s 'secret' | offhook hash-password")]
    Empty,
    /// The hash function refused.
    #[error("cannot hash the password: {0}")]
    Hash(argon2::password_hash::Error),
}

/// Reads a password from standard input, one line, and prints its hash.
pub(crate) fn run() -> Result<(), HashPasswordError> {
    if io::stdin().is_terminal() {
        write!(io::stderr(), "Password (it will be shown): ")?;
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    writeln!(io::stdout(), "{}", hash(password)?)?;
    Ok(())
}

fn hash(password: &str) -> Result<String, HashPasswordError> {
    if password.is_empty() {
        return Err(HashPasswordError::Empty);
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map_err(HashPasswordError::Hash)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{PasswordVerifier, password_hash::PasswordHash};

    #[test]
    fn the_hash_proves_the_password_and_no_other() {
        let text = hash("correct horse").unwrap();
        let parsed = PasswordHash::new(&text).unwrap();
        assert!(text.starts_with("$argon2id$"));
        assert!(
            Argon2::default()
                .verify_password(b"correct horse", &parsed)
                .is_ok()
        );
        assert!(
            Argon2::default()
                .verify_password(b"wrong horse", &parsed)
                .is_err()
        );
        assert_ne!(hash("correct horse").unwrap(), text, "each has a salt of its own");
        assert!(matches!(hash(""), Err(HashPasswordError::Empty)));
    }
}
