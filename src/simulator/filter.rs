//! The audit log's filter grammar: `key op 'value'`, `contains(key, 'value')` and
//! `key in ('a', 'b')`, joined by `and`.
//!
//! Fields, operators and types are those of the vendor's reference for each version. It
//! documents no `or`, `not`, brackets around terms or escape for a quote: none is
//! accepted here.

use std::fmt;

use crate::model::timestamp::Timestamp;
use crate::simulator::refusal::Issue;

/// Service ids in one `in` (audit logs v2beta1).
const MAX_SERVICE_IDS: usize = 5;

/// Region codes that exist here.
const REGIONS: [&str; 6] =
    ["global", "us-west", "us-east", "eu-central", "ap-northeast", "eu-west"];

/// Version of the audit-log API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `/audit-log/v1`
    V1,
    /// `/audit-log/v2beta1`
    V2Beta1,
}

/// What can be filtered on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the vendor's")]
pub enum Field {
    CreatedAt,
    Category,
    Description,
    IpAddress,
    Username,
    WorkspaceName,
    WorkspaceType,
    ServiceId,
    Region,
    HasDetails,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the vendor's")]
pub enum Operator {
    Eq,
    In,
    Contains,
    Lt,
    Ge,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is compared.
    pub field: Field,
    /// How.
    pub operator: Operator,
    /// With what: several for [`Operator::In`], else one.
    pub values: Vec<String>,
}

/// Reads a filter of `version`; no terms for an empty one.
///
/// # Errors
/// The issue that the API reports in its 400 answer.
pub fn parse(version: Version, text: &str) -> Result<Vec<Term>, Issue> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let mut rest = tokens.as_slice();
    let mut terms = Vec::new();
    loop {
        let term = read_term(version, &mut rest)?;
        check(version, &term)?;
        terms.push(term);
        match rest {
            [] => return Ok(terms),
            [Token::Word("and"), after @ ..] => rest = after,
            [other, ..] => return Err(syntax(&format!("'and' expected before {other}"))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Text(&'a str),
    Mark(char),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word}"),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Mark(mark) => write!(f, "{mark}"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, Issue> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => {
                let inside = &rest[1..];
                let end = inside.find('\'').ok_or_else(|| syntax("a quote is not closed"))?;
                tokens.push(Token::Text(&inside[..end]));
                end + 2
            }
            '(' | ')' | ',' => {
                tokens.push(Token::Mark(first));
                1
            }
            _ => {
                let is_end = |c: char| c.is_whitespace() || "'(),".contains(c);
                let end = rest.find(is_end).unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..end]));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn read_term(version: Version, rest: &mut &[Token<'_>]) -> Result<Term, Issue> {
    use Token::{Mark, Text, Word};
    let (key, operator, values, after) = match *rest {
        [Word("contains"), Mark('('), Word(key), Mark(','), Text(value), Mark(')'), after @ ..] => {
            (*key, Operator::Contains, vec![(*value).to_owned()], after)
        }
        [Word(key), Word("in"), Mark('('), list @ ..] => {
            let (values, after) = read_list(list)?;
            (*key, Operator::In, values, after)
        }
        [Word(key), Word(operator), Text(value), after @ ..] => {
            (*key, read_operator(operator)?, vec![(*value).to_owned()], after)
        }
        [Word(_), Word(_), Word(value), ..] => {
            return Err(syntax(&format!("the value {value} is not in single quotes")));
        }
        [first, ..] => return Err(syntax(&format!("no comparison begins with {first}"))),
        [] => return Err(syntax("a comparison is missing after 'and'")),
    };
    *rest = after;
    Ok(Term { field: read_field(version, key)?, operator, values })
}

fn read_list<'t, 'a>(mut rest: &'t [Token<'a>]) -> Result<(Vec<String>, &'t [Token<'a>]), Issue> {
    let mut values = Vec::new();
    loop {
        match rest {
            [Token::Text(value), Token::Mark(','), after @ ..] => {
                values.push((*value).to_owned());
                rest = after;
            }
            [Token::Text(value), Token::Mark(')'), after @ ..] => {
                values.push((*value).to_owned());
                return Ok((values, after));
            }
            _ => return Err(syntax("'in' takes quoted values in brackets")),
        }
    }
}

fn read_operator(word: &str) -> Result<Operator, Issue> {
    match word {
        "eq" => Ok(Operator::Eq),
        "lt" => Ok(Operator::Lt),
        "ge" => Ok(Operator::Ge),
        _ => Err(Issue::filter(format!(
            "Invalid operator '{word}'. Supported operators are eq, in, contains, lt, ge."
        ))),
    }
}

fn read_field(version: Version, key: &str) -> Result<Field, Issue> {
    use Version::{V1, V2Beta1};
    match (version, key) {
        (_, "createdAt") => Ok(Field::CreatedAt),
        (_, "category") => Ok(Field::Category),
        (_, "description") => Ok(Field::Description),
        (_, "region") => Ok(Field::Region),
        (_, "hasDetails") => Ok(Field::HasDetails),
        (V1, "additionalInfo/ipAddress") | (V2Beta1, "ipAddress") => Ok(Field::IpAddress),
        (V1, "user/username") | (V2Beta1, "username") => Ok(Field::Username),
        (V1, "workspace/workspaceName") | (V2Beta1, "workspace/name") => Ok(Field::WorkspaceName),
        (V2Beta1, "workspace/type") => Ok(Field::WorkspaceType),
        (V1, "application/id") | (V2Beta1, "serviceOffer/id") => Ok(Field::ServiceId),
        _ => Err(Issue::filter(format!("Unsupported filter field '{key}'."))),
    }
}

