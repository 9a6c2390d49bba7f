//! `offhook keygen`: makes the keys that sign and prove login tokens.

use crate::arguments::KeyAlgorithm;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Why no keys were made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeygenError {
    /// The system gave no randomness, or the algorithm is not there.
    #[error("cannot make a key: {0}")]
    Generate(#[from] rcgen::Error),
    /// A file cannot be written; existing ones are never overwritten.
    #[error("cannot write {path}: {source}; keys that exist are not overwritten", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody reads what we say.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// Writes `token-private.pem` (readable by its owner alone) and `token-public.pem` into `folder`.
pub(crate) fn run(algorithm: KeyAlgorithm, folder: &Path) -> Result<(), KeygenError> {
    let (name, kind) = match algorithm {
        KeyAlgorithm::EdDsa => ("EdDSA", &rcgen::PKCS_ED25519),
        KeyAlgorithm::Es256 => ("ES256", &rcgen::PKCS_ECDSA_P256_SHA256),
    };
    let pair = rcgen::KeyPair::generate_for(kind)?;
    let (private, public) = (folder.join("token-private.pem"), folder.join("token-public.pem"));
    write(&private, 0o600, &pair.serialize_pem())?;
    write(&public, 0o644, &pair.public_key_pem())?;
    writeln!(
        io::stdout(),
        "[auth]\njwt = [{{ alg = \"{name}\", public_key_file = \"{}\" }}]\n# offhook token … --key {}",
        public.display(),
        private.display()
    )
    .map_err(KeygenError::Output)
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), KeygenError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| KeygenError::Write {
            path: path.to_owned(),
            source,
        })
}
