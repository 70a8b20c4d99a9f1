//! Finds what breaks the rules, in any set of source files.

use crate::lexer::{Parts, parts};

/// What has to hold.
pub(crate) struct Rules {
    pub(crate) floors: &'static [&'static [&'static str]],
    pub(crate) homes: &'static [Home],
    pub(crate) empty_names: &'static [&'static str],
    pub(crate) file_lines_max: usize,
    pub(crate) front_lines_max: usize,
    pub(crate) main_lines_max: usize,
}

/// A crate, and the modules or files that may name it.
pub(crate) struct Home {
    pub(crate) name: &'static str,
    pub(crate) places: &'static [&'static str],
}

/// A file below `src`.
pub(crate) struct SourceFile {
    /// Its path below `src`, with `/`.
    name: String,
    parts: Parts,
    lines: usize,
}

impl SourceFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), parts: parts(text), lines: text.lines().count() }
    }

    /// The module it belongs to; `None` for `lib.rs` and `main.rs`.
    fn module(&self) -> Option<&str> {
        let module = self.name.split('/').next()?.trim_end_matches(".rs");
        (!matches!(self.name.as_str(), "lib.rs" | "main.rs")).then_some(module)
    }

    /// How many modules deep its text is: `poll/mod.rs` 1, `poll/run.rs` 2.
    fn depth(&self) -> usize {
        self.path().split('/').count()
    }

    /// Its path as a module: `poll/run` for `poll/run.rs` and `poll/run/mod.rs`.
    fn path(&self) -> &str {
        let stem = self.name.trim_end_matches(".rs");
        stem.strip_suffix("/mod").unwrap_or(stem)
    }

    /// Paths of the modules that it declares for tests alone.
    fn test_modules(&self) -> impl Iterator<Item = String> + '_ {
        self.parts.code.split("#[cfg(test)]").skip(1).filter_map(|after| {
            let declared = after.trim_start().strip_prefix("mod ")?.split_once(';')?.0;
            let is_name = declared.chars().all(|char| char.is_alphanumeric() || char == '_');
            is_name.then(|| format!("{}/{declared}", self.path()))
        })
    }

    /// Lines before the tests that are written into the file itself.
    fn production_lines(&self) -> usize {
        let lines: Vec<&str> = self.parts.code.lines().collect();
        let starts = |pair: &[&str]| {
            let next = pair[1].trim();
            pair[0].trim() == "#[cfg(test)]" && next.starts_with("mod ") && next.contains('{')
        };
        lines.windows(2).position(starts).unwrap_or(self.lines)
    }

    fn tell(&self, line: usize, what: &str) -> String {
        format!("src/{}:{line}: {what}", self.name)
    }
}

/// Every violation, as `src/file.rs:line: what`.
pub(crate) fn violations(rules: &Rules, files: &[SourceFile]) -> Vec<String> {
    let tests: Vec<String> = files.iter().flat_map(SourceFile::test_modules).collect();
    let is_test = |file: &SourceFile| {
        tests.iter().any(|path| {
            file.path()
                .strip_prefix(path.as_str())
                .is_some_and(|r| r.is_empty() || r.starts_with('/'))
        })
    };
    let mut found = missing_modules(rules, files);
    for file in files {
        found.extend(wrong_names(rules, file));
        found.extend(wrong_imports(rules, file));
        if !is_test(file) {
            found.extend(wrong_homes(rules, file));
            found.extend(wrong_length(rules, file));
        }
    }
    found
}

fn floor(rules: &Rules, module: &str) -> Option<usize> {
    rules.floors.iter().position(|modules| modules.contains(&module))
}

fn missing_modules(rules: &Rules, files: &[SourceFile]) -> Vec<String> {
    let Some(lib) = files.iter().find(|file| file.name == "lib.rs") else {
        return vec!["src/lib.rs:1: missing".to_owned()];
    };
    let exists = |module: &str| lib.parts.code.contains(&format!("pub mod {module};"));
    let modules = rules.floors.concat();
    let missing = modules.iter().filter(|module| !exists(module));
    missing
        .map(|name| lib.tell(1, &format!("module {name} is listed but does not exist")))
        .collect()
}

