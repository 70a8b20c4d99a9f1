//! JSON with its keys in `snake_case` and everything else byte for byte.
//!
//! Works on the text, not on a parsed value: numbers of any length survive, and nothing
//! recurses, so depth costs heap and is bounded.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Deepest nesting that is passed on. Receivers commonly stop at 128; the envelope and
/// `data` around it take a few levels.
const MAX_DEPTH: usize = 120;

/// A name in `snake_case`: `ipAddress` → `ip_address`, `HTTPServer` → `http_server`.
///
/// Spaces and hyphens become underscores; any other character stays. Borrowed when the
/// name is so already.
pub(crate) fn snake_case(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
        return name;
    }
    let mut snake = String::with_capacity(name.len() + 4);
    let mut before: Option<char> = None;
    let mut chars = name.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '-' => snake.push('_'),
            char if char.is_uppercase() => {
                let after_word = before.is_some_and(|c| c.is_lowercase() || c.is_numeric());
                let before_word = before.is_some_and(char::is_uppercase)
                    && chars.peek().is_some_and(|next| next.is_lowercase());
                if after_word || before_word {
                    snake.push('_');
                }
                snake.extend(char.to_lowercase());
            }
            char => snake.push(char),
        }
        before = Some(char);
    }
    Cow::Owned(snake)
}

/// Names of one object that are looked through one by one: ordinary objects have fewer,
/// and hashing each would cost more.
const FEW: usize = 24;

/// The names used in one object, so that no two members get the same.
///
/// Where two names come to the same in `snake_case` the first keeps it and the others
/// are numbered in their order: `ip_address`, `ip_address_2`.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
    /// Of names that came more than once: the last number given.
    numbers: HashMap<String, u32>,
}

impl<'a> Names<'a> {
    /// Appends the name to write for `name`, from now on taken, as a JSON string.
    pub(crate) fn append(&mut self, name: Cow<'a, str>, out: &mut String) {
        let mut wanted = snake_case(name);
        if self.has(&wanted) {
            wanted = Cow::Owned(self.numbered(&wanted));
        }
        append_string(&wanted, out);
        if self.few.len() < FEW {
            self.few.push(wanted);
        } else {
            self.many.insert(wanted);
        }
    }

    fn has(&self, name: &str) -> bool {
        self.few.iter().any(|taken| taken == name) || self.many.contains(name)
    }

    fn numbered(&mut self, name: &str) -> String {
        let mut number = self.numbers.get(name).copied().unwrap_or(1);
        loop {
            number += 1;
            let numbered = format!("{name}_{number}");
            if !self.has(&numbered) {
                self.numbers.insert(name.to_owned(), number);
                return numbered;
            }
        }
    }
}

/// An open array (`None`) or object with the names used in it.
type Open<'a> = Option<Names<'a>>;

/// Appends `json` to `out`, without white space, every key in `snake_case`.
///
/// `json` is valid JSON. `false` if it is nested deeper than 120: `out` then ends
/// anywhere.
pub(crate) fn append_with_snake_keys(json: &str, out: &mut String) -> bool {
    if !json.starts_with(['{', '[']) {
        // Most values: there is no key in it.
        out.push_str(json);
        return true;
    }
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut is_key_next = false;
    let mut rest = json;
    while let Some(first) = rest.bytes().next() {
        let taken = match first {
            b'"' => {
                let end = string_end(rest);
                match open.last_mut() {
                    Some(Some(names)) if is_key_next => append_key(&rest[..end], names, out),
                    _ => out.push_str(&rest[..end]),
                }
                is_key_next = false;
                end
            }
            b'{' | b'[' => {
                open.push((first == b'{').then(Names::default));
                if open.len() > MAX_DEPTH {
                    return false;
                }
                is_key_next = first == b'{';
                out.push(char::from(first));
                1
            }
            b'}' | b']' => {
                open.pop();
                is_key_next = false;
                out.push(char::from(first));
                1
            }
            b',' => {
                is_key_next = matches!(open.last(), Some(Some(_)));
                out.push(',');
                1
            }
            b' ' | b'\t' | b'\n' | b'\r' => 1,
            _ => {
                let plain = |c: char| {
                    !matches!(c, '"' | ',' | '{' | '[' | '}' | ']') && !c.is_ascii_whitespace()
                };
                let end = rest.find(|c: char| !plain(c)).unwrap_or(rest.len());
                out.push_str(&rest[..end]);
                end
            }
        };
        rest = &rest[taken..];
    }
    true
}

