//! The token endpoint's good answer.

use std::time::Duration;

use oauth2::basic::BasicTokenType;
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse};
use serde::{Deserialize, Deserializer, Serialize};

/// Longest life believed: a broken `expires_in` must not keep a token for ever.
const MAX_LIFE: Duration = Duration::from_hours(24);

/// A token answer, read leniently: HPE's own client treats all but the token as
/// optional and `scope` as text or list, so nothing else is looked at.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Grant {
    access_token: AccessToken,
    #[serde(default, deserialize_with = "lenient_seconds")]
    expires_in: Option<Duration>,
    #[serde(skip, default = "bearer")]
    token_type: BasicTokenType,
}

impl TokenResponse for Grant {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

/// Seconds as a number or as text; anything else, and zero, counts as not stated.
fn lenient_seconds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    let value = serde_json::Value::deserialize(value)?;
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    Ok(seconds.filter(|seconds| *seconds >= 1.0).map(|seconds| {
        Duration::try_from_secs_f64(seconds).map_or(MAX_LIFE, |life| life.min(MAX_LIFE))
    }))
}
