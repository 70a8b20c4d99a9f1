use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::model::event::AUDIT_SOURCE;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const PRIVATE: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY: &[u8] = b"{\"test\": 2432232314}";
const AT: i64 = 1_614_265_330;

fn vectors(name: &str) -> Vec<Value> {
    let all: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/vectors.json")).unwrap();
    all[name].as_array().unwrap().clone()
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}

fn signer(key: &str) -> StandardKey {
    StandardKey::parse(key).unwrap()
}

fn verifier(key: &str) -> VerifyKey {
    VerifyKey::parse(key).unwrap()
}

fn verify(keys: &[&str], signatures: &str) -> Result<(), SignatureError> {
    let keys: Vec<_> = keys.iter().map(|key| verifier(key)).collect();
    verify_standard(&keys, ID, &AT.to_string(), signatures, BODY, AT, TOLERANCE)
}

#[test]
fn standard_webhooks_vectors_are_met() {
    let vectors = vectors("standard_webhooks");
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let secrets = vector["secrets"].as_array().unwrap();
        let keys: Vec<_> = secrets.iter().map(|secret| signer(secret.as_str().unwrap())).collect();
        let at = vector["webhook-timestamp"].as_i64().unwrap();
        let (id, body) = (text(&vector, "webhook-id"), text(&vector, "body").as_bytes());
        let signatures = sign_standard(&keys, id, at, body);
        assert_eq!(signatures, text(&vector, "webhook-signature"));

        let public = vector["public"].as_str().unwrap_or(secrets[0].as_str().unwrap());
        let keys = [verifier(public)];
        let verdict = verify_standard(&keys, id, &at.to_string(), &signatures, body, at, TOLERANCE);
        assert_eq!(verdict, Ok(()));
    }
}

#[test]
fn greenlake_vectors_are_met() {
    let challenges = vectors("greenlake_challenge");
    assert_eq!(challenges.len(), 3);
    for vector in challenges {
        let answer =
            challenge_answer(text(&vector, "secret").as_bytes(), text(&vector, "challengeRequest"));
        assert_eq!(answer, text(&vector, "verification"));
    }
    for vector in vectors("greenlake_signature") {
        let (secret, body) = (text(&vector, "secret").as_bytes(), text(&vector, "body").as_bytes());
        let header = sign_greenlake(secret, body);
        assert_eq!(header, text(&vector, "header"));
        assert_eq!(verify_greenlake(&[secret], &[&header], body), Some(0));
    }
}

#[test]
fn keys_in_rotation_sign_beside_each_other() {
    let signatures = sign_standard(&[signer(SECRET), signer(OTHER)], ID, AT, BODY);
    assert_eq!(
        signatures,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,78nXHjpFP0tVJQW5D0SBwmVyyW87BV/rL6MgfM/Bw44="
    );
    assert_eq!(verify(&[SECRET], &signatures), Ok(()));
    assert_eq!(verify(&[OTHER], &signatures), Ok(()));
    assert_eq!(sign_standard(&[], ID, AT, BODY), "");
}

#[test]
fn unknown_and_broken_signatures_are_skipped() {
    let good = sign_standard(&[signer(SECRET)], ID, AT, BODY);
    let ed25519 = sign_standard(&[signer(PRIVATE)], ID, AT, BODY);
    for (signatures, verdict) in [
        (format!("v2,AAAA v1,no-base64 v1 , {good}"), Ok(())),
        (format!("  {good}  "), Ok(())),
        (String::new(), Err(SignatureError::NoMatch)),
        ("v1,".to_owned(), Err(SignatureError::NoMatch)),
        (good.replace("v1,", "V1,"), Err(SignatureError::NoMatch)),
        (good.replace("v1,", "v1a,"), Err(SignatureError::NoMatch)),
        (good.replace("v1,", ""), Err(SignatureError::NoMatch)),
        (good.trim_end_matches('=').to_owned(), Err(SignatureError::NoMatch)),
        (ed25519, Err(SignatureError::NoMatch)),
        (format!("{} {good}", "v1,AAAA ".repeat(MAX_SIGNATURES)), Err(SignatureError::NoMatch)),
    ] {
        assert_eq!(verify(&[SECRET], &signatures), verdict, "{signatures}");
    }
    assert_eq!(verify(&[], &good), Err(SignatureError::NoMatch));
    assert_eq!(verify(&[PUBLIC, OTHER, SECRET], &good), Ok(()));
}

