use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// A certificate and its key, in PEM.
fn made() -> [String; 2] {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    [cert.self_signed(&key).unwrap().pem(), key.serialize_pem()]
}

fn write(folder: &Path, cert: &str, key: &str) -> TlsFiles {
    let files = TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.cert, cert).unwrap();
    std::fs::write(&files.key, key).unwrap();
    files
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_the_files_is_told_by_the_file_and_without_the_key() {
    let folder = folder();
    let [[cert, key], [other_cert, other_key]] = [made(), made()];
    let cut = &cert[..cert.len() / 2];
    for (case, text, secret, name, why) in [
        ("no certificate", key.as_str(), key.as_str(), "cert.pem", "holds no certificate"),
        ("an empty one", "", &key, "cert.pem", "holds no certificate"),
        ("half of one", cut, &key, "cert.pem", ""),
        ("no key", &cert, &cert, "key.pem", "holds no private key"),
        ("an empty key", &cert, "", "key.pem", "holds no private key"),
        ("another's key", &cert, &other_key, "cert.pem", ""),
        ("another's certificate", &other_cert, &key, "cert.pem", ""),
    ] {
        let files = write(folder.path(), text, secret);
        let error = Certificate::load(files).await.err().unwrap_or_else(|| panic!("{case}"));
        assert!(error.path.ends_with(name), "{case}: {error}");
        assert!(error.why.contains(why), "{case}: {error}");
        let base64 = key.lines().nth(1).unwrap();
        assert!(!format!("{error} {error:?}").contains(base64), "{case}");
    }
    let missing = TlsFiles { cert: folder.path().join("none"), key: folder.path().join("none") };
    let error = Certificate::load(missing).await.unwrap_err();
    assert!(error.to_string().contains("none: No such file"), "{error}");
}

#[tokio::test]
async fn a_changed_pair_is_taken_up_and_half_of_a_change_is_not() {
    let folder = folder();
    let [[cert, key], [new_cert, new_key]] = [made(), made()];
    let mut certificate = Certificate::load(write(folder.path(), &cert, &key)).await.unwrap();
    let before = Arc::clone(&certificate.config.get_inner());
    let is_same = |certificate: &Certificate| Arc::ptr_eq(&before, &certificate.config.get_inner());
    certificate.look().await.unwrap();
    assert!(is_same(&certificate), "nothing has changed");
    write(folder.path(), &new_cert, &key);
    assert!(certificate.look().await.is_err());
    assert!(is_same(&certificate), "the old one stays");
    std::fs::remove_file(folder.path().join("key.pem")).unwrap();
    assert!(certificate.look().await.is_err());
    assert!(is_same(&certificate));
    write(folder.path(), &new_cert, &new_key);
    certificate.look().await.unwrap();
    assert!(!is_same(&certificate), "the new one is in use");
    assert!(certificate.look().await.is_ok());
}
