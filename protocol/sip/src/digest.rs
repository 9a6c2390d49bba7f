//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): answers to challenges, and a verifier.

use offhook_sip_message::header::{self, Algorithm, Challenge};
use offhook_sip_message::{HeaderName, HeaderValue, Message, Method};
use sha2::digest::Digest;
use std::fmt;
use subtle::ConstantTimeEq;

/// Most realms that one request answers at a time: a proxy or two and the far end. More is a peer's mistake.
const REALMS_MAX: usize = 4;

/// Most challenges answered for one request or call in a row: a fresh one and a stale one per realm.
const ROUNDS_MAX: u32 = 2 * REALMS_MAX as u32;

/// User name and password.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

/// Debugging never shows the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Why a 401 or 407 cannot be answered. The response then stands as the request's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// No Digest challenge with a realm, a nonce, an algorithm and a protection that we know.
    #[error(
        "the challenge has no Digest scheme, algorithm or qop that is supported (MD5, SHA-256, SHA-512-256; auth)"
    )]
    Unsupported,
    /// The same realm refused the same credentials before, and not because the nonce was old.
    #[error("the user name or password is wrong: check the credentials of this peer")]
    Refused,
    /// Challenged again and again.
    #[error("challenged more than {max} times in a row", max = ROUNDS_MAX)]
    TooOften,
}

/// The client's side: remembers what it was challenged with, and answers with it in every further request.
#[derive(Debug, Clone)]
pub struct Authenticator {
    credentials: Credentials,
    challenges: Vec<Answered>,
    rounds: u32,
}

#[derive(Debug, Clone)]
struct Answered {
    proxy: bool,
    algorithm: Algorithm,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    opaque: Option<Vec<u8>>,
    qop: bool,
    cnonce: String,
    /// How often the nonce was used (`nc`).
    count: u32,
    /// A request with it was accepted: the next challenge means a new nonce, not wrong credentials.
    proven: bool,
}

impl Authenticator {
    /// Nothing answered yet.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            challenges: Vec::new(),
            rounds: 0,
        }
    }

    /// Takes the challenges of a 401 or 407: of each realm the first that is supported (RFC 8760 §2.4). `cnonce` must
    /// be new and random. Afterwards [`Self::headers`] answers them.
    pub fn handle_challenge(&mut self, response: &Message, cnonce: &str) -> Result<(), ChallengeError> {
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            return Err(ChallengeError::TooOften);
        }
        let www = response
            .all::<header::WwwAuthenticate<'_>>()
            .flatten()
            .map(|h| (false, h.0));
        let proxy = response
            .all::<header::ProxyAuthenticate<'_>>()
            .flatten()
            .map(|h| (true, h.0));
        let mut fresh: Vec<Answered> = Vec::new();
        for (proxy, challenge) in www.chain(proxy) {
            let Some(answered) = read(proxy, &challenge, cnonce) else {
                continue;
            };
            let seen = |other: &Answered| other.proxy == proxy && other.realm == answered.realm;
            if fresh.len() == REALMS_MAX || fresh.iter().any(seen) {
                continue;
            }
            if self.challenges.iter().any(|old| seen(old) && !old.proven) && !challenge.is_stale() {
                return Err(ChallengeError::Refused);
            }
            fresh.push(answered);
        }
        if fresh.is_empty() {
            return Err(ChallengeError::Unsupported);
        }
        self.challenges.retain(|old| {
            !fresh
                .iter()
                .any(|new| new.proxy == old.proxy && new.realm == old.realm)
        });
        self.challenges.truncate(REALMS_MAX.saturating_sub(fresh.len()));
        self.challenges.append(&mut fresh);
        Ok(())
    }

    /// A request was accepted: a later challenge for the same realm means a new nonce, not a refusal.
    pub fn handle_accepted(&mut self) {
        self.rounds = 0;
        for challenge in &mut self.challenges {
            challenge.proven = true;
        }
    }

    /// The same, and the nonce that the response names for what follows (`nextnonce`, RFC 7616 §3.5), where only one
    /// realm is there that it can belong to.
    pub fn handle_accepted_response(&mut self, response: &Message) {
        self.handle_accepted();
        let Some(Ok(info)) = response.get::<header::AuthenticationInfo<'_>>() else {
            return;
        };
        if let (Some(nonce), [challenge]) = (info.next_nonce(), self.challenges.as_mut_slice())
            && !challenge.proxy
        {
            challenge.nonce = nonce.into_owned();
            challenge.count = 0;
        }
    }

    /// Credentials for a request: one header line per realm that asked. Each use counts the nonce up.
    pub fn headers(&mut self, method: &Method, uri: &[u8]) -> Vec<(HeaderName<'static>, HeaderValue)> {
        let credentials = &self.credentials;
        self.challenges
            .iter_mut()
            .filter_map(|challenge| challenge.answer(credentials, method, uri))
            .collect()
    }
}

