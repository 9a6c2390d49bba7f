//! TLS on the server's side, from PEM files.

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why certificate and key do not make a TLS server.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file cannot be read or is not PEM.
    #[error("cannot read certificates from {path}: {source}; it must be a PEM file, the server's certificate first", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The certificate file has no certificate.
    #[error("{path} holds no certificate; it must be a PEM file with a CERTIFICATE section", path = path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be read or is not PEM.
    #[error("cannot read a private key from {path}: {source}; it must be an unencrypted PEM file (PKCS #8, PKCS #1 or SEC 1)", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// They do not belong together, or are of a kind that we cannot use.
    #[error("certificate {certificate} and key {key} cannot be used: {source}; do they belong together?", certificate = certificate.display(), key = key.display())]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// A server configuration for TLS 1.2 and 1.3 without client certificates. `protocols` are for ALPN, preferred first;
/// none: ALPN is not used.
pub fn server_config(
    certificate: &Path,
    key: &Path,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = read_chain(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Key {
        path: key.to_owned(),
        source,
    })?;
    let pair = |source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Certificate {
        path: path.to_owned(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if chain.is_empty() {
        Err(TlsError::NoCertificate {
            path: path.to_owned(),
        })
    } else {
        Ok(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        _folder: tempfile::TempDir,
        certificate: PathBuf,
        key: PathBuf,
    }

    fn files() -> Files {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Files {
            _folder: folder,
            certificate,
            key,
        }
    }

    #[test]
    fn a_pair_that_fits_serves() {
        let files = files();
        let config = server_config(&files.certificate, &files.key, &[b"http/1.1"]).unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1".to_vec()]);
    }

    #[test]
    fn a_strange_key_is_told_from_a_missing_one() {
        let (files, other) = (files(), files());
        let error = server_config(&files.certificate, &other.key, &[]).unwrap_err();
        assert!(
            matches!(error, TlsError::Pair { .. }) && error.to_string().contains("belong together"),
            "{error}"
        );
        let missing = Path::new("/nonexistent/key.pem");
        let error = server_config(&files.certificate, missing, &[]).unwrap_err();
        assert!(
            matches!(error, TlsError::Key { .. }) && error.to_string().contains("/nonexistent/key.pem"),
            "{error}"
        );
    }

    #[test]
    fn a_key_in_place_of_the_certificate_is_named() {
        let files = files();
        let error = server_config(&files.key, &files.key, &[]).unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
        assert!(error.to_string().contains("key.pem"), "{error}");
    }
}
