//! Checks passwords and the signatures of tokens.

use crate::auth::{Claims, Credential, Question, Refusal, Verdict};
use crate::config::{AuthConfig, JwtAlgorithm, JwtKeyConfig, UserConfig};
use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm as Argon2Algorithm, Argon2, Params, PasswordHash, Version};
use hashing::Hashing;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proven::Proven;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

mod hashing;
mod proven;

/// Why a key or a hash cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no public key of this algorithm.
    #[error("{path} is no public key for {algorithm:?} in PEM form: {source}")]
    Pem {
        /// The file.
        path: String,
        /// The algorithm.
        algorithm: JwtAlgorithm,
        /// Why.
        source: jsonwebtoken::errors::Error,
    },
    /// Neither file nor secret, or the wrong one of them.
    #[error("{0:?} wants {want}", want = if *.0 == JwtAlgorithm::HS256 { "secret" } else { "public_key_file" })]
    Missing(JwtAlgorithm),
    /// The secret can be guessed.
    #[error("the secret has fewer than {} bytes", crate::config::HS256_SECRET_LEN_MIN)]
    Weak,
    /// A hash cannot be read.
    #[error("password of user {user}: {why}")]
    Password {
        /// Name of the user.
        user: String,
        /// Why.
        why: argon2::password_hash::Error,
    },
}

/// Answers the core's questions; clones share everything.
#[derive(Clone)]
pub(super) struct Verifier {
    shared: Arc<Shared>,
}

struct Shared {
    keys: Vec<Key>,
    hashes: HashMap<String, String>,
    /// Checked in place of the hash that an unknown user does not have, so that both take as long. None where no user
    /// has a hash: then nothing takes long.
    decoy: Option<String>,
    hashing: Hashing,
    /// Passwords that were right before.
    proven: Proven,
    /// Checks that run or wait; each takes some 20 ms of a core.
    queue: Semaphore,
    cores: Semaphore,
}

struct Key {
    algorithm: Algorithm,
    kid: Option<String>,
    key: DecodingKey,
}

impl Verifier {
    /// Reads all keys and hashes. At most `checks_max` clients wait for their password to be checked: as many as may be
    /// logged in, since after a restart all of them come at once.
    pub(super) async fn new(
        auth: &AuthConfig,
        users: &[UserConfig],
        checks_max: usize,
    ) -> Result<Self, KeyError> {
        let keys = auth.jwt.iter().map(Key::new).collect::<Result<_, _>>()?;
        let proven = Proven::new(rand::random(), users);
        let users = users.to_vec();
        let hashing = tokio::task::spawn_blocking(move || hashes(&users));
        let (hashes, decoy) = hashing
            .await
            .expect("hashing does not panic and is not cancelled")?;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let (queue, cores) = (Semaphore::new(checks_max), Semaphore::new(cores));
        Ok(Self {
            shared: Arc::new(Shared {
                keys,
                hashes,
                decoy,
                hashing: Hashing::default(),
                proven,
                queue,
                cores,
            }),
        })
    }

    /// Finds out what the core asks.
    pub(super) async fn answer(&self, question: Question) -> Verdict {
        let verdict = match question {
            Question::Token { token } => self.shared.token(&token),
            Question::Password { user, password } => self.password(user, password).await,
        };
        verdict.unwrap_or_else(Verdict::Refused)
    }

    async fn password(&self, user: String, password: Credential) -> Result<Verdict, Refusal> {
        if self.shared.proven.holds(&user, &password) {
            return Ok(Verdict::Password { user });
        }
        let Ok(_place) = self.shared.queue.try_acquire() else {
            return Err(Refusal::Overloaded);
        };
        let Ok(_core) = self.shared.cores.acquire().await else {
            return Err(Refusal::Overloaded);
        };
        // Another client of the user may have shown it while this one waited.
        if self.shared.proven.holds(&user, &password) {
            return Ok(Verdict::Password { user });
        }
        let shared = self.shared.clone();
        let check = tokio::task::spawn_blocking(move || shared.check(&user, &password).map(|()| user));
        // The task fails only when the process ends.
        let user = check.await.unwrap_or(Err(Refusal::Overloaded))?;
        Ok(Verdict::Password { user })
    }
}

impl Shared {
    fn check(&self, user: &str, password: &Credential) -> Result<(), Refusal> {
        let known = self.hashes.get(user);
        let right = match known.or(self.decoy.as_ref()) {
            Some(hash) => {
                let given = password.expose().as_bytes();
                self.hashing.matches(given, hash)
            }
            None => false,
        };
        match (known, right) {
            (Some(_), true) => {
                self.proven.add(user, password);
                Ok(())
            }
            (Some(_), false) => Err(Refusal::WrongPassword),
            (None, _) if self.proven.knows(user) => Err(Refusal::WrongPassword),
            (None, _) => Err(Refusal::UnknownUser),
        }
    }

