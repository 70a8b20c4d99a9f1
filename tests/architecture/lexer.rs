//! Takes Rust text apart as far as the architecture needs it: what is code, what is text.

/// Rust text twice, line for line and column for column: what does not belong is blank.
pub(crate) struct Parts {
    /// Without comments and literals.
    pub(crate) code: String,
    /// String literals alone.
    pub(crate) literals: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Separates code, comments and literals.
pub(crate) fn parts(text: &str) -> Parts {
    let chars: Vec<char> = text.chars().collect();
    let mut parts = Parts { code: String::new(), literals: String::new() };
    let mut at = 0;
    while at < chars.len() {
        let (kind, length) = next(&chars[at..], at.checked_sub(1).map(|before| chars[before]));
        for &char in &chars[at..at + length] {
            let blank = if char == '\n' { '\n' } else { ' ' };
            parts.code.push(if kind == Kind::Code { char } else { blank });
            parts.literals.push(if kind == Kind::Literal { char } else { blank });
        }
        at += length;
    }
    parts
}

/// What begins here, and how many characters it has.
fn next(rest: &[char], before: Option<char>) -> (Kind, usize) {
    let in_word = before.is_some_and(|char| char.is_alphanumeric() || char == '_');
    match rest {
        ['/', '/', ..] => (Kind::Comment, until(rest, |rest| rest[0] == '\n')),
        ['/', '*', ..] => (Kind::Comment, block_comment(rest)),
        ['"', ..] => (Kind::Literal, string(rest)),
        ['b' | 'c', 'r', '"' | '#', ..] if !in_word => raw_string(rest, 2),
        ['r', '"' | '#', ..] if !in_word => raw_string(rest, 1),
        ['\'', '\\', ..] => (Kind::Literal, 3 + until(&rest[3..], |rest| rest[0] == '\'') + 1),
        ['\'', _, '\'', ..] => (Kind::Literal, 3),
        _ => (Kind::Code, 1),
    }
}

fn until(rest: &[char], is_end: impl Fn(&[char]) -> bool) -> usize {
    (0..rest.len()).find(|&at| is_end(&rest[at..])).unwrap_or(rest.len())
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match &rest[at..] {
            [] => return at,
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    loop {
        match &rest[at..] {
            [] | [_] => return rest.len(),
            ['\\', _, ..] => at += 2,
            ['"', ..] => return at + 1,
            _ => at += 1,
        }
    }
}

/// `prefix` characters, hashes, the text, as many hashes; or a raw name such as `r#type`.
fn raw_string(rest: &[char], prefix: usize) -> (Kind, usize) {
    let hashes = until(&rest[prefix..], |rest| rest[0] != '#');
    let start = prefix + hashes;
    if rest.get(start) != Some(&'"') {
        return (Kind::Code, start);
    }
    let is_end = |rest: &[char]| {
        rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|&char| char == '#')
    };
    let inside = until(&rest[start + 1..], is_end);
    (Kind::Literal, (start + 1 + inside + 1 + hashes).min(rest.len()))
}

#[test]
fn code_and_literals_keep_their_places() {
    // Marked text: [literal], {comment}, the rest is code.
    let cases = [
        r#"a ["b\"c"] d"#,
        "a {// \"b}\nc",
        "{/* a /* b */ c */} d",
        "[r#\"a\"b\"#] c",
        "r#type b[\"c\"]",
        "['\"'] 'a ['\\''] b",
        "[\"open]",
        "['\\n'] x ['é'] y",
    ];
    for marked in cases {
        let mut expected = Parts { code: String::new(), literals: String::new() };
        let (mut text, mut kind) = (String::new(), Kind::Code);
        for char in marked.chars() {
            kind = match char {
                '[' => Kind::Literal,
                '{' => Kind::Comment,
                ']' | '}' => Kind::Code,
                _ => {
                    let blank = if char == '\n' { char } else { ' ' };
                    text.push(char);
                    expected.code.push(if kind == Kind::Code { char } else { blank });
                    expected.literals.push(if kind == Kind::Literal { char } else { blank });
                    kind
                }
            };
        }
        let found = parts(&text);
        assert_eq!((found.code, found.literals), (expected.code, expected.literals), "{text}");
    }
}
