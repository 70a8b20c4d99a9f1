//! The configuration as a user meets it: every file of `tests/config`, the manual, the
//! environment, secrets.
//!
//! `BLESS=1 cargo test --test config` writes the expected messages anew.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tailwater::config::{
    Config, Environment, Fault, Faults, Schedule, Start, effective, known_keys,
};

const MANUAL: &str = include_str!("../config.toml");
const MINIMAL: &str = include_str!("config/valid/minimal.toml");

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    files.sort();
    files
}

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn parse(text: &str, pairs: &[(&str, &str)]) -> Result<(Config, Vec<Fault>), Faults> {
    Config::parse("config.toml", text, &environment(pairs))
}

/// The minimal configuration with `source` and `target` lines added to the sections.
fn with(source: &str, target: &str) -> String {
    MINIMAL.replace("\n[[target]]", &format!("{source}\n[[target]]")) + target
}

fn faults(text: &str, pairs: &[(&str, &str)]) -> String {
    parse(text, pairs).expect_err("this has faults").to_string()
}

#[test]
fn every_valid_file_loads() {
    for file in files("valid") {
        let text = fs::read_to_string(&file).expect("readable");
        if let Err(faults) = parse(&text, &[("SIEM_TOKEN", "t")]) {
            panic!("{}\n{faults}", file.display());
        }
    }
}

#[test]
fn every_invalid_file_is_told_in_full() {
    for file in files("invalid") {
        let text = fs::read_to_string(&file).expect("readable");
        let told = faults(&text, &[]) + "\n";
        let expected = file.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &told).expect("writable");
        }
        let expected = fs::read_to_string(&expected).expect("BLESS=1 writes it");
        assert_eq!(told, expected, "{}", file.display());
    }
}

#[test]
fn the_manual_shows_the_defaults() {
    let (manual, warnings) = parse(MANUAL, &[]).expect("the manual is valid");
    let (minimal, _) = parse(MINIMAL, &[]).expect("valid");
    assert_eq!(effective(&manual), effective(&minimal));
    let examples: Vec<&str> = warnings.iter().map(|warning| warning.key.as_str()).collect();
    let source = "source \"production\"";
    assert_eq!(
        examples,
        [
            format!("{source}.workspace_id"),
            format!("{source}.client_id"),
            format!("{source}.client_secret"),
            "target \"siem\".url".to_owned(),
        ]
    );
}

#[test]
fn a_proxy_beside_public_only_is_told() {
    let warned = |target: &str, pairs: &[(&str, &str)]| {
        let (_, warnings) = parse(&with("", target), pairs).expect("valid");
        let about = |warning: &&Fault| warning.key == "target \"siem\".public_only";
        warnings.iter().filter(about).map(ToString::to_string).collect::<String>()
    };
    let proxy = "proxy = \"http://10.0.0.1:3128\"\n";
    for (target, pairs, named) in [
        (format!("public_only = true\n{proxy}"), [("SIEM_TOKEN", "t")], "and proxy names one"),
        (
            "public_only = true\n".to_owned(),
            [("https_proxy", "http://10.0.0.1:3128")],
            "and https_proxy names one",
        ),
    ] {
        let told = warned(&target, &pairs);
        assert!(told.contains(named), "{told}");
    }
    assert_eq!(warned(proxy, &[("HTTPS_PROXY", "http://10.0.0.1:3128")]), "");
    assert_eq!(warned("public_only = true\n", &[("HTTPS_PROXY", "")]), "");
}

#[test]
fn the_manual_shows_every_key() {
    let begins_key = |c: char| c.is_alphabetic() || c == '[';
    let is_key = |line: &str| line.starts_with('#') && line[1..].starts_with(begins_key);
    let all: Vec<&str> =
        MANUAL.lines().map(|line| if is_key(line) { &line[1..] } else { line }).collect();
    let table: toml::Table =
        all.join("\n").parse().expect("the manual is TOML with every key in it");
    let mut shown = BTreeSet::new();
    collect(&toml::Value::Table(table), "", &mut shown);
    // Explained in words beside the key that they are alternatives of.
    for key in ["auth.basic", "auth.basic.username", "auth.basic.password"] {
        let last = key.rsplit('.').next().expect("not empty");
        assert!(MANUAL.contains(&format!("{last} =")), "{key}");
        shown.insert(format!("target.{key}"));
    }
    for key in ["standard", "greenlake"] {
        assert!(MANUAL.contains(&format!("# {key} ")), "{key}");
        shown.insert(format!("target.signing.{key}"));
    }
    let missing: Vec<_> = known_keys().difference(&shown).cloned().collect();
    assert_eq!(missing, Vec::<String>::new(), "the manual does not show these");
    // A secret's forms are explained once, at the top.
    let is_form = |key: &str| [".file", ".env", ".credential"].iter().any(|f| key.ends_with(f));
    let known = known_keys();
    let unknown: Vec<_> = shown.difference(&known).filter(|key| !is_form(key)).collect();
    assert_eq!(unknown, Vec::<&String>::new(), "nobody reads these");
}