/// Operators and types by field, as the vendor's table has them.
fn check(version: Version, term: &Term) -> Result<(), Issue> {
    use Operator::{Contains, Eq, Ge, In, Lt};
    let allowed: &[Operator] = match term.field {
        Field::CreatedAt => &[Lt, Ge],
        Field::Category => &[Eq, In],
        Field::Description | Field::IpAddress | Field::Username | Field::WorkspaceName => {
            &[Eq, Contains]
        }
        Field::ServiceId if version == Version::V2Beta1 => &[Eq, In],
        Field::WorkspaceType | Field::Region | Field::HasDetails | Field::ServiceId => &[Eq],
    };
    if !allowed.contains(&term.operator) {
        return Err(Issue::filter(format!(
            "Invalid operator '{:?}' for {:?}. Supported operators are eq, in, contains, lt, ge.",
            term.operator, term.field
        )));
    }
    if term.field == Field::ServiceId && term.values.len() > MAX_SERVICE_IDS {
        return Err(Issue::filter("At most 5 service offer ids are allowed.".to_owned()));
    }
    match term.values.iter().find(|value| !is_valid(term.field, value)) {
        None => Ok(()),
        Some(value) => Err(Issue::filter(format!("Invalid value '{value}' for {:?}.", term.field))),
    }
}

fn is_valid(field: Field, value: &str) -> bool {
    match field {
        Field::CreatedAt => Timestamp::parse_rfc3339(value).is_some(),
        Field::Region => REGIONS.contains(&value),
        Field::HasDetails => matches!(value, "true" | "false"),
        Field::WorkspaceType => matches!(value, "STANDALONE" | "TENANT" | "MSP"),
        Field::Category
        | Field::Description
        | Field::IpAddress
        | Field::Username
        | Field::WorkspaceName
        | Field::ServiceId => true,
    }
}

fn syntax(what: &str) -> Issue {
    Issue::filter(format!("Invalid filter: {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(field: Field, operator: Operator, values: &[&str]) -> Term {
        Term { field, operator, values: values.iter().map(|&v| v.to_owned()).collect() }
    }

    #[test]
    fn the_documented_examples_are_read() {
        use Version::{V1, V2Beta1};
        let time = "createdAt ge '2025-01-16T07:54:55.0Z' and createdAt lt \
                    '2025-02-16T07:54:55.00000Z' and category eq 'API Gateway'";
        let expected = vec![
            term(Field::CreatedAt, Operator::Ge, &["2025-01-16T07:54:55.0Z"]),
            term(Field::CreatedAt, Operator::Lt, &["2025-02-16T07:54:55.00000Z"]),
            term(Field::Category, Operator::Eq, &["API Gateway"]),
        ];
        assert_eq!(parse(V1, time), Ok(expected.clone()));
        assert_eq!(parse(V2Beta1, time), Ok(expected));
        assert_eq!(
            parse(V2Beta1, "serviceOffer/id in ('a', 'b') and region eq 'us-west'"),
            Ok(vec![
                term(Field::ServiceId, Operator::In, &["a", "b"]),
                term(Field::Region, Operator::Eq, &["us-west"]),
            ])
        );
        assert_eq!(
            parse(V1, " contains( user/username ,'@example.com') "),
            Ok(vec![term(Field::Username, Operator::Contains, &["@example.com"])])
        );
        assert_eq!(parse(V1, "  "), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_documented_is_refused_with_the_reason() {
        use Version::{V1, V2Beta1};
        for (version, text, reason) in [
            (V1, "startTime ge '2025-01-16T07:54:55Z'", "field 'startTime'"),
            (V1, "username eq 'a'", "field 'username'"),
            (V2Beta1, "user/username eq 'a'", "field 'user/username'"),
            (V1, "serviceOffer/id eq 'a'", "field 'serviceOffer/id'"),
            (V1, "workspace/type eq 'MSP'", "field 'workspace/type'"),
            (V1, "createdAt gt '2025-01-16T07:54:55Z'", "operator 'gt'"),
            (V1, "createdAt eq '2025-01-16T07:54:55Z'", "Eq"),
            (V1, "application/id in ('a','b')", "In"),
            (V2Beta1, "serviceOffer/id in ('1','2','3','4','5','6')", "At most 5"),
            (V1, "createdAt ge 'yesterday'", "value 'yesterday'"),
            (V1, "createdAt ge 2025-01-16T07:54:55Z", "single quotes"),
            (V1, "hasDetails eq true", "single quotes"),
            (V1, "hasDetails eq 'yes'", "value 'yes'"),
            (V1, "region eq 'mars'", "value 'mars'"),
            (V2Beta1, "workspace/type eq 'BIG'", "value 'BIG'"),
            (V1, "category eq 'a' or category eq 'b'", "'and' expected before or"),
            (V1, "(category eq 'a')", "begins with ("),
            (V1, "category eq 'a' and", "missing after"),
            (V1, "category eq 'a", "not closed"),
            (V1, "user/username eq 'o''brien'", "'and' expected"),
            (V1, "category in ('a' 'b')", "in brackets"),
            (V1, "contains(category, 'a')", "Contains"),
        ] {
            let issue = parse(version, text).expect_err(text);
            assert!(issue.description.contains(reason), "{text}: {}", issue.description);
        }
    }
}
