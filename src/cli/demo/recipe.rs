//! The configuration that the demo's bridge runs with, as a user would write it.

use std::path::Path;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::secret::MASK;
use crate::config::{Config, Environment, Secret};
use crate::simulator::Settings;

/// The path of the webhook's destination.
pub(super) const PATH: &str = "/greenlake";

/// What differs from one demo to the next.
pub(super) struct Recipe<'a> {
    /// The ledger's file.
    pub(super) ledger: &'a Path,
    /// Where the cloud is.
    pub(super) base_url: String,
    /// The cloud's workspace and API client.
    pub(super) settings: &'a Settings,
    /// Where the targets are: signed, binary, flaky.
    pub(super) urls: [String; 3],
    /// The Standard Webhooks key of the first one.
    pub(super) key: &'a Secret,
    /// The secret of the cloud's webhook.
    pub(super) webhook: &'a Secret,
}

impl Recipe<'_> {
    /// The checked configuration, and its text with the secrets masked.
    pub(super) fn cook(&self) -> anyhow::Result<(Config, String)> {
        let secrets = [&self.settings.client_secret, self.key, self.webhook].map(Secret::expose);
        let text = self.text(secrets)?;
        let parsed = Config::parse("the demo's configuration", &text, &Environment::default());
        let (config, _) = parsed.map_err(|faults| anyhow!("{faults}"))?;
        Ok((config, self.text([MASK; 3])?))
    }

    fn text(&self, [client_secret, key, webhook]: [&str; 3]) -> anyhow::Result<String> {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let ledger = self.ledger.to_str().context("the ledger's path is not UTF-8")?;
        let [signed, binary, flaky] = &self.urls;
        Ok(format!(
            r#"[storage]
path = {ledger}

[receiver]
listen = "127.0.0.1:0"

[[source]]
name = "simulated"
workspace_id = {workspace}
client_id = {client_id}
client_secret = {client_secret}
base_url = {base_url}
[source.poll]
interval = "1s"    # a demo is impatient; "30s" is the default
overlap = "30s"    # late entries are 2 s late here; "15m" is the default
start = "1m"
timeout = "5s"
[source.push]
path = {path}
secret = {webhook}

[[target]]
name = "siem"
url = {signed}
signing = {{ standard = [{key}] }}

[[target]]
name = "archive"
url = {binary}
format = "binary"

[[target]]
name = "flaky"
url = {flaky}
retry = {{ schedule = ["200ms", "500ms", "1s"], give_up = "1h" }}    # short, to be seen
"#,
            ledger = quoted(ledger),
            workspace = quoted(&self.settings.workspace.id),
            client_id = quoted(&self.settings.client_id),
            client_secret = quoted(client_secret),
            base_url = quoted(&self.base_url),
            signed = quoted(signed),
            binary = quoted(binary),
            flaky = quoted(flaky),
            key = quoted(key),
            path = quoted(PATH),
            webhook = quoted(webhook),
        ))
    }
}

/// A new secret for a webhook: HPE takes up to 100 characters.
pub(super) fn new_secret() -> Secret {
    Secret::new(format!("{:032x}", rand::random::<u128>()))
}

/// A new Standard Webhooks key.
pub(super) fn new_key() -> Secret {
    Secret::new(format!("whsec_{}", STANDARD.encode(rand::random::<[u8; 32]>())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;

    #[test]
    fn the_recipe_is_a_configuration_and_shows_no_secret() {
        let settings = Settings::default();
        let (key, webhook) = (new_key(), new_secret());
        let recipe = Recipe {
            ledger: Path::new("/tmp/a \"quoted\" \\folder/demo.db"),
            base_url: "http://127.0.0.1:1".to_owned(),
            settings: &settings,
            urls: [2, 3, 4].map(|port| format!("http://127.0.0.1:{port}/")),
            key: &key,
            webhook: &webhook,
        };

        let (config, shown) = recipe.cook().unwrap();

        assert_eq!(config.storage.path, recipe.ledger);
        let formats: Vec<_> = config.targets.iter().map(|target| target.format).collect();
        assert_eq!(formats, [Format::Structured, Format::Binary, Format::Structured]);
        assert_eq!(config.targets[0].signing.standard.len(), 1);
        for secret in [&key, &webhook, &settings.client_secret] {
            assert!(!shown.contains(secret.expose()), "{shown}");
        }
    }
}
