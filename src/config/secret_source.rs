//! Where secrets come from: the file itself, another file, the environment, or a
//! credential of systemd. No fault repeats a secret.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::document::Kind;
use crate::config::field::Field;
use crate::config::reader::Section;
use crate::config::secret::Secret;

/// Longer ones are a mistaken path; keys in use are below 1 KiB.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where systemd puts a unit's credentials (`systemd.exec(5)`, "Credentials").
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

const EXAMPLE: &str = "\"…\", { file = \"…\" }, { env = \"…\" } or { credential = \"…\" }";

impl Field<'_> {
    /// A secret, fetched from where the value says.
    pub(super) fn secret(&self) -> Option<Secret> {
        let text = match &self.node.kind {
            Kind::Table(_) => self.fetched()?,
            Kind::Text(text) => text.clone(),
            _ => match &self.node.raw {
                Some(raw) => raw.clone(),
                None => return self.wrong_kind("a secret", EXAMPLE),
            },
        };
        if text.trim().is_empty() {
            return self.fault("the secret is empty", format!("write {EXAMPLE}"));
        }
        Some(Secret::new(text))
    }

    fn fetched(&self) -> Option<String> {
        let mut section = Section::of(self, String::new());
        section.unlisted();
        let found: Vec<_> = ["file", "env", "credential"]
            .into_iter()
            .filter_map(|key| section.find(key).map(|field| (key, field)))
            .collect();
        section.finish();
        let [(key, field)] = found.as_slice() else {
            let what = match found.len() {
                0 => "does not say where the secret is",
                _ => "names more than one place",
            };
            return self.fault(what, format!("write {EXAMPLE}"));
        };
        let name = field.filled("\"…\"")?;
        match *key {
            "file" => field.file(Path::new(name), true),
            "env" => field.variable(name),
            _ => field.credential(name),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        match self.notes.environment.get(name) {
            Some(text) => Some(text.to_owned()),
            None => self.fault(
                format!("there is no environment variable {name:?}"),
                "set it, or name another one",
            ),
        }
    }

    fn credential(&self, name: &str) -> Option<String> {
        if name.contains('/') || name == ".." {
            return self.fault("a credential's name has no / in it", "write the name alone");
        }
        let Some(directory) = self.notes.environment.get(CREDENTIALS_DIRECTORY) else {
            return self.fault(
                format!("${CREDENTIALS_DIRECTORY} is not set, so this was not started by systemd with credentials"),
                format!("add LoadCredential={name}:… to the unit, or write {{ file = \"…\" }}"),
            );
        };
        self.file(&Path::new(directory).join(name), false)
    }

    /// The text of a file without its last line's end.
    fn file(&self, path: &Path, is_ours: bool) -> Option<String> {
        let instead = "name a readable file that holds the secret and nothing else";
        let mut text = String::new();
        let read = File::open(path).and_then(|file| {
            let mode = file.metadata()?.permissions().mode();
            file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
            Ok(mode)
        });
        let mode = match read {
            Ok(mode) => mode,
            Err(error) => {
                return self.fault(format!("cannot read {}: {error}", path.display()), instead);
            }
        };
        if text.len() as u64 > SECRET_BYTES_MAX {
            return self.fault(format!("{} is larger than 64 KiB", path.display()), instead);
        }
        if is_ours && mode & 0o044 != 0 {
            let what = format!("others than its owner may read {}", path.display());
            self.warn(what, format!("run chmod 600 {}", path.display()));
        }
        Some(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}