fn wrong_names(rules: &Rules, file: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(module) = file.module()
        && floor(rules, module).is_none()
    {
        found.push(file.tell(1, &format!("module {module} stands on no floor")));
    }
    for part in file.path().split('/') {
        if rules.empty_names.contains(&part) {
            found.push(file.tell(1, &format!("the name {part} says nothing; name what is inside")));
        }
    }
    found
}

/// What `crate::…`, and `super::…` that climbs out of the module, leads to.
fn wrong_imports(rules: &Rules, file: &SourceFile) -> Vec<String> {
    let Some(module) = file.module() else { return Vec::new() };
    let Some(own) = floor(rules, module) else { return Vec::new() };
    let mut found = Vec::new();
    for (line, text) in numbered(&file.parts.code) {
        for after in after_word(text, "crate") {
            let Some(name) = after.trim_start().strip_prefix("::").and_then(first_name) else {
                let in_visibility = after.trim_start().starts_with(')');
                if !in_visibility {
                    let what = "imports from the crate are flat: use crate::module::Name;";
                    found.push(file.tell(line, what));
                }
                continue;
            };
            match floor(rules, name) {
                None => found.push(file.tell(line, &format!("there is no module {name}"))),
                Some(other) if name != module && other >= own => {
                    found.push(file.tell(line, &crossing(module, own, name, other)));
                }
                Some(_) => {}
            }
        }
        for (climbed, name) in climbs(text) {
            if climbed >= file.depth()
                && name != module
                && let Some(other) = floor(rules, name)
                && other >= own
            {
                found.push(file.tell(line, &crossing(module, own, name, other)));
            }
        }
    }
    found
}

fn crossing(module: &str, own: usize, name: &str, other: usize) -> String {
    format!("{module} (floor {own}) must not use {name} (floor {other})")
}

/// Crates, and SQL, outside of the places that own them.
fn wrong_homes(rules: &Rules, file: &SourceFile) -> Vec<String> {
    let Some(module) = file.module().or(Some(file.name.as_str())) else { return Vec::new() };
    let production = file.production_lines();
    let mut found = Vec::new();
    for home in rules.homes {
        if home.places.contains(&module) || home.places.contains(&file.name.as_str()) {
            continue;
        }
        for (line, text) in numbered(&file.parts.code).take(production) {
            if after_word(text, home.name).any(|after| after.trim_start().starts_with("::")) {
                let what = format!("{} belongs to {}", home.name, home.places.join(", "));
                found.push(file.tell(line, &what));
            }
        }
    }
    if module != "storage" {
        let lines = numbered(&file.parts.literals).take(production);
        let sql = lines.filter(|(_, text)| speaks_sql(text));
        found.extend(sql.map(|(line, _)| file.tell(line, "SQL belongs to storage")));
    }
    found
}

fn speaks_sql(literal: &str) -> bool {
    let starts =
        ["SELECT ", "INSERT INTO ", "INSERT OR ", "DELETE FROM ", "PRAGMA ", "CREATE TABLE "];
    starts.iter().any(|start| literal.contains(start))
        || (literal.contains("UPDATE ") && literal.contains(" SET "))
}

fn wrong_length(rules: &Rules, file: &SourceFile) -> Option<String> {
    let lines = file.production_lines();
    let max = match file.name.rsplit('/').next() {
        Some("main.rs") => rules.main_lines_max,
        Some("mod.rs") => rules.front_lines_max,
        _ => rules.file_lines_max,
    };
    (lines > max).then(|| file.tell(lines, &format!("{lines} lines, at most {max}")))
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// What follows each occurrence of `word` as a whole word.
fn after_word<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(word).filter_map(move |(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let is_whole = !before.ends_with(in_name) && !after.starts_with(in_name);
        is_whole.then_some(after)
    })
}

fn in_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The name at the start of what follows `::`.
fn first_name(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let name = &text[..text.find(|char| !in_name(char)).unwrap_or(text.len())];
    (!name.is_empty()).then_some(name)
}

/// Every `super::super::name`: how often it climbs, and the name.
fn climbs(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(after) = after_word(rest, "super").next() {
        let mut climbed = 1;
        rest = after;
        while let Some(next) = rest.strip_prefix("::super") {
            climbed += 1;
            rest = next;
        }
        if let Some(name) = rest.strip_prefix("::").and_then(first_name) {
            found.push((climbed, name));
        }
    }
    found
}
