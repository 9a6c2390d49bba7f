//! Who a client is: what has to be found out about its credentials, and what the claims of a token must say. Pure;
//! passwords and signatures are checked by the shell, which answers a [`Question`] with a [`Verdict`].

use std::fmt;

/// A password or a token; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl Credential {
    /// Longest credential in bytes; tokens with many claims have 2 kB. Argon2 takes time with the length.
    pub const LEN_MAX: usize = 8 * 1024;

    /// Takes a text of at most [`Self::LEN_MAX`] bytes.
    pub fn new(text: String) -> Option<Self> {
        (text.len() <= Self::LEN_MAX).then_some(Self(text))
    }

    /// The text. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What the shell is asked to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether this is the user's password. Unknown users take as long as known ones.
    Password {
        /// Name that the client gave.
        user: String,
        /// Password that it gave.
        password: Credential,
    },
    /// Whether one of our keys signed this token, and what it claims.
    Token {
        /// JWT.
        token: Credential,
    },
}

/// What the shell found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The password is that of `user`.
    Password {
        /// Name of a configured user.
        user: String,
    },
    /// The signature holds.
    Token {
        /// What the token says.
        claims: Claims,
        /// Seconds since 1970 when the signature was checked.
        unix_now_s: u64,
    },
    /// It is not so.
    Refused(Refusal),
}

/// Why a login is refused: for the log and the metrics, never for the client, who gets one and the same error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Neither user and password nor token.
    #[error("no credentials")]
    NoCredentials,
    /// No such user.
    #[error("unknown user")]
    UnknownUser,
    /// Wrong password, or the user has none.
    #[error("wrong password")]
    WrongPassword,
    /// Not a JWT.
    #[error("the token is not a JWT")]
    TokenMalformed,
    /// The token's algorithm is none of our keys'.
    #[error("the token's algorithm (or key id) is that of no configured key")]
    TokenAlgorithm,
    /// None of our keys made the signature.
    #[error("the token's signature is not ours")]
    TokenSignature,
    /// The token's time is over.
    #[error("the token has expired")]
    TokenExpired,
    /// The token's time has not begun.
    #[error("the token is not valid yet")]
    TokenNotYetValid,
    /// The token is for someone else, or for anyone where we ask for our name.
    #[error("the token is for another audience")]
    TokenAudience,
    /// The token names no user or no expiry.
    #[error("the token lacks sub or exp")]
    TokenIncomplete,
    /// Too many failures from this address.
    #[error("too many failed logins from this address")]
    Throttled,
    /// More logins at once than we check.
    #[error("too many logins are being checked")]
    Overloaded,
    /// Anonymous logins are not offered.
    #[error("anonymous logins are not offered")]
    Anonymous,
}

/// What of a token's claims (RFC 7519 §4.1) decides a login.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// `sub`: the user.
    pub subject: Option<String>,
    /// `exp`, seconds since 1970.
    pub expires_s: Option<u64>,
    /// `nbf`, seconds since 1970.
    pub not_before_s: Option<u64>,
    /// `aud`, as a list also where it is a single text.
    pub audience: Vec<String>,
}

/// What tokens must say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenPolicy {
    /// Our name: the token must be for it. Without one, only tokens for nobody in particular are taken.
    pub audience: Option<String>,
    /// How much clocks may differ, seconds.
    pub leeway_s: u64,
}

/// The user whom `claims` prove, at `unix_now_s` seconds since 1970.
pub fn check_claims<'a>(
    claims: &'a Claims,
    policy: &TokenPolicy,
    unix_now_s: u64,
) -> Result<&'a str, Refusal> {
    let (Some(subject), Some(expires)) = (claims.subject.as_deref(), claims.expires_s) else {
        return Err(Refusal::TokenIncomplete);
    };
    if unix_now_s >= expires.saturating_add(policy.leeway_s) {
        return Err(Refusal::TokenExpired);
    }
    if claims
        .not_before_s
        .is_some_and(|begin| unix_now_s.saturating_add(policy.leeway_s) < begin)
    {
        return Err(Refusal::TokenNotYetValid);
    }
    let meant = match &policy.audience {
        Some(audience) => claims.audience.contains(audience),
        // RFC 7519 §4.1.3: who is not among the audience must refuse.
        None => claims.audience.is_empty(),
    };
    if meant {
        Ok(subject)
    } else {
        Err(Refusal::TokenAudience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn claims() -> Claims {
        Claims {
            subject: Some("alice".into()),
            expires_s: Some(NOW + 60),
            not_before_s: None,
            audience: vec!["voice".into()],
        }
    }

    fn policy() -> TokenPolicy {
        TokenPolicy {
            audience: Some("voice".into()),
            leeway_s: 30,
        }
    }

    #[test]
    fn good_claims_name_the_user() {
        assert_eq!(check_claims(&claims(), &policy(), NOW), Ok("alice"));
    }

    #[test]
    fn each_claim_can_refuse() {
        let check = |change: fn(&mut Claims)| {
            let mut claims = claims();
            change(&mut claims);
            check_claims(&claims, &policy(), NOW).map(str::to_owned)
        };
        assert_eq!(check(|c| c.subject = None), Err(Refusal::TokenIncomplete));
        assert_eq!(check(|c| c.expires_s = None), Err(Refusal::TokenIncomplete));
        assert_eq!(check(|c| c.expires_s = Some(NOW - 29)), Ok("alice".into()));
        assert_eq!(
            check(|c| c.expires_s = Some(NOW - 30)),
            Err(Refusal::TokenExpired)
        );
        assert_eq!(check(|c| c.expires_s = Some(u64::MAX)), Ok("alice".into()));
        assert_eq!(check(|c| c.not_before_s = Some(NOW + 30)), Ok("alice".into()));
        assert_eq!(
            check(|c| c.not_before_s = Some(NOW + 31)),
            Err(Refusal::TokenNotYetValid)
        );
        assert_eq!(check(|c| c.audience.clear()), Err(Refusal::TokenAudience));
        assert_eq!(
            check(|c| c.audience = vec!["other".into(), "voice".into()]),
            Ok("alice".into())
        );
    }

    #[test]
    fn without_a_name_of_ours_only_tokens_for_nobody_are_taken() {
        let policy = TokenPolicy::default();
        assert_eq!(check_claims(&claims(), &policy, NOW), Err(Refusal::TokenAudience));
        let open = Claims {
            audience: Vec::new(),
            ..claims()
        };
        assert_eq!(check_claims(&open, &policy, NOW), Ok("alice"));
    }

    #[test]
    fn credentials_do_not_show_and_have_a_limit() {
        assert_eq!(
            format!("{:?}", Credential::new("hunter2".into())),
            "Some([redacted])"
        );
        assert_eq!(Credential::new("x".repeat(Credential::LEN_MAX + 1)), None);
    }
}