fn read(proxy: bool, challenge: &Challenge<'_>, cnonce: &str) -> Option<Answered> {
    let qop = challenge.has_qop();
    if !challenge.is_digest() || (qop && !challenge.offers_qop("auth")) {
        return None;
    }
    Some(Answered {
        proxy,
        algorithm: challenge.algorithm()?,
        realm: challenge.realm()?.into_owned(),
        nonce: challenge.nonce()?.into_owned(),
        opaque: challenge.opaque().map(|text| text.into_owned()),
        qop,
        cnonce: cnonce.to_owned(),
        count: 0,
        proven: false,
    })
}

impl Answered {
    fn answer(
        &mut self,
        credentials: &Credentials,
        method: &Method,
        uri: &[u8],
    ) -> Option<(HeaderName<'static>, HeaderValue)> {
        self.count += 1;
        let count = format!("{:08x}", self.count);
        let response = Computation {
            algorithm: self.algorithm,
            username: credentials.username.as_bytes(),
            realm: &self.realm,
            password: credentials.password.as_bytes(),
            nonce: &self.nonce,
            method: method.as_bytes(),
            uri,
            cnonce: self.cnonce.as_bytes(),
            count: self.qop.then_some(count.as_bytes()),
        }
        .response();
        let mut params: Vec<(&str, &[u8])> = vec![
            ("username", credentials.username.as_bytes()),
            ("realm", &self.realm),
            ("nonce", &self.nonce),
            ("uri", uri),
            ("response", response.as_bytes()),
            ("algorithm", self.algorithm.as_str().as_bytes()),
        ];
        if self.qop {
            params.push(("qop", b"auth"));
            params.push(("nc", count.as_bytes()));
        }
        if self.qop || is_session(self.algorithm) {
            params.push(("cnonce", self.cnonce.as_bytes()));
        }
        if let Some(opaque) = &self.opaque {
            params.push(("opaque", opaque));
        }
        let name = if self.proxy {
            HeaderName::ProxyAuthorization
        } else {
            HeaderName::Authorization
        };
        // Refused only if the peer or the configuration smuggled a line break in: then the line is left out.
        HeaderValue::digest(&params).ok().map(|value| (name, value))
    }
}

/// All that goes into a digest (RFC 7616 §3.4.1 to §3.4.3). Bytes as they stand between the quotes.
#[derive(Clone, Copy)]
pub struct Computation<'a> {
    /// Hash and variant.
    pub algorithm: Algorithm,
    /// User name.
    pub username: &'a [u8],
    /// Realm.
    pub realm: &'a [u8],
    /// Password.
    pub password: &'a [u8],
    /// The server's nonce.
    pub nonce: &'a [u8],
    /// Method of the request.
    pub method: &'a [u8],
    /// Value of the `uri` parameter.
    pub uri: &'a [u8],
    /// The client's nonce; read only with `count` or a `-sess` algorithm.
    pub cnonce: &'a [u8],
    /// `nc` with qop `auth`; `None` without qop (RFC 2069).
    pub count: Option<&'a [u8]>,
}

impl Computation<'_> {
    /// The value of `response`: lower-case hex.
    pub fn response(&self) -> String {
        let hash = |parts: &[&[u8]]| hash(self.algorithm, parts);
        let mut a1 = hash(&[self.username, self.realm, self.password]);
        if is_session(self.algorithm) {
            a1 = hash(&[a1.as_bytes(), self.nonce, self.cnonce]);
        }
        let a2 = hash(&[self.method, self.uri]);
        match self.count {
            Some(count) => hash(&[
                a1.as_bytes(),
                self.nonce,
                count,
                self.cnonce,
                b"auth",
                a2.as_bytes(),
            ]),
            None => hash(&[a1.as_bytes(), self.nonce, a2.as_bytes()]),
        }
    }
}

