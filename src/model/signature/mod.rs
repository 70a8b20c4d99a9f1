//! Signatures of webhooks: GreenLake's own and Standard Webhooks'.
//!
//! Keys never print: none of these types shows its bytes in `Debug`, and no error
//! repeats the text it was made from. Every comparison is in constant time. Signing
//! happens once an attempt, so keys are prepared when they are parsed and bodies are
//! read in place.

mod greenlake;
mod key;
mod message_id;
mod standard;

pub use crate::model::signature::greenlake::{
    GREENLAKE_SIGNATURE, challenge_answer, sign_greenlake, verify_greenlake,
};
pub use crate::model::signature::key::{KeyError, StandardKey, VerifyKey, same_secret};
pub use crate::model::signature::message_id::{batch_webhook_id, webhook_id};
pub use crate::model::signature::standard::{
    SignatureError, TOLERANCE, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, sign_standard,
    verify_standard,
};

/// Signatures looked at in one request. Two keys in rotation need two; each further one
/// costs a forger's request some of our time.
const MAX_SIGNATURES: usize = 16;

#[cfg(test)]
mod tests;