    fn token(&self, token: &Credential) -> Result<Verdict, Refusal> {
        let header = jsonwebtoken::decode_header(token.expose()).map_err(|_| Refusal::TokenMalformed)?;
        let mut refusal = Refusal::TokenAlgorithm;
        // The key decides the algorithm, never the token: a public key must not become an HMAC secret.
        let fits = |key: &&Key| key.algorithm == header.alg && (key.kid.is_none() || key.kid == header.kid);
        for key in self.keys.iter().filter(fits) {
            match jsonwebtoken::decode::<TokenClaims>(token.expose(), &key.key, &key.validation()) {
                Ok(decoded) => {
                    let unix_now_s = SystemTime::now()
                        .duration_since(UNIX_EPOCH)
                        .unwrap_or_default()
                        .as_secs();
                    return Ok(Verdict::Token {
                        claims: decoded.claims.into(),
                        unix_now_s,
                    });
                }
                Err(error) => {
                    refusal = match error.kind() {
                        ErrorKind::InvalidSignature => Refusal::TokenSignature,
                        ErrorKind::InvalidAlgorithm => Refusal::TokenAlgorithm,
                        _ => Refusal::TokenMalformed,
                    }
                }
            }
        }
        Err(refusal)
    }
}

impl Key {
    fn new(config: &JwtKeyConfig) -> Result<Self, KeyError> {
        let algorithm = match config.alg {
            JwtAlgorithm::EdDSA => Algorithm::EdDSA,
            JwtAlgorithm::ES256 => Algorithm::ES256,
            JwtAlgorithm::HS256 => Algorithm::HS256,
        };
        Ok(Self {
            algorithm,
            kid: config.kid.clone(),
            key: decoding_key(config)?,
        })
    }

    /// The signature alone: what the claims must say is the core's to judge.
    fn validation(&self) -> Validation {
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation
    }
}

/// The key that a configuration names.
pub(crate) fn decoding_key(config: &JwtKeyConfig) -> Result<DecodingKey, KeyError> {
    match (config.alg, &config.public_key_file, &config.secret) {
        (JwtAlgorithm::HS256, None, Some(secret)) => {
            if secret.expose().len() < crate::config::HS256_SECRET_LEN_MIN {
                return Err(KeyError::Weak);
            }
            Ok(DecodingKey::from_secret(secret.expose().as_bytes()))
        }
        (JwtAlgorithm::EdDSA | JwtAlgorithm::ES256, Some(file), None) => {
            let path = file.display().to_string();
            let pem = std::fs::read(file).map_err(|source| KeyError::Read {
                path: path.clone(),
                source,
            })?;
            let key = match config.alg {
                JwtAlgorithm::EdDSA => DecodingKey::from_ed_pem(&pem),
                _ => DecodingKey::from_ec_pem(&pem),
            };
            key.map_err(|source| KeyError::Pem {
                path,
                algorithm: config.alg,
                source,
            })
        }
        (algorithm, _, _) => Err(KeyError::Missing(algorithm)),
    }
}

/// Claims as they stand in a token: numbers may have fractions, `aud` may be one text (RFC 7519 §2, §4.1.3).
#[derive(Deserialize)]
struct TokenClaims {
    #[serde(default)]
    sub: Value,
    #[serde(default)]
    exp: Value,
    #[serde(default)]
    nbf: Value,
    #[serde(default)]
    aud: Value,
}

impl From<TokenClaims> for Claims {
    fn from(claims: TokenClaims) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // A float beyond the range becomes the end of it, a negative one 0.
        let number = |value: &Value| {
            value
                .as_u64()
                .or_else(|| value.as_f64().map(|number| number as u64))
        };
        Claims {
            subject: text(&claims.sub).filter(|subject| !subject.is_empty()),
            expires_s: number(&claims.exp),
            not_before_s: number(&claims.nbf),
            audience: match &claims.aud {
                Value::Array(names) => names.iter().filter_map(text).collect(),
                name => text(name).into_iter().collect(),
            },
        }
    }
}

/// The hashes of the users that have one, and one that no password has, as dear as theirs.
fn hashes(users: &[UserConfig]) -> Result<(HashMap<String, String>, Option<String>), KeyError> {
    let mut hashes = HashMap::new();
    let mut dear = None;
    for user in users {
        let Some(hash) = &user.password_hash else { continue };
        let failed = |why| KeyError::Password {
            user: user.name.clone(),
            why,
        };
        let parsed = PasswordHash::new(hash).map_err(failed)?;
        let algorithm = Argon2Algorithm::try_from(parsed.algorithm).unwrap_or_default();
        let params = Params::try_from(&parsed).map_err(failed)?;
        dear = Some(Argon2::new(algorithm, Version::default(), params));
        hashes.insert(user.name.clone(), hash.clone());
    }
    let nobody = |why| KeyError::Password {
        user: String::new(),
        why,
    };
    let decoy = dear.map(|dear| salt().and_then(|password| hash_password(&dear, password.as_str())));
    Ok((hashes, decoy.transpose().map_err(nobody)?))
}

fn hash_password(argon2: &Argon2<'_>, password: &str) -> Result<String, argon2::password_hash::Error> {
    Ok(argon2.hash_password(password.as_bytes(), &salt()?)?.to_string())
}

fn salt() -> Result<SaltString, argon2::password_hash::Error> {
    SaltString::encode_b64(&rand::random::<[u8; 16]>())
}
