//! Small libraries that stand between the program and the C library. They are written in C,
//! and built with the compiler that building Tailwater needs anyway.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `nth_call.c`: see [`super::nth_call`].
pub(crate) fn nth_call() -> &'static str {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    path(LIBRARY.get_or_init(|| build("nth_call")))
}

/// `shifted_clocks.c`: see [`super::shifted_clocks`].
pub(crate) fn shifted_clocks() -> &'static str {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    path(LIBRARY.get_or_init(|| build("shifted_clocks")))
}

fn build(name: &str) -> PathBuf {
    let source = format!("{}/tests/it/support/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let file = format!("{name}-{}.so", std::process::id());
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o", path(&library), &source, "-ldl"])
        .output()
        .expect("a C compiler, called cc");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

fn path(path: &Path) -> &str {
    path.to_str().expect("our names are plain")
}
