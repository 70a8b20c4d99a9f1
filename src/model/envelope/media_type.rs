//! Media types, as far as the codec asks (RFC 2046): compared without case, parameters
//! apart.

/// Whether data of this type is JSON: subtype `json` or ending in `+json`. Events without
/// a content type carry JSON (CloudEvents JSON format 1.0.2, 3.1).
pub(super) fn is_json(media_type: Option<&str>) -> bool {
    let Some(media_type) = media_type else { return true };
    has_subtype(media_type, "json", "+json")
}

/// Whether data of this type is text in UTF-8: `text/*` or XML, without another charset.
pub(super) fn is_text(media_type: &str) -> bool {
    let text = media_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"));
    (text || has_subtype(media_type, "xml", "+xml")) && is_utf8(media_type)
}

/// Whether the `charset` parameter, if any, is UTF-8 or a part of it.
pub(super) fn is_utf8(media_type: &str) -> bool {
    media_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, charset)| charset.trim().trim_matches('"'))
        .all(|charset| {
            ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
        })
}

/// Whether the text is `type/subtype`, perhaps with parameters, and fits a header.
pub(super) fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text == text.trim()
        && essence(text).split_once('/').is_some_and(|(a, b)| is_token(a) && is_token(b))
}

/// The type and subtype, without parameters.
pub(super) fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or(media_type).trim()
}

fn has_subtype(media_type: &str, exact: &str, suffix: &str) -> bool {
    let Some((_, subtype)) = essence(media_type).split_once('/') else { return false };
    let ending = subtype.len().checked_sub(suffix.len()).and_then(|at| subtype.get(at..));
    subtype.eq_ignore_ascii_case(exact)
        || ending.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}