#[test]
fn timestamps_must_be_whole_seconds_within_the_tolerance() {
    let keys = [verifier(SECRET)];
    let at = |timestamp: &str, now| {
        let signatures =
            sign_standard(&[signer(SECRET)], ID, timestamp.parse().unwrap_or(AT), BODY);
        verify_standard(&keys, ID, timestamp, &signatures, BODY, now, Duration::from_mins(5))
    };
    for (timestamp, now, verdict) in [
        ("1000", 1300, Ok(())),
        ("1000", 1301, Err(SignatureError::TooOld)),
        ("1000", 700, Ok(())),
        ("1000", 699, Err(SignatureError::TooNew)),
        ("9223372036854775807", i64::MIN, Err(SignatureError::TooNew)),
        ("", 1000, Err(SignatureError::Timestamp)),
        ("+1000", 1000, Err(SignatureError::Timestamp)),
        ("-1", 0, Err(SignatureError::Timestamp)),
        ("1000.0", 1000, Err(SignatureError::Timestamp)),
        (" 1000", 1000, Err(SignatureError::Timestamp)),
        ("9223372036854775808", 1000, Err(SignatureError::Timestamp)),
    ] {
        assert_eq!(at(timestamp, now), verdict, "{timestamp} at {now}");
    }
}

#[test]
fn an_id_that_moves_the_border_to_the_timestamp_is_refused() {
    let signatures = sign_standard(&[signer(SECRET)], "a", 1000, b"2000.x");
    let keys = [verifier(SECRET)];
    let verdict = verify_standard(&keys, "a.1000", "2000", &signatures, b"x", 2000, TOLERANCE);
    assert_eq!(verdict, Err(SignatureError::Id));
}

#[test]
fn keys_are_refused_with_a_reason_that_does_not_repeat_them() {
    for (key, reason) in [
        ("", "starts with whsec_ or whsk_"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "starts with whsec_ or whsk_"),
        (PUBLIC, "only verifies"),
        ("whsec_", "24 to 64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==", "24 to 64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!w", "not base64"),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "32 bytes (seed) or 64"),
        (
            "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvw==",
            "do not belong together",
        ),
    ] {
        let error = StandardKey::parse(key).expect_err(key).to_string();
        assert!(error.contains(reason), "{key}: {error}");
        assert!(key.len() < 12 || !error.contains(&key[6..]), "{error}");
    }
    for key in ["", "whpk_AAAA", "whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "whsec_AAAA"]
    {
        assert!(VerifyKey::parse(key).is_err(), "{key}");
    }
    assert!(StandardKey::parse(&format!("whsec_{}", "A".repeat(86))).is_ok(), "64 bytes, unpadded");
    assert!(StandardKey::parse(&format!("whsec_{}", "A".repeat(88))).is_err(), "66 bytes");
    assert!(
        StandardKey::parse("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=").is_ok(),
        "seed"
    );
}

#[test]
fn keys_do_not_print() {
    for key in [SECRET, PRIVATE] {
        assert_eq!(format!("{:?}", signer(key)), "StandardKey(..)");
        assert_eq!(format!("{:#?}", verifier(key)), "VerifyKey(..)");
    }
}

#[test]
fn every_greenlake_digest_is_tried_with_every_secret() {
    let first = sign_greenlake(b"first", BODY);
    let second = sign_greenlake(b"second", BODY);
    let bare = second.strip_prefix("sha256=").unwrap();
    let upper = second.to_uppercase();
    let list = format!("{first}, {second}");
    let found = |values: &[&str]| verify_greenlake(&[b"", b"old", b"second"], values, BODY);
    for values in [
        &[second.as_str()][..],
        &[bare],
        &[&upper],
        &[&list],
        &[&format!("{first},{bare}")],
        &[&format!("{first} {second}")],
        &["", "sha256=", "sha256=zz", &first, &second],
    ] {
        assert_eq!(found(values), Some(2), "{values:?}");
    }
    let cut = &second[..second.len() - 2];
    let empty = sign_greenlake(b"", BODY);
    let long = format!("{second}00");
    for values in [&[][..], &[""], &[&first], &[cut], &[&long], &[&empty]] {
        assert_eq!(found(values), None, "{values:?}");
    }
}

