use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::config::Foreign;
use crate::model::signature::{challenge_answer, sign_greenlake};

const FIRST: &str = "the-secret-of-the-webhook";
const SECOND: &str = "the-secret-after-the-rotation";
const BODY: &[u8] = br#"{"specversion":"1.0","id":"AZ-one"}"#;

fn push(second: Option<&str>, api_key: Option<&str>) -> PushConfig {
    PushConfig {
        path: "/hook".to_owned(),
        secret: Secret::new(FIRST),
        secondary_secret: second.map(Secret::new),
        api_key: api_key.map(Secret::new),
        horizon: Duration::from_hours(12),
        silent_after: Duration::from_hours(1),
        nudge: false,
        foreign: Foreign::Refuse,
        origins: Vec::new(),
    }
}

fn headers(signatures: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for signature in signatures {
        headers.append(GREENLAKE_SIGNATURE, HeaderValue::from_str(signature).unwrap());
    }
    headers
}

/// The 64 hex digits of a signature.
fn digits(secret: &str, body: &[u8]) -> String {
    sign_greenlake(secret.as_bytes(), body)["sha256=".len()..].to_owned()
}

/// All the forms in which a signature is understood.
fn forms(digits: &str) -> Vec<Vec<String>> {
    let other = "0".repeat(64);
    let one = |text: String| vec![text];
    vec![
        one(format!("sha256={digits}")),
        one(digits.to_owned()),
        one(format!("SHA256={digits}")),
        one(format!("sha256={}", digits.to_uppercase())),
        one(format!("sha256={other},sha256={digits}")),
        one(format!("sha256={digits}, sha256={other}")),
        one(format!("{other} {digits}")),
        one(format!("\tsha256={digits} ")),
        one(format!(",,sha256={digits},")),
        vec![format!("sha256={other}"), format!("sha256={digits}")],
        vec![String::new(), format!("sha256={digits}")],
    ]
}

#[test]
fn every_form_is_understood_and_tells_the_secret() {
    for (signer, second, expected) in [
        (FIRST, None, SignedBy::Primary),
        (FIRST, Some(SECOND), SignedBy::Primary),
        (SECOND, Some(SECOND), SignedBy::Secondary),
    ] {
        for form in forms(&digits(signer, BODY)) {
            let values: Vec<&str> = form.iter().map(String::as_str).collect();
            let found = authenticate(&push(second, None), &headers(&values), BODY);
            assert_eq!(found, Ok(expected), "{form:?}");
        }
    }
    let both = [digits(SECOND, BODY), digits(FIRST, BODY)];
    for values in [vec![both.join(",")], vec![both[1].clone(), both[0].clone()]] {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let found = authenticate(&push(Some(SECOND), None), &headers(&values), BODY);
        assert_eq!(found, Ok(SignedBy::Both));
    }
}

