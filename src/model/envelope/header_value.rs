//! Attribute values as HTTP header values (CloudEvents HTTP binding 1.0.2, 3.1.3.2).

use std::borrow::Cow;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Percent-encodes a value: space, `"`, `%` and everything outside `!` to `~`.
pub(super) fn encode(value: &str) -> Cow<'_, str> {
    if value.bytes().all(is_plain) {
        return Cow::Borrowed(value);
    }
    let mut encoded = String::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 0xF)]));
        }
    }
    Cow::Owned(encoded)
}

/// Undoes double quotes with backslashes, as older senders use them, and then one round
/// of percent-encoding. `None` when the result is not UTF-8.
///
/// Hex digits may be of either case; a `%` before anything else stands for itself.
pub(super) fn decode(value: &[u8]) -> Option<String> {
    let unquoted = unquote(value);
    let mut decoded = Vec::with_capacity(unquoted.len());
    let mut rest = unquoted.as_ref();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let mut escaped = [0];
        match tail.split_at_checked(2) {
            Some((digits, tail))
                if *byte == b'%' && hex::decode_to_slice(digits, &mut escaped).is_ok() =>
            {
                decoded.extend(escaped);
                rest = tail;
            }
            _ => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).ok()
}

fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', inner @ .., b'"'] = value else { return Cow::Borrowed(value) };
    let mut unquoted = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte };
        unquoted.push(*byte);
    }
    Cow::Owned(unquoted)
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'%')
}