#[test]
fn a_webhook_id_is_stable_safe_and_its_own() {
    let plain = "uJoQ5JMB_HAPiq2sSllt";
    assert_eq!(webhook_id(AUDIT_SOURCE, plain), plain);
    let ids = [
        (AUDIT_SOURCE, plain),
        ("https://global.api.greenlake.hpe.com/subscriptions", plain),
        ("https://global.api.greenlake.hpe.com/subscription", "suJoQ5JMB_HAPiq2sSllt"),
        (AUDIT_SOURCE, "a.b"),
        (AUDIT_SOURCE, ""),
        (AUDIT_SOURCE, "né"),
        (AUDIT_SOURCE, "a\r\nb"),
        (AUDIT_SOURCE, &"a".repeat(LONG)),
    ]
    .map(|(source, id)| webhook_id(source, id).into_owned());
    for (place, id) in ids.iter().enumerate() {
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{id}");
        assert!(!ids[..place].contains(id), "{id}");
    }
    let imitation = ids[3].as_str();
    assert_ne!(webhook_id(AUDIT_SOURCE, imitation), imitation, "a derived id cannot be imitated");

    let batch = batch_webhook_id([("s", "1"), ("s", "2")]);
    assert_eq!(batch, batch_webhook_id([("s", "1"), ("s", "2")]));
    assert_ne!(batch, batch_webhook_id([("s", "1"), ("s", "3")]));
    assert_ne!(batch, batch_webhook_id([("s", "1s"), ("", "2")]));
}

const LONG: usize = 129;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_signed_verifies_and_what_is_changed_does_not(
        secret in proptest::collection::vec(any::<u8>(), 24..=64),
        id in "[A-Za-z0-9_-]{1,40}",
        at in 1_000..i64::from(u32::MAX),
        body in proptest::collection::vec(any::<u8>(), 1..200),
        flip in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        use base64::Engine;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let shared = format!("whsec_{}", encode(&secret));
        let private = format!("whsk_{}", encode(&secret[..24].repeat(2)[..32]));
        for key in [shared.as_str(), &private] {
            let signatures = sign_standard(&[signer(key)], &id, at, &body);
            let keys = [verifier(key)];
            let check = |id: &str, at: i64, signatures: &str, body: &[u8]| {
                verify_standard(&keys, id, &at.to_string(), signatures, body, at, TOLERANCE)
            };
            prop_assert_eq!(check(&id, at, &signatures, &body), Ok(()));

            let mut changed = body.clone();
            changed[flip.index(body.len())] ^= 1 << bit;
            prop_assert_eq!(check(&id, at, &signatures, &changed), Err(SignatureError::NoMatch));
            prop_assert!(check(&id, at, &signatures, &body[..body.len() - 1]).is_err());
            let longer = format!("{id}x");
            prop_assert!(check(&longer, at, &signatures, &body).is_err());
            prop_assert!(check(&id, at + 1, &signatures, &body).is_err());
            let mut bytes = signatures.clone().into_bytes();
            let place = flip.index(bytes.len());
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            prop_assert!(check(&id, at, &String::from_utf8(bytes).unwrap(), &body).is_err());
        }
    }

    #[test]
    fn greenlake_signatures_fit_their_own_body_only(
        secret in proptest::collection::vec(any::<u8>(), 1..100),
        body in proptest::collection::vec(any::<u8>(), 1..200),
        flip in any::<prop::sample::Index>(),
    ) {
        let header = sign_greenlake(&secret, &body);
        prop_assert_eq!(verify_greenlake(&[&secret], &[&header], &body), Some(0));
        let mut changed = body.clone();
        changed[flip.index(body.len())] ^= 1;
        prop_assert_eq!(verify_greenlake(&[&secret], &[&header], &changed), None);
        let mut other = secret.clone();
        other[flip.index(secret.len())] ^= 1;
        prop_assert_eq!(verify_greenlake(&[&other], &[&header], &body), None);
    }

    #[test]
    fn no_webhook_id_holds_a_dot(source in ".*", id in ".*") {
        prop_assert!(!webhook_id(&source, &id).contains('.'));
        prop_assert!(!webhook_id(AUDIT_SOURCE, &id).contains('.'));
    }
}