fn is_session(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::Md5Sess | Algorithm::Sha256Sess | Algorithm::Sha512_256Sess
    )
}

fn hash(algorithm: Algorithm, parts: &[&[u8]]) -> String {
    match algorithm {
        Algorithm::Md5 | Algorithm::Md5Sess => hash_with::<md5::Md5>(parts),
        Algorithm::Sha256 | Algorithm::Sha256Sess => hash_with::<sha2::Sha256>(parts),
        Algorithm::Sha512_256 | Algorithm::Sha512_256Sess => hash_with::<sha2::Sha512_256>(parts),
    }
}

/// Hex of the hash of `parts` with a colon between them.
fn hash_with<D: Digest>(parts: &[&[u8]]) -> String {
    let mut digest = D::new();
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            digest.update(b":");
        }
        digest.update(part);
    }
    digest
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(nibble.into(), 16).expect("a nibble is a hex digit"));
            }
            text
        })
}

/// A challenge for WWW-Authenticate or Proxy-Authenticate with qop `auth`. `None` if `realm` or `nonce` cannot stand in
/// a header.
pub fn challenge(realm: &str, nonce: &str, algorithm: Algorithm, stale: bool) -> Option<HeaderValue> {
    let mut params: Vec<(&str, &[u8])> = vec![
        ("realm", realm.as_bytes()),
        ("nonce", nonce.as_bytes()),
        ("algorithm", algorithm.as_str().as_bytes()),
    ];
    if stale {
        params.push(("stale", b"true"));
    }
    // Quoted, other than in credentials: RFC 7616 §3.3.
    let mut text = HeaderValue::digest(&params).ok()?.as_bytes().to_vec();
    text.extend_from_slice(b", qop=\"auth\"");
    HeaderValue::new(text).ok()
}

/// Why credentials are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A parameter is missing, or the algorithm or qop is unknown.
    #[error("the credentials are incomplete or use an unknown algorithm or qop")]
    Malformed,
    /// Another nonce or realm than the one given out: challenge again, with `stale` if the rest is right.
    #[error("the credentials answer another challenge")]
    OtherChallenge,
    /// Wrong user name or password.
    #[error("the user name or password is wrong")]
    Wrong,
}

/// Checks credentials against the password that `password_of` knows for a user name, in constant time. The caller has to
/// check that the `nc` returned is larger than that of the last request with this nonce.
pub fn verify<const PROXY: bool>(
    credentials: &header::Credentials<'_, PROXY>,
    method: &Method,
    realm: &str,
    nonce: &str,
    password_of: impl FnOnce(&[u8]) -> Option<String>,
) -> Result<Option<u32>, VerifyError> {
    let param = |name| credentials.params.get(name).ok_or(VerifyError::Malformed);
    let algorithm = credentials
        .algorithm()
        .filter(|_| credentials.is_digest())
        .ok_or(VerifyError::Malformed)?;
    let qop = match credentials.params.get("qop") {
        None => false,
        Some(qop) if qop.eq_ignore_ascii_case(b"auth") => true,
        Some(_) => return Err(VerifyError::Malformed),
    };
    let (username, response, uri) = (param("username")?, param("response")?, param("uri")?);
    if *param("realm")? != *realm.as_bytes() || *param("nonce")? != *nonce.as_bytes() {
        return Err(VerifyError::OtherChallenge);
    }
    let cnonce = if qop || is_session(algorithm) {
        param("cnonce")?
    } else {
        Default::default()
    };
    let count = if qop { Some(param("nc")?) } else { None };
    let known = password_of(&username);
    let expected = Computation {
        algorithm,
        username: &username,
        realm: realm.as_bytes(),
        // An unknown user costs the same time as a wrong password.
        password: known.as_deref().unwrap_or_default().as_bytes(),
        nonce: nonce.as_bytes(),
        method: method.as_bytes(),
        uri: &uri,
        cnonce: &cnonce,
        count: count.as_deref(),
    }
    .response();
    let equal: bool = expected.as_bytes().ct_eq(&response.to_ascii_lowercase()).into();
    if equal && known.is_some() {
        Ok(credentials.nonce_count().filter(|_| qop))
    } else {
        Err(VerifyError::Wrong)
    }
}
