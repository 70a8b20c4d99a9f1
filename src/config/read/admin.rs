//! `[admin]`.

use crate::config::field::Field;
use crate::config::inbound::{AdminConfig, ReceiverConfig};
use crate::config::read::receiver::listen;
use crate::config::reader::Section;
use crate::config::secret::Secret;

const LISTEN: &str = "127.0.0.1:8481";
const TOKEN: &str = "token = { file = \"…\" }";

/// Guessed in days by anybody who may try.
const TOKEN_BYTES_MIN: usize = 8;

/// Below it `check` warns: 16 random letters and digits are beyond guessing.
const TOKEN_BYTES_ADVISED: usize = 16;

/// Reads where people and probes ask; `None` when the section is left out, or when a fault
/// has been told.
pub(super) fn admin(
    mut section: Section<'_>,
    is_there: bool,
    receiver: Option<&ReceiverConfig>,
) -> Option<AdminConfig> {
    let address = section.find("listen").map(|field| listen(&field, LISTEN));
    let has_token = section.find("token").map(|field| token(&field));
    if !is_there {
        return None;
    }
    let listen = match address {
        Some(read) => read,
        None => LISTEN.parse().ok(),
    };
    if let Some(listen) = listen {
        if listen.port() != 0 && receiver.is_some_and(|receiver| receiver.listen == listen) {
            let what = format!("{listen} is the receiver's");
            section.fault("listen", what, "write another port");
        }
        if !listen.ip().is_loopback() && has_token.is_none() {
            let what = format!("is missing, and {listen} can be reached from other machines");
            let instead = format!("write {TOKEN}, or listen = {LISTEN:?}");
            section.fault("token", what, instead);
        }
        if !listen.ip().is_loopback() {
            section.warn(
                "listen",
                "is plain http that other machines reach, everyone on the way can read along",
                format!("write {LISTEN:?} with a proxy in front that speaks TLS"),
            );
        }
    }
    section.finish();
    let token = match has_token {
        Some(read) => Some(read?),
        None => None,
    };
    Some(AdminConfig { listen: listen?, token })
}

/// What stands in a header after `Bearer`.
fn token(field: &Field<'_>) -> Option<Secret> {
    let secret = field.secret()?;
    let text = secret.expose();
    let instead = "write 16 or more random letters and digits";
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return field.fault("holds what a header cannot carry", instead);
    }
    if text.len() < TOKEN_BYTES_MIN {
        return field.fault(format!("is weak: shorter than {TOKEN_BYTES_MIN} bytes"), instead);
    }
    if text.len() < TOKEN_BYTES_ADVISED {
        field.warn(format!("is shorter than {TOKEN_BYTES_ADVISED} bytes"), instead);
    }
    Some(secret)
}