fn collect(value: &toml::Value, path: &str, keys: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys.insert(path.clone());
                collect(value, &path, keys);
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| collect(item, path, keys)),
        _ => {}
    }
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    for file in files("valid") {
        let text = fs::read_to_string(&file).expect("readable");
        let (config, _) = parse(&text, &[("SIEM_TOKEN", "t")]).expect("valid");
        // A masked key is no key; everything else has to read back.
        let shown = effective(&config).replace("standard = [\"********\", \"********\"], ", "");
        let unmasked = shown
            .replace("\nsecret = \"********\"", "\nsecret = \"the-first-of-two\"")
            .replace("secondary_secret = \"********\"", "secondary_secret = \"the-other-one\"");
        let (again, _) = parse(&unmasked, &[]).unwrap_or_else(|faults| panic!("{shown}\n{faults}"));
        assert_eq!(effective(&again), shown, "{}", file.display());
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let (config, _) = parse(
        MINIMAL,
        &[
            ("TAILWATER__STORAGE__PATH", "/var/lib/tailwater/a.db"),
            ("TAILWATER__SOURCE__PRODUCTION__CLIENT_ID", "0123"),
            ("TAILWATER__SOURCE__0__POLL__INTERVAL", "10s"),
            ("TAILWATER__SOURCE__0__POLL__PAGE_LIMIT", "50"),
            ("TAILWATER__SOURCE__PRODUCTION__POLL__START", "2026-01-31T00:00:00Z"),
            ("TAILWATER__TARGET__SIEM__ROUTES", "[\"poll\"]"),
            ("TAILWATER__TARGET__SIEM__HEADERS__X_TEAM", "platform"),
            ("TAILWATER__TARGET__1__NAME", "second"),
            ("TAILWATER__TARGET__1__URL", "http://127.0.0.1:9/"),
            ("TAILWATER__LOG__FILTER", "debug"),
            ("TAILWATER_OTHER", "is not ours"),
        ],
    )
    .unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.storage.path, Path::new("/var/lib/tailwater/a.db"));
    assert_eq!(config.sources[0].client_id, "0123");
    let poll = &config.sources[0].poll;
    assert_eq!(poll.schedule, Schedule::Interval(std::time::Duration::from_secs(10)));
    assert_eq!(poll.page_limit, 50);
    assert!(matches!(poll.start, Start::At(at) if at.secs() == 1_769_817_600));
    assert_eq!(config.targets[0].routes.len(), 1);
    assert_eq!(config.targets[0].headers[0].0, "x-team");
    assert_eq!(config.targets[1].name, "second");
    assert_eq!(config.log.filter, "debug");
}

#[test]
fn a_wrong_variable_is_told_by_its_name() {
    let told = faults(
        MINIMAL,
        &[
            ("TAILWATER__STORAGE__PTAH", "x"),
            ("TAILWATER__STORAGE__KEEP", "ever"),
            ("TAILWATER__SOURCE__PRODUCTION__NAME__X", "x"),
            ("TAILWATER__SOURCE__STAGING__CLIENT_ID", "x"),
            ("TAILWATER__SOURCE__7__CLIENT_ID", "x"),
            ("TAILWATER__", "x"),
        ],
    );
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "environment TAILWATER__: an override names a key; write for example TAILWATER__STORAGE__PATH, or unset it",
            "environment TAILWATER__SOURCE__7__CLIENT_ID: there are only 1 of them, counted from 0; use the name, or a smaller number",
            "environment TAILWATER__SOURCE__PRODUCTION__NAME__X: there is no key x below this one; shorten the variable's name, or unset it",
            "environment TAILWATER__SOURCE__STAGING__CLIENT_ID: none is named staging; use a name of the file, or a number from 0",
            "environment TAILWATER__STORAGE__KEEP: storage.keep: \"ever\" is not a duration; write for example \"100d\"",
            "environment TAILWATER__STORAGE__PTAH: storage.ptah: there is no key \"ptah\" here; write path",
        ]
    );
}