/// Length of the string literal at the beginning of `text`, quotes included.
fn string_end(text: &str) -> usize {
    let inside = text.get(1..).unwrap_or_default();
    if let Some(end) = inside.find('"')
        && !inside[..end].contains('\\')
    {
        return end + 2;
    }
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |at| at + 2)
}

/// Appends a key given as a literal; one that is no Unicode text (`"\ud800"`) stays.
fn append_key<'a>(literal: &'a str, names: &mut Names<'a>, out: &mut String) {
    match unquoted(literal) {
        Some(name) => names.append(name, out),
        None => out.push_str(literal),
    }
}

/// The text of a string literal; `None` if it is no Unicode text.
pub(crate) fn unquoted(literal: &str) -> Option<Cow<'_, str>> {
    if literal.contains('\\') {
        return serde_json::from_str(literal).ok().map(Cow::Owned);
    }
    literal.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}

/// Appends `text` as a JSON string.
pub(crate) fn append_string(text: &str, out: &mut String) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else {
        out.extend(["\"", text, "\""]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (name, snake) in [
            ("ipAddress", "ip_address"),
            ("ip_address_str", "ip_address_str"),
            ("HTTPServer", "http_server"),
            ("accountID", "account_id"),
            ("ipv4Address", "ipv4_address"),
            ("x509Cert", "x509_cert"),
            ("Account Name", "account_name"),
            ("account-name", "account_name"),
            ("ÄnderungsGrund", "änderungs_grund"),
            ("a.b/c$", "a.b/c$"),
            ("", ""),
        ] {
            assert_eq!(snake_case(Cow::Borrowed(name)), snake, "{name}");
        }
    }

    #[test]
    fn keys_change_and_nothing_else() {
        for (json, out) in [
            (r#"{"aB": {"cD" : [ {"eF":"gH"}, "iJ" ]}}"#, r#"{"a_b":{"c_d":[{"e_f":"gH"},"iJ"]}}"#),
            (
                r#"{"n":12345678901234567890123,"m":1.50,"e":1E+2}"#,
                r#"{"n":12345678901234567890123,"m":1.50,"e":1E+2}"#,
            ),
            (r#"{"a":"x\",\"bC\":\\","dE":true}"#, r#"{"a":"x\",\"bC\":\\","d_e":true}"#),
            (r#"{"i\u0070Address":"\ud800"}"#, r#"{"ip_address":"\ud800"}"#),
            (r#"{"\ud800":1}"#, r#"{"\ud800":1}"#),
            (r#"["aB", null, [], {}]"#, r#"["aB",null,[],{}]"#),
            ("7", "7"),
        ] {
            let mut found = String::new();
            assert!(append_with_snake_keys(json, &mut found));
            assert_eq!(found, out);
        }
    }

    #[test]
    fn colliding_keys_are_numbered_in_their_order() {
        let json =
            r#"{"ipAddress":1,"ip_address":2,"ip_address_2":3,"IPAddress":4,"o":{"ipAddress":5}}"#;
        let mut out = String::new();
        assert!(append_with_snake_keys(json, &mut out));
        assert_eq!(
            out,
            r#"{"ip_address":1,"ip_address_2":2,"ip_address_2_2":3,"ip_address_3":4,"o":{"ip_address":5}}"#
        );
    }

    #[test]
    fn depth_is_bounded_without_recursion() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(append_with_snake_keys(&nested(MAX_DEPTH), &mut String::new()));
        assert!(!append_with_snake_keys(&nested(MAX_DEPTH + 1), &mut String::new()));
        assert!(!append_with_snake_keys(&nested(200_000), &mut String::new()));
    }
}
