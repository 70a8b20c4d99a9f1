//! Access tokens that prove themselves: nothing to keep, and a restart invalidates none.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::config::Secret;
use crate::model::timestamp::Timestamp;

/// `{"alg":"HS256","typ":"JWT"}`; real ones are RS256, which no client may rely on.
const JWT_HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// What tokens look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenForm {
    /// Three parts, as GreenLake's are.
    #[default]
    Jwt,
    /// Letters and digits that tell nothing.
    Opaque,
}

/// What a token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Good.
    Valid,
    /// Ours, but its time is over.
    Expired,
    /// Not ours.
    Foreign,
}

/// Issues and checks tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    key: Secret,
    form: TokenForm,
    issued: Mutex<Stamps>,
}

/// Moments of issue, each later than the one before: what was issued up to `dead` is dead.
#[derive(Debug, Default)]
struct Stamps {
    last: i64,
    dead: i64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    hpe_token_type: String,
    /// Microseconds since the Unix epoch; unlike `iat`, every token has its own.
    jti: i64,
    iat: i64,
    exp: i64,
}

impl Tokens {
    pub(super) fn new(key: Secret, form: TokenForm) -> Self {
        Self { key, form, issued: Mutex::default() }
    }

    /// A new token that lives for `life` seconds.
    pub(super) fn issue(&self, now: Timestamp, life: u64) -> String {
        let mut stamps = self.stamps();
        stamps.last = now.micros().max(stamps.last + 1);
        let claims = Claims {
            hpe_token_type: "api-v1.2".to_owned(),
            jti: stamps.last,
            iat: now.secs(),
            exp: now.plus(Duration::from_secs(life)).secs(),
        };
        drop(stamps);
        let claims = serde_json::to_vec(&claims).expect("a struct of texts and numbers");
        let signed = format!("{JWT_HEADER}.{}", URL_SAFE_NO_PAD.encode(&claims));
        match self.form {
            TokenForm::Jwt => format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.seal(&signed))),
            TokenForm::Opaque => {
                hex::encode([self.seal(&signed).as_slice(), claims.as_slice()].concat())
            }
        }
    }

    /// Ends the life of every token issued so far.
    pub(super) fn expire_all(&self, now: Timestamp) {
        let mut stamps = self.stamps();
        stamps.last = now.micros().max(stamps.last);
        stamps.dead = stamps.last;
    }

    pub(super) fn check(&self, token: &str, now: Timestamp) -> Standing {
        match self.read(token) {
            None => Standing::Foreign,
            Some(claims) if claims.exp <= now.secs() => Standing::Expired,
            Some(claims) if claims.jti <= self.stamps().dead => Standing::Expired,
            Some(_) => Standing::Valid,
        }
    }

    fn read(&self, token: &str) -> Option<Claims> {
        let (seal, claims) = match self.form {
            TokenForm::Jwt => {
                let (signed, seal) = token.rsplit_once('.')?;
                let claims = signed.strip_prefix(JWT_HEADER)?.strip_prefix('.')?;
                (URL_SAFE_NO_PAD.decode(seal).ok()?, URL_SAFE_NO_PAD.decode(claims).ok()?)
            }
            TokenForm::Opaque => {
                let bytes = hex::decode(token).ok()?;
                let (seal, claims) = bytes.split_at_checked(32)?;
                (seal.to_vec(), claims.to_vec())
            }
        };
        let signed = format!("{JWT_HEADER}.{}", URL_SAFE_NO_PAD.encode(&claims));
        self.mac(&signed).verify_slice(&seal).ok()?;
        serde_json::from_slice(&claims).ok()
    }

    fn seal(&self, signed: &str) -> [u8; 32] {
        self.mac(signed).finalize().into_bytes().into()
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let key = self.key.expose().as_bytes();
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.chain_update(signed)
    }

    fn stamps(&self) -> std::sync::MutexGuard<'_, Stamps> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn tokens(form: TokenForm) -> Tokens {
        Tokens::new(Secret::new("key"), form)
    }

    #[test]
    fn a_token_lives_as_long_as_it_says() {
        for form in [TokenForm::Jwt, TokenForm::Opaque] {
            let tokens = tokens(form);
            let token = tokens.issue(NOW, 899);
            assert_eq!(tokens.check(&token, NOW), Standing::Valid);
            assert_eq!(tokens.check(&token, NOW.plus(Duration::from_secs(898))), Standing::Valid);
            assert_eq!(tokens.check(&token, NOW.plus(Duration::from_secs(899))), Standing::Expired);
        }
    }

    #[test]
    fn expiring_all_spares_those_issued_afterwards() {
        let tokens = tokens(TokenForm::Jwt);
        let before = tokens.issue(NOW, 899);
        tokens.expire_all(NOW);
        let after = tokens.issue(NOW, 899);
        assert_eq!(tokens.check(&before, NOW), Standing::Expired);
        assert_eq!(tokens.check(&after, NOW), Standing::Valid);
    }

    #[test]
    fn a_foreign_token_is_told_from_an_expired_one() {
        let ours = tokens(TokenForm::Jwt);
        let other = Tokens::new(Secret::new("other"), TokenForm::Jwt);
        for token in ["", "abc", "a.b.c", other.issue(NOW, 9).as_str()] {
            assert_eq!(ours.check(token, NOW), Standing::Foreign, "{token}");
        }
    }
}