#[test]
fn a_source_can_come_from_the_environment_alone() {
    let (config, _) = parse(
        "",
        &[
            ("TAILWATER__SOURCE__0__NAME", "only"),
            ("TAILWATER__SOURCE__0__WORKSPACE_ID", "30091282512311118184112314145754"),
            ("TAILWATER__SOURCE__0__CLIENT_ID", "id"),
            ("TAILWATER__SOURCE__0__CLIENT_SECRET", "{ env = \"S\" }"),
            ("S", "planted"),
        ],
    )
    .unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.sources[0].client_secret.expose(), "planted");
}

#[test]
fn a_secret_comes_from_each_of_its_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    fs::write(&file, "from-file\n").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("closed");
    let secret = |form: &str, pairs: &[(&str, &str)]| {
        let text = MINIMAL.replace("\"the-secret-of-your-api-client\"", form);
        let (config, warnings) = parse(&text, pairs).unwrap_or_else(|faults| panic!("{faults}"));
        (config.sources[0].client_secret.expose().to_owned(), warnings)
    };
    let path = file.display();

    let directory = folder.path().to_str().expect("unicode");
    assert_eq!(secret("\"literal\"", &[]).0, "literal");
    assert_eq!(secret(&format!("{{ file = \"{path}\" }}"), &[]).0, "from-file");
    assert_eq!(secret("{ env = \"X\" }", &[("X", "from-env")]).0, "from-env");
    let credentials = [("CREDENTIALS_DIRECTORY", directory)];
    assert_eq!(secret("{ credential = \"secret\" }", &credentials).0, "from-file");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("opened");
    let (_, warnings) = secret(&format!("{{ file = \"{path}\" }}"), &[]);
    let what = format!("others than its owner may read {path}");
    assert!(warnings.iter().any(|warning| warning.what == what), "{warnings:?}");
}

#[test]
fn a_planted_secret_is_in_no_message() {
    const PLANTED: &str = "pl4nted-s3cret";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    fs::write(&file, format!("{PLANTED}\nsecond line")).expect("written");
    let secret = format!("\"{PLANTED}\"");
    let wrong = [
        with("", &format!("auth = {secret}\n")),
        with("", &format!("auth = {{ bearer = [{secret}] }}\n")),
        with("", &format!("auth = {{ bearer = \"{PLANTED}\\n\" }}\n")),
        with("", &format!("auth = {{ bearer = {{ file = \"{}\" }} }}\n", file.display())),
        with("", &format!("auth = {{ basic = {secret} }}\n")),
        with("", &format!("auth = {{ basic = {{ username = \"a:b\", password = {secret} }} }}\n")),
        with("", &format!("signing = {secret}\n")),
        with("", &format!("signing = {{ standard = {secret} }}\n")),
        with("", &format!("signing = {{ standard = [\"whsec_{PLANTED}\"] }}\n")),
        with("", &format!("headers = {secret}\n")),
        with("", &format!("headers = {{ \"X-Key\" = [{secret}] }}\n")),
        with("", &format!("headers = {{ \"X-Key\" = \"{PLANTED}\\u0001\" }}\n")),
        with("", &format!("headers = {{ \"X-Key\" = {secret}, \"webhook-x\" = {secret} }}\n")),
        with(&format!("push = {{ path = \"/\", secret = [{secret}] }}\n"), ""),
        with(&format!("push = {{ path = \"/\", api_key = {{ fil = {secret} }} }}\n"), ""),
        with(&format!("push = {{ secret = {secret}, secondary_secret = {secret} }}\n"), ""),
        with(&format!("proxy = \"ftp://u:{PLANTED}@h/\"\n"), ""),
        with(&format!("base_url = \"https://u:{PLANTED}@h/\"\n"), ""),
        with(&format!("base_url = \"https://h/?key={PLANTED}\"\n"), ""),
        MINIMAL.replace("https://siem.example.com/", &format!("gopher://{PLANTED}@h/?{PLANTED}#")),
        MINIMAL.replace("\"the-secret-of-your-api-client\"", &format!("\"{PLANTED}")),
        MINIMAL.replace("\"the-secret-of-your-api-client\"", PLANTED),
        MINIMAL.replace("\"the-secret-of-your-api-client\"", &format!("{{ fil = {secret} }}")),
        MINIMAL.replace("\"the-secret-of-your-api-client\"", &format!("{secret} {secret}")),
        MINIMAL.replace("\"the-secret-of-your-api-client\"", &format!("'''{PLANTED}")),
    ];
    for text in wrong {
        let told = faults(&text, &[]);
        assert!(!told.contains("pl4nted") && !told.contains("s3cret"), "{told}");
    }
}