#[test]
fn every_form_is_refused_in_whatever_way_it_is_wrong() {
    let good = digits(FIRST, BODY);
    let bytes = hex::decode(&good).unwrap();
    let mut flipped = bytes.clone();
    flipped[31] ^= 1;
    let wrong = [
        ("of another body", digits(FIRST, b"{}")),
        ("of the body and a line end", digits(FIRST, &[BODY, b"\n"].concat())),
        ("of another secret", digits(SECOND, BODY)),
        ("of an empty secret", digits("", BODY)),
        ("of the secret in capitals", digits(&FIRST.to_uppercase(), BODY)),
        ("one bit", hex::encode(&flipped)),
        ("backwards", hex::encode(bytes.iter().rev().copied().collect::<Vec<u8>>())),
        ("a digit short", good[..63].to_owned()),
        ("a byte short", good[2..].to_owned()),
        ("a byte long", format!("{good}00")),
        ("twice", good.repeat(2)),
        ("nothing", String::new()),
        ("all zero", "0".repeat(64)),
        ("no hex", good.replace(|c: char| c.is_ascii_digit(), "g")),
        ("in base64", STANDARD.encode(&bytes)),
        ("under another name", format!("sha1={good}")),
        ("named twice", format!("sha256=sha256={good}")),
        ("with a scheme", format!("v1={good}")),
        ("with a colon", format!("sha256:{good}")),
        ("in quotes", format!("\"{good}\"")),
        ("with a semicolon", format!("{good};{good}")),
        ("torn by a space", format!("{} {}", &good[..32], &good[32..])),
        ("a challenge's answer", challenge_answer(FIRST.as_bytes(), "AZ-one")),
    ];
    for (how, digits) in &wrong {
        for form in forms(digits) {
            let values: Vec<&str> = form.iter().map(String::as_str).collect();
            let found = authenticate(&push(None, None), &headers(&values), BODY);
            assert_eq!(found, Err(Stranger::Forged), "{how}: {form:?}");
        }
    }
    let beyond = format!("{}sha256={good}", format!("{},", "0".repeat(64)).repeat(16));
    assert_eq!(authenticate(&push(None, None), &headers(&[&beyond]), BODY), Err(Stranger::Forged));
    assert_eq!(authenticate(&push(None, None), &headers(&[]), BODY), Err(Stranger::Unsigned));
    let mut elsewhere = HeaderMap::new();
    for name in ["x-hub-signature-256", "hpe-webhook-signature-2", "webhook-signature"] {
        let name = HeaderName::from_static(name);
        elsewhere.insert(name, HeaderValue::from_str(&format!("sha256={good}")).unwrap());
    }
    assert_eq!(authenticate(&push(None, None), &elsewhere, BODY), Err(Stranger::Unsigned));
    let mut raw = HeaderMap::new();
    raw.insert(GREENLAKE_SIGNATURE, HeaderValue::from_bytes(b"sha256=\xff\xfe").unwrap());
    assert_eq!(authenticate(&push(None, None), &raw, BODY), Err(Stranger::Unsigned));
}

#[test]
fn what_could_be_a_challenge_is_never_signed() {
    for body in [&b""[..], b"7", b"\"text\"", b" 8cbecfea", b"null"] {
        let signature = sign_greenlake(FIRST.as_bytes(), body);
        let found = authenticate(&push(None, None), &headers(&[&signature]), body);
        let expected = if body.is_empty() { Ok(SignedBy::Primary) } else { Err(Stranger::Forged) };
        assert_eq!(found, expected, "{body:?}");
    }
}

#[test]
fn the_key_is_asked_for_beside_the_signature() {
    let key = "the-key-of-the-webhook";
    let signature = sign_greenlake(FIRST.as_bytes(), BODY);
    for (values, is_allowed) in [
        (&[key][..], true),
        (&["Bearer the-key-of-the-webhook"], true),
        (&["bearer   the-key-of-the-webhook "], true),
        (&[], false),
        (&[""], false),
        (&["the-key-of-the-webhoo"], false),
        (&["THE-KEY-OF-THE-WEBHOOK"], false),
        (&["Basic the-key-of-the-webhook"], false),
        (&["Bearer"], false),
        (&[key, key], false),
    ] {
        let mut headers = headers(&[&signature]);
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let found = authenticate(&push(None, Some(key)), &headers, BODY);
        let expected = if is_allowed { Ok(SignedBy::Primary) } else { Err(Stranger::WrongKey) };
        assert_eq!(found, expected, "{values:?}");
    }
    let mut forged = headers(&[&sign_greenlake(SECOND.as_bytes(), BODY)]);
    forged.insert(AUTHORIZATION, HeaderValue::from_static("the-key-of-the-webhook"));
    let found = authenticate(&push(None, Some(key)), &forged, BODY);
    assert_eq!(found, Err(Stranger::Forged), "the key alone is nothing");
}

/// A million; `TAILWATER_FORGERIES` for more.
const FORGERIES: u64 = 1_000_000;

