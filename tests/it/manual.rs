//! Completions and manual pages are made from the command line itself.

use crate::support::{Home, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn every_shell_has_completions_and_every_command_a_page() {
    let home = Home::new(&Setup::of("http://127.0.0.1:1", "secret"));
    for shell in ["bash", "zsh", "fish"] {
        let done = home.command(&["completions", shell]).await;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(done.stdout.contains("deliveries"), "{shell}");
    }
    assert_eq!(home.command(&["completions", "csh"]).await.code, Some(2));

    let page = home.command(&["man"]).await;
    assert!(page.code == Some(0) && page.stdout.contains(".TH tailwater 1"), "{page:?}");
    let done = home.command(&["man", "--to", "man1"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    for name in ["tailwater.1", "tailwater-compare.1", "tailwater-targets-pause.1"] {
        assert!(home.path().join("man1").join(name).exists(), "{name}");
    }
    home.write("file", "in the way");
    let done = home.command(&["man", "--to", "file/man1"]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("cannot write manual pages to file/man1"), "{done:?}");
}