#[test]
fn a_planted_secret_is_in_no_print() {
    const PLANTED: &str = "pl4nted-s3cret";
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let text = MINIMAL.replace("the-secret-of-your-api-client", PLANTED).replace(
        "//siem.example.com/hooks",
        &format!("//u:{PLANTED}@siem.example.com/hooks?k={PLANTED}"),
    );
    let text = text.replace("hooks?k=pl4nted-s3cret/greenlake", "hooks/greenlake?k=pl4nted-s3cret")
        + &format!("proxy = \"http://u:{PLANTED}@proxy/\"\n")
        + &format!("headers = {{ \"X-Key\" = \"{PLANTED}\" }}\n")
        + &format!("auth = {{ basic = {{ username = \"u\", password = \"{PLANTED}\" }} }}\n")
        + &format!("signing = {{ greenlake = \"{PLANTED}\", standard = [\"{KEY}\"] }}\n");
    let push = format!(
        "[source.push]\npath = \"/\"\nsecret = \"{PLANTED}\"\napi_key = \"{PLANTED}\"\n\
         secondary_secret = \"{PLANTED}-2\"\n[receiver]\n"
    );
    let text = text.replace("\n[[target]]", &format!("{push}\n[[target]]"));
    let (config, warnings) = parse(&text, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.targets[0].url.query(), Some("k=pl4nted-s3cret"));
    let printed = effective(&config);
    for text in [&printed, &format!("{config:?}"), &format!("{warnings:?}")] {
        assert!(!text.contains(&KEY[6..]) && !text.contains(PLANTED), "{text}");
    }
    assert_eq!(printed.matches("********").count(), 8, "{printed}");
}

#[test]
fn warnings_tell_what_is_unwise() {
    let text = with(
        "token_url = \"http://10.0.0.1/token\"\n[source.poll]\noverlap = \"10s\"\ntimeout = \"1m\"\njitter = \"45s\"\nstart = \"365d\"\n",
        "format = \"binary\"\nsigning = { greenlake = \"x\" }\n[storage]\nkeep = \"30d\"\n",
    );
    let (_, warnings) = parse(&text, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    let told: Vec<String> = warnings
        .iter()
        .filter(|warning| !warning.what.contains("the manual's"))
        .map(|warning| warning.key.clone())
        .collect();
    assert_eq!(
        told,
        [
            "source \"production\".token_url",
            "source \"production\".poll.overlap",
            "source \"production\".poll.timeout",
            "source \"production\".poll.jitter",
            "source \"production\".poll.start",
            "target \"siem\".signing",
            "storage.keep",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |name: &str, bytes: Option<&[u8]>| {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).expect("written");
        }
        let told =
            Config::load(&path, &Environment::default()).expect_err("unreadable").to_string();
        told.replace(&folder.path().display().to_string(), "DIR")
    };
    assert_eq!(
        told("missing.toml", None),
        "DIR/missing.toml: cannot read the configuration: No such file or directory (os error 2); write it, or name another one: --config FILE"
    );
    assert_eq!(
        told("latin.toml", Some(b"# caf\xe9")),
        "DIR/latin.toml: cannot read the configuration: stream did not contain valid UTF-8; name a readable TOML file: --config FILE"
    );
    assert!(told("", None).contains("Is a directory"));
}

proptest! {
    #[test]
    fn no_text_and_no_variable_breaks_the_reader(
        at in 0..MANUAL.len(),
        cut in 0..40_usize,
        put in "[\\PC\n\"'={}\\[\\]#.]{0,12}",
        name in "(TAILWATER__)?(SOURCE|TARGET|LOG|[A-Z0-9_]{0,6})(__(0|1|PRODUCTION|[A-Z_]{0,6})){0,3}",
    ) {
        let start = (0..=at).rev().find(|&at| MANUAL.is_char_boundary(at)).unwrap_or(0);
        let end = (at + cut..=MANUAL.len()).find(|&at| MANUAL.is_char_boundary(at));
        let text = format!("{}{put}{}", &MANUAL[..start], &MANUAL[end.unwrap_or(MANUAL.len())..]);

        // Either way is right; what is wrong has to be told.
        if let Err(faults) = parse(&text, &[(&name, &put)]) {
            prop_assert!(!faults.0.is_empty());
        }
    }
}
