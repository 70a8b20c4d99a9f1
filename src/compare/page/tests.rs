use super::*;
use crate::compare::pictures::tests::{Fate, comparison, day};

/// Nothing that a browser would run, or fetch from elsewhere.
fn require_harmless(text: &str) {
    let active =
        ["script", "link", "iframe", "object", "embed", "img", "image", "use", "a", "form"];
    let tags = text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
    for tag in tags {
        let outside_quotes: String = tag.split('"').step_by(2).collect();
        let mut words = outside_quotes.split([' ', '\n', '/', '=']).filter(|word| !word.is_empty());
        let name = words.next().unwrap_or_default();
        assert!(!active.contains(&name), "{tag}");
        for attribute in words {
            let is_active =
                attribute.starts_with("on") || ["src", "href", "style"].contains(&attribute);
            assert!(!is_active, "{tag}");
        }
    }
    assert!(!text.contains("@import") && !text.contains("url(h") && !text.contains("url(/"));
    assert!(!text.replace("http://www.w3.org/2000/svg", "").contains("://"));
}

#[test]
fn a_page_runs_nothing_and_needs_nothing() {
    let page = html(&[day()]);
    require_harmless(&page);
    assert!(page.contains("default-src 'none'; style-src 'sha256-"));
    let (_, rest) = page.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    assert!(page.contains(&STANDARD.encode(Sha256::digest(style))), "its own style is refused");
}

#[test]
fn a_page_begins_with_the_answer_and_has_five_pictures_with_their_tables() {
    let found = day();
    let page = html(std::slice::from_ref(&found));
    let (_, body) = page.split_once("<main>").unwrap();
    let first = body.split_once('>').unwrap().1.split_once('>').unwrap().1;
    assert!(first.starts_with(&found.answer), "{}", &first[..200]);
    assert_eq!(page.matches("role=\"img\"").count(), 5);
    assert_eq!(page.matches("<title id=").count(), 5);
    assert_eq!(page.matches("<desc id=").count(), 5);
    assert_eq!(page.matches("<details>").count(), 5);
    assert!(
        page.contains("<html lang=\"en\">") && page.contains("HPE's published poll loop")
            || page.contains("HPE&#39;s published poll loop")
    );
    assert_eq!(page.matches("<h1").count(), 1);
}

#[test]
fn several_sources_have_names_of_their_own() {
    let page = html(&[day(), day()]);
    let names: Vec<&str> =
        page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len());
    assert_eq!((page.matches("<h1").count(), page.matches("<h2").count()), (1, 2));
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let mut found = day();
    found.source = "<script>alert(1)</script>\" onload=\"x".to_owned();
    found.answer = "a & b <img src=x>".to_owned();
    found
        .differences
        .fields
        .push(crate::storage::FieldDifference { field: "</td><script>".to_owned(), entries: 1 });
    for text in [html(std::slice::from_ref(&found)), svg(std::slice::from_ref(&found))] {
        require_harmless(&text);
        assert!(text.contains("&#60;script&#62;alert(1)"), "escaped, and there");
    }
}

#[test]
fn an_empty_comparison_has_a_page_too() {
    for fate in [Fate::Pending, Fate::OnlyPolled, Fate::OnlyPushed, Fate::Both] {
        for each in [0, 1, 5] {
            let found = [comparison(1, each, |_| fate)];
            require_harmless(&html(&found));
            require_harmless(&svg(&found));
        }
    }
}

#[test]
fn the_image_holds_all_pictures_under_each_other() {
    let found = day();
    let image = svg(&[found.clone(), found]);
    require_harmless(&image);
    assert!(image.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    assert_eq!(image.matches("<svg ").count(), 11);
}
