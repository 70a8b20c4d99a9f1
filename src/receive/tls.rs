//! HTTPS by files, which are read again when they change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use x509_parser::parse_x509_certificate;

use crate::config::TlsFiles;
use crate::model::timestamp::Timestamp;

/// Pause between two looks at the files. Certificates are renewed weeks ahead.
const LOOK: Duration = Duration::from_secs(5);

/// Why the files cannot be used. Says nothing of the key.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct TlsError {
    /// The file that is to blame.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// The certificate in use.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    /// What both files held when they were last looked at.
    seen: [Vec<u8>; 2],
    pub(super) config: RustlsConfig,
}

impl Certificate {
    /// Reads the files.
    pub(super) async fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = read(&files).await?;
        let config = RustlsConfig::from_config(parse(&files, &seen)?);
        Ok(Self { files, seen, config })
    }

    /// Takes up changed files until `stop`. What cannot be used leaves the old ones in use,
    /// and is told once.
    pub(super) async fn follow(mut self, stop: CancellationToken) {
        let mut complaint = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let problem = self.look().await.err().map(|error| error.to_string());
            if problem != complaint {
                if let Some(problem) = &problem {
                    tracing::error!("the certificate in use stays: {problem}");
                }
                complaint = problem;
            }
        }
    }

    async fn look(&mut self) -> Result<(), TlsError> {
        let found = read(&self.files).await?;
        if found == self.seen {
            return Ok(());
        }
        self.config.reload_from_config(parse(&self.files, &found)?);
        self.seen = found;
        tracing::info!(file = %self.files.cert.display(), "the new certificate is in use");
        Ok(())
    }
}

async fn read(files: &TlsFiles) -> Result<[Vec<u8>; 2], TlsError> {
    let read = async |path: &PathBuf| {
        let fail = |error: std::io::Error| TlsError { path: path.clone(), why: error.to_string() };
        tokio::fs::read(path).await.map_err(fail)
    };
    Ok([read(&files.cert).await?, read(&files.key).await?])
}

/// When the certificate in `files` ends, if the receiver could use them now.
///
/// # Errors
/// What is wrong with them; says nothing of the key.
pub fn certificate_end(files: &TlsFiles) -> Result<Timestamp, TlsError> {
    let read = |path: &PathBuf| {
        let fail = |error: std::io::Error| TlsError { path: path.clone(), why: error.to_string() };
        std::fs::read(path).map_err(fail)
    };
    let seen = [read(&files.cert)?, read(&files.key)?];
    parse(files, &seen)?;
    let fail = |why: String| TlsError { path: files.cert.clone(), why };
    let first =
        CertificateDer::from_pem_slice(&seen[0]).map_err(|error| fail(error.to_string()))?;
    let (_, first) = parse_x509_certificate(&first).map_err(|error| fail(error.to_string()))?;
    Ok(Timestamp::from_secs(first.validity().not_after.timestamp()))
}

/// HTTP/1.1 over TLS 1.2 or 1.3, by aws-lc-rs.
fn parse(files: &TlsFiles, [cert, key]: &[Vec<u8>; 2]) -> Result<Arc<ServerConfig>, TlsError> {
    let fail = |path: &PathBuf, why: String| TlsError { path: path.clone(), why };
    let chain = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| fail(&files.cert, format!("is no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(fail(&files.cert, "holds no certificate in PEM".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| fail(&files.key, "holds no private key in PEM".to_owned()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(&files.cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| fail(&files.cert, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
