//! A certificate that nobody but the test trusts, as people make one for a server of their own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A self-signed certificate for 127.0.0.1 and its key, as files.
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Makes one.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        write(&folder.path().join("cert.pem"), "CERTIFICATE", made.cert.der());
        write(&folder.path().join("key.pem"), "PRIVATE KEY", &made.signing_key.serialize_der());
        Self { folder }
    }

    /// What clients are to trust.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// Arguments of a server that has it.
    pub fn arguments(&self) -> [String; 4] {
        let file = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        ["--tls-cert".to_owned(), file("cert.pem"), "--tls-key".to_owned(), file("key.pem")]
    }
}

fn write(path: &Path, label: &str, der: &[u8]) {
    let text = STANDARD.encode(der);
    fs::write(path, format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")).unwrap();
}
