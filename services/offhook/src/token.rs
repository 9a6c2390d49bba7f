//! `offhook token`: makes a login token (JWT, RFC 7519) for a user.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use std::{io, path::PathBuf, time::Duration};

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The configuration has no such user.
    #[error("there is no user {name:?} in the configuration; there are {known}")]
    UnknownUser {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No key can sign.
    #[error(
        "no key of auth.jwt can sign: give the private one with --key FILE (make a pair with `offhook keygen`)"
    )]
    NoKey,
    /// The key file cannot be read.
    #[error("cannot read the key {path}: {source}", path = path.display())]
    ReadKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key does not fit the algorithm.
    #[error(
        "cannot sign with {algorithm:?}: {source}; the private key must be PKCS #8 PEM of that algorithm"
    )]
    Sign {
        /// The algorithm.
        algorithm: Algorithm,
        /// Why.
        source: jsonwebtoken::errors::Error,
    },
    /// Nobody reads what we say.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// What the token says.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// What a token is signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// Ed25519, PKCS #8 PEM.
    EdDsa(Vec<u8>),
    /// ECDSA on P-256, PKCS #8 PEM.
    Es256(Vec<u8>),
    /// HMAC with SHA-256.
    Hs256(Vec<u8>),
}

/// A token for `user`, issued `now_s` seconds after 1970.
pub(crate) fn sign(
    key: &Key,
    user: &str,
    audience: Option<&str>,
    now_s: u64,
    ttl: Duration,
) -> Result<String, TokenError> {
    let claims = Claims {
        sub: user,
        iat: now_s,
        exp: now_s.saturating_add(ttl.as_secs()),
        aud: audience,
    };
    let (algorithm, encoding) = match key {
        Key::EdDsa(pem) => (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem)),
        Key::Es256(pem) => (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
        Key::Hs256(secret) => (Algorithm::HS256, Ok(EncodingKey::from_secret(secret))),
    };
    let token =
        encoding.and_then(|encoding| jsonwebtoken::encode(&Header::new(algorithm), &claims, &encoding));
    token.map_err(|source| TokenError::Sign { algorithm, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation, decode};

    const NOW: u64 = 1_800_000_000;

    fn read(token: &str, algorithm: Algorithm, key: &DecodingKey) -> serde_json::Value {
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&["voice"]);
        validation.validate_exp = false;
        decode::<serde_json::Value>(token, key, &validation)
            .unwrap()
            .claims
    }

    #[test]
    fn each_algorithm_proves_what_it_signs() {
        let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let ec = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let cases = [
            (
                Key::EdDsa(ed.serialize_pem().into()),
                Algorithm::EdDSA,
                DecodingKey::from_ed_pem(ed.public_key_pem().as_bytes()).unwrap(),
            ),
            (
                Key::Es256(ec.serialize_pem().into()),
                Algorithm::ES256,
                DecodingKey::from_ec_pem(ec.public_key_pem().as_bytes()).unwrap(),
            ),
            (
                Key::Hs256(b"secret".to_vec()),
                Algorithm::HS256,
                DecodingKey::from_secret(b"secret"),
            ),
        ];
        for (key, algorithm, proof) in cases {
            let token = sign(&key, "alice", Some("voice"), NOW, Duration::from_secs(60)).unwrap();
            let claims = read(&token, algorithm, &proof);
            assert_eq!(
                claims,
                serde_json::json!({"sub": "alice", "iat": NOW, "exp": NOW + 60, "aud": "voice"})
            );
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let ec = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let error = sign(
            &Key::EdDsa(ec.serialize_pem().into()),
            "alice",
            None,
            NOW,
            Duration::from_secs(60),
        )
        .unwrap_err();
        assert!(error.to_string().contains("EdDSA"), "{error}");
    }
}
