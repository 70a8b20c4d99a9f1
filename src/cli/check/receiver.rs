//! What `tailwater check` says of the receiver: where it listens, at which paths and for
//! whom, and until when its certificate holds.
//!
//! Looks at files alone: nothing is listened at, and nobody is asked.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::{Fault, Faults, Loaded, Place, ReceiverConfig, TlsFiles};
use crate::model::timestamp::Timestamp;
use crate::receive::certificate_end;

/// Renewal that has not come by then is late: authorities renew a month ahead.
const SOON: Duration = Duration::from_hours(14 * 24);

/// A receiver that is well.
#[derive(Debug)]
pub(super) struct Receiving {
    config: ReceiverConfig,
    /// Sources and their paths, in the order of the file.
    paths: Vec<(String, String)>,
    /// When the certificate ends; `None` without one.
    until: Option<Timestamp>,
}

/// Looks at the receiver of a configuration at `now`; `None` when there is none. What is
/// unwise is added to the warnings.
///
/// # Errors
/// The certificate or its key cannot be used, or it has ended.
pub(super) fn look(loaded: &mut Loaded, now: Timestamp) -> Result<Option<Receiving>, Faults> {
    let Some(config) = loaded.config.receiver.clone() else { return Ok(None) };
    let place = Place::Whole { file: Arc::from(loaded.path.display().to_string()) };
    let until = match &config.tls {
        Some(files) => Some(end_of(files, now, &place)?),
        None => None,
    };
    if let Some(until) = until
        && until < now.plus(SOON)
    {
        loaded.warnings.push(Fault {
            place,
            key: "receiver.tls.cert".to_owned(),
            what: format!("the certificate ends at {}", until.to_rfc3339_secs()),
            instead: "renew it; a running daemon takes up the new files by itself".to_owned(),
        });
    }
    let webhooks = loaded.config.sources.iter();
    let paths = webhooks
        .filter_map(|source| Some((source.name.clone(), source.push.as_ref()?.path.clone())))
        .collect();
    Ok(Some(Receiving { config, paths, until }))
}

/// When a certificate ends that can be used at `now`.
fn end_of(files: &TlsFiles, now: Timestamp, place: &Place) -> Result<Timestamp, Faults> {
    let fault = |key: &str, what: String, instead: &str| {
        let (key, instead) = (format!("receiver.tls{key}"), instead.to_owned());
        Faults(vec![Fault { place: place.clone(), key, what, instead }])
    };
    let until = certificate_end(files).map_err(|error| {
        let instead = "write the paths of a certificate and its private key, in PEM";
        fault("", error.to_string(), instead)
    })?;
    if until < now {
        let what = format!("the certificate has ended at {}", until.to_rfc3339_secs());
        return Err(fault(".cert", what, "renew it"));
    }
    Ok(until)
}

impl Receiving {
    /// `  receiver  https://0.0.0.0:8443, certificate until 2027-01-31T00:00:00Z`, and a
    /// line for each webhook.
    pub(super) fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        let (scheme, listen) = (self.scheme(), self.config.listen);
        let beside = match (self.until, self.config.behind_proxy) {
            (Some(until), _) => format!(", certificate until {}", until.to_rfc3339_secs()),
            (None, true) => ", behind a proxy that speaks TLS".to_owned(),
            (None, false) => ", from this machine alone".to_owned(),
        };
        writeln!(out, "  receiver  {scheme}://{listen}{beside}")?;
        for (source, path) in &self.paths {
            writeln!(out, "            {path} for {source}")?;
        }
        Ok(())
    }

    /// ```json
    /// {"kind":"receiver","listen":"0.0.0.0:8443","scheme":"https","behind_proxy":false,
    ///  "certificate_until":"2027-01-31T00:00:00Z",
    ///  "webhooks":[{"source":"production","path":"/greenlake/production"}]}
    /// ```
    /// `certificate_until` is null without a certificate.
    pub(super) fn to_json(&self) -> Value {
        let webhook = |(source, path): &(String, String)| json!({"source": source, "path": path});
        json!({
            "kind": "receiver",
            "listen": self.config.listen.to_string(),
            "scheme": self.scheme(),
            "behind_proxy": self.config.behind_proxy,
            "certificate_until": self.until.map(Timestamp::to_rfc3339_secs),
            "webhooks": self.paths.iter().map(webhook).collect::<Vec<_>>(),
        })
    }

    const fn scheme(&self) -> &'static str {
        if self.config.tls.is_some() { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::config::{Config, Environment};

    fn load(receiver: &str) -> Loaded {
        let text = format!(
            "[[source]]\nname = \"production\"\nworkspace_id = \"{}\"\nclient_id = \"c\"\n\
             client_secret = \"s\"\n[source.push]\npath = \"/greenlake/production\"\n\
             secret = \"a-secret-of-some-length\"\n[receiver]\n{receiver}\n",
            "0".repeat(32)
        );
        let environment = Environment::default();
        let (config, warnings) = Config::parse("config.toml", &text, &environment).unwrap();
        Loaded {
            config,
            warnings: warnings.into_iter().take(0).collect(),
            path: "config.toml".into(),
        }
    }

    /// The receiver's lines with a certificate that ends in 2030.
    fn with_certificate(folder: &Path) -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2030, 6, 1);
        let [cert, secret] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
        std::fs::write(&cert, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        format!("listen = \"0.0.0.0:8443\"\ntls = {{ cert = {cert:?}, key = {secret:?} }}")
    }

    fn told(receiving: &Receiving) -> String {
        let mut out = Vec::new();
        receiving.tell(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn day(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")).unwrap()
    }

    #[test]
    fn a_receiver_is_told_with_its_paths_and_how_it_is_reached() {
        let mut plain = load("");
        let receiving = look(&mut plain, day("2026-11-22")).unwrap().unwrap();
        assert_eq!(
            told(&receiving),
            "  receiver  http://127.0.0.1:8480, from this machine alone\n            \
             /greenlake/production for production\n"
        );
        let mut proxied = load("listen = \"[::]:80\"\nbehind_proxy = true");
        let receiving = look(&mut proxied, day("2026-11-22")).unwrap().unwrap();
        assert!(told(&receiving).contains("http://[::]:80, behind a proxy that speaks TLS"));
        assert_eq!(receiving.to_json()["certificate_until"], Value::Null);
        let text = include_str!("../../../config.toml");
        let (config, warnings) =
            Config::parse("config.toml", text, &Environment::default()).unwrap();
        let mut none = Loaded { config, warnings, path: "config.toml".into() };
        assert!(look(&mut none, day("2026-11-22")).unwrap().is_none());
    }

    #[test]
    fn a_certificate_is_told_warned_of_and_refused_by_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let lines = with_certificate(folder.path());
        for (now, is_warned) in [("2030-05-17", false), ("2030-05-19", true)] {
            let mut loaded = load(&lines);
            let receiving = look(&mut loaded, day(now)).unwrap().unwrap();
            assert!(told(&receiving).contains("certificate until 2030-06-01T00:00:00Z"));
            assert_eq!(receiving.to_json()["scheme"], "https");
            assert_eq!(loaded.warnings.len(), usize::from(is_warned), "{now}");
        }
        let Faults(faults) = look(&mut load(&lines), day("2030-06-02")).unwrap_err();
        assert!(faults[0].what.contains("has ended"), "{faults:?}");
        std::fs::write(folder.path().join("cert.pem"), "none").unwrap();
        let Faults(faults) = look(&mut load(&lines), day("2030-01-01")).unwrap_err();
        assert!(faults[0].what.contains("holds no certificate"), "{faults:?}");
    }
}
