//! Signed, expiring addresses for files: whoever holds one may read that one file, and none can be guessed or listed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Makes and checks the signatures of file addresses.
#[derive(Clone)]
pub struct Signer {
    secret: [u8; 32],
}

/// What an address allows. The purpose is part of what is signed, so a reading address cannot be used to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Read a result of a job.
    Result,
    /// Read an upload.
    Upload,
    /// Write the bytes of an upload, once.
    Put,
    /// Write parts of an upload, and complete it.
    Parts,
    /// Send new files in the name of a key.
    Send,
    /// Call models in the name of a key.
    Call,
    /// Ask a process how far its jobs are.
    Ask,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Upload => "upload",
            Self::Put => "put",
            Self::Parts => "parts",
            Self::Send => "send",
            Self::Call => "call",
            Self::Ask => "ask",
        }
    }
}

impl Signer {
    /// Signs with `secret`, which all servers of one database share.
    pub const fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The signature of `subject` (the identifying part of the path) until `expires` (seconds since 1970).
    pub fn sign(&self, purpose: Purpose, subject: &str, expires: i64) -> String {
        URL_SAFE_NO_PAD.encode(self.tag("file", &[purpose.label(), subject, &expires.to_string()]))
    }

    /// Whether `signature` is that of `subject` and not expired at `now` (seconds since 1970).
    pub fn check(&self, purpose: Purpose, subject: &str, expires: i64, signature: &str, now: i64) -> bool {
        let expected = self.sign(purpose, subject, expires);
        bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) && now < expires
    }

    /// A secret for `name` that the server can always make again, in hexadecimal: webhook signing secrets.
    pub fn derive(&self, name: &str) -> String {
        hex::encode(self.tag("derive", &[name]))
    }

    fn tag(&self, domain: &str, parts: &[&str]) -> [u8; 32] {
        // HMAC fills a short key up to the hash's block with zeros; doing it here leaves no error to handle.
        let mut block = [0; 64];
        block[..self.secret.len()].copy_from_slice(&self.secret);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(domain.as_bytes());
        for part in parts {
            // The length before each part keeps ("ab", "c") and ("a", "bc") apart.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Signer(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_signature_holds_for_its_purpose_subject_and_time_only() {
        let signer = Signer::new([1; 32]);
        let signature = signer.sign(Purpose::Result, "job/0", 100);
        assert!(signer.check(Purpose::Result, "job/0", 100, &signature, 99));
        assert!(!signer.check(Purpose::Result, "job/0", 100, &signature, 100), "expired");
        assert!(!signer.check(Purpose::Result, "job/0", 200, &signature, 99), "prolonged");
        assert!(!signer.check(Purpose::Result, "job/1", 100, &signature, 99), "another file");
        assert!(!signer.check(Purpose::Put, "job/0", 100, &signature, 99), "another purpose");
        assert!(!Signer::new([2; 32]).check(Purpose::Result, "job/0", 100, &signature, 99), "another server");
    }

    #[test]
    fn derived_secrets_differ_by_name() {
        let signer = Signer::new([1; 32]);
        assert_eq!(signer.derive("a"), signer.derive("a"));
        assert_ne!(signer.derive("a"), signer.derive("b"));
        assert_eq!(signer.derive("a").len(), 64);
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_signature(text: String) {
            let signer = Signer::new([1; 32]);
            prop_assert!(!signer.check(Purpose::Upload, "x", 100, &text, 0));
        }
    }
}
