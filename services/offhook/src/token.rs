//! `offhook token`: makes a login token (JWT, RFC 7519) for a user.

use crate::config::Config;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use offhook_vsp::config::{JwtAlgorithm, JwtKeyConfig};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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
#[derive(Debug)]
struct Key {
    algorithm: Algorithm,
    /// PKCS #8 PEM, or the shared secret of HS256.
    material: Vec<u8>,
    /// `kid` of the header.
    id: Option<String>,
}

/// Prints a token for `user`, valid for `ttl`. `key_file` holds the private key; without it a shared secret signs.
pub(crate) fn run(
    config: &Config,
    user: &str,
    ttl: Duration,
    key_file: Option<&Path>,
) -> Result<(), TokenError> {
    if !config.user.iter().any(|known| known.name == user) {
        let names = config
            .user
            .iter()
            .map(|known| known.name.as_str())
            .collect::<Vec<_>>();
        let known = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        return Err(TokenError::UnknownUser {
            name: user.to_owned(),
            known,
        });
    }
    let key = find_key(&config.auth.jwt, key_file)?;
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let token = sign(&key, user, config.auth.audience.as_deref(), now_s, ttl)?;
    Ok(writeln!(io::stdout(), "{token}")?)
}

/// The first configured key that can sign: with a private key at hand one of a pair, otherwise a shared secret.
fn find_key(keys: &[JwtKeyConfig], key_file: Option<&Path>) -> Result<Key, TokenError> {
    let is_pair = |key: &&JwtKeyConfig| key.alg != JwtAlgorithm::HS256;
    let (configured, material) = match key_file {
        Some(path) => {
            let configured = keys.iter().find(is_pair).ok_or(TokenError::NoKey)?;
            let read = std::fs::read(path).map_err(|source| TokenError::ReadKey {
                path: path.to_owned(),
                source,
            });
            (configured, read?)
        }
        None => {
            let shared = keys.iter().find_map(|key| Some((key, key.secret.as_ref()?)));
            let (configured, secret) = shared.ok_or(TokenError::NoKey)?;
            (configured, secret.expose().as_bytes().to_vec())
        }
    };
    let algorithm = match configured.alg {
        JwtAlgorithm::EdDSA => Algorithm::EdDSA,
        JwtAlgorithm::ES256 => Algorithm::ES256,
        JwtAlgorithm::HS256 => Algorithm::HS256,
    };
    Ok(Key {
        algorithm,
        material,
        id: configured.kid.clone(),
    })
}

/// A token for `user`, issued `now_s` seconds after 1970.
fn sign(
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
    let encoding = match key.algorithm {
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&key.material),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&key.material),
        _ => Ok(EncodingKey::from_secret(&key.material)),
    };
    let header = Header {
        kid: key.id.clone(),
        ..Header::new(key.algorithm)
    };
    let token = encoding.and_then(|encoding| jsonwebtoken::encode(&header, &claims, &encoding));
    token.map_err(|source| TokenError::Sign {
        algorithm: key.algorithm,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

    const NOW: u64 = 1_800_000_000;

    fn key(algorithm: Algorithm, material: impl Into<Vec<u8>>) -> Key {
        Key {
            algorithm,
            material: material.into(),
            id: Some("k1".to_owned()),
        }
    }

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
        let ed_proof = DecodingKey::from_ed_pem(ed.public_key_pem().as_bytes()).unwrap();
        let ec_proof = DecodingKey::from_ec_pem(ec.public_key_pem().as_bytes()).unwrap();
        let cases = [
            (key(Algorithm::EdDSA, ed.serialize_pem()), ed_proof),
            (key(Algorithm::ES256, ec.serialize_pem()), ec_proof),
            (
                key(Algorithm::HS256, "secret"),
                DecodingKey::from_secret(b"secret"),
            ),
        ];
        for (key, proof) in cases {
            let token = sign(&key, "alice", Some("voice"), NOW, Duration::from_secs(60)).unwrap();
            let claims = read(&token, key.algorithm, &proof);
            assert_eq!(
                claims,
                serde_json::json!({"sub": "alice", "iat": NOW, "exp": NOW + 60, "aud": "voice"})
            );
            assert_eq!(decode_header(&token).unwrap().kid.as_deref(), Some("k1"));
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let ec = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let wrong = key(Algorithm::EdDSA, ec.serialize_pem());
        let error = sign(&wrong, "alice", None, NOW, Duration::from_secs(60)).unwrap_err();
        assert!(error.to_string().contains("EdDSA"), "{error}");
    }
}