/// What a forger has: signed messages that he saw, and secrets of his own.
struct Loot {
    /// Bodies, each with the digest that it was signed with.
    seen: Vec<(Vec<u8>, [u8; 32])>,
    /// Digests of the same bodies under other secrets.
    own: Vec<[u8; 32]>,
}

impl Loot {
    fn new(dice: &mut StdRng) -> Self {
        let (mut seen, mut own) = (Vec::new(), Vec::new());
        for number in 0..64 {
            let length = dice.random_range(0..60);
            let text: String = (0..length).map(|_| dice.random_range('a'..='z')).collect();
            let body = format!("{{\"id\":\"{number}{text}\"}}").into_bytes();
            let digest = |secret: &str| {
                let mut bytes = [0; 32];
                hex::decode_to_slice(digits(secret, &body), &mut bytes).unwrap();
                bytes
            };
            own.push(digest(&format!("{FIRST}{number}")));
            seen.push((body.clone(), digest(FIRST)));
        }
        Self { seen, own }
    }

    /// A message that nobody who holds the secret has signed.
    fn forge(&self, dice: &mut StdRng) -> (Vec<String>, Vec<u8>) {
        let at = dice.random_range(0..self.seen.len());
        let (mut body, mut digest) = self.seen[at].clone();
        match dice.random_range(0..9) {
            0 => digest[dice.random_range(0..32)] ^= 1 << dice.random_range(0..8),
            1 => {
                let place = dice.random_range(1..body.len());
                body[place] ^= 1 << dice.random_range(0..8);
            }
            2 => body.truncate(dice.random_range(1..body.len())),
            3 => body.push(dice.random()),
            4 => digest = self.seen[(at + 1) % self.seen.len()].1,
            5 => digest = self.own[at],
            6 => digest = dice.random(),
            7 => {
                let place = dice.random_range(1..body.len());
                body.insert(place, dice.random());
            }
            _ => {
                let text = hex::encode(digest);
                let cut = dice.random_range(0..64);
                return (vec![format!("sha256={}", &text[..cut])], body);
            }
        }
        (dress(digest, dice), body)
    }
}

/// A digest in one of the forms that are understood, maybe among others.
fn dress(digest: [u8; 32], dice: &mut StdRng) -> Vec<String> {
    let text = hex::encode(digest);
    match dice.random_range(0..6) {
        0 => vec![text],
        1 => vec![format!("sha256={}", text.to_uppercase())],
        2 => vec![format!("sha256={text},sha256={}", hex::encode(dice.random::<[u8; 32]>()))],
        3 => vec![String::new(), format!("sha256={text}")],
        _ => vec![format!("sha256={text}")],
    }
}

#[test]
fn of_a_million_forgeries_none_is_accepted() {
    let wanted = std::env::var("TAILWATER_FORGERIES").ok();
    let wanted = wanted.map_or(FORGERIES, |text| text.parse().unwrap());
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let threads = thread::available_parallelism().map_or(2, |count| count.get() as u64);
    thread::scope(|scope| {
        for number in 0..threads {
            scope.spawn(move || {
                let mut dice = StdRng::seed_from_u64(seed.wrapping_add(number));
                let loot = Loot::new(&mut dice);
                for (body, digest) in &loot.seen {
                    let values = dress(*digest, &mut dice);
                    assert!(is_accepted(&values, body), "what is signed is accepted");
                }
                for _ in 0..wanted.div_ceil(threads) {
                    let (values, body) = loot.forge(&mut dice);
                    let shown = String::from_utf8_lossy(&body);
                    assert!(!is_accepted(&values, &body), "seed {seed}: {values:?} {shown}");
                }
            });
        }
    });
}

fn is_accepted(values: &[String], body: &[u8]) -> bool {
    thread_local! {
        static PUSH: PushConfig = push(None, None);
    }
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    PUSH.with(|push| authenticate(push, &headers(&values), body).is_ok())
}
