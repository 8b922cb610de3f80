//! Ed25519 keys: signing, and showing the public part to receivers (RFC 8032, 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// A key that signs.
#[derive(Debug)]
pub struct SigningKey {
    pair: Ed25519KeyPair,
}

/// A text that is no seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seed of a signing key must be 64 hexadecimal digits")]
pub struct BadSeed;

/// The public part of a key, as a JSON Web Key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WebhookKey)]
pub struct PublicKey {
    /// `OKP`.
    kty: &'static str,
    /// `Ed25519`.
    crv: &'static str,
    /// The key's 32 bytes in base64url without padding.
    x: String,
    /// The key's thumbprint (RFC 7638).
    kid: String,
    /// `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
}

impl SigningKey {
    /// The key of a seed in hexadecimal, as [`crate::files::Signer::derive`] makes it.
    ///
    /// # Errors
    /// [`BadSeed`].
    pub fn from_seed(seed: &str) -> Result<Self, BadSeed> {
        let seed = hex::decode(seed).map_err(|_| BadSeed)?;
        Ok(Self { pair: Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| BadSeed)? })
    }

    /// The signature of `message` in lower-case hexadecimal.
    pub fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.pair.sign(message))
    }

    /// The public part.
    pub fn public(&self) -> PublicKey {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        // The members that RFC 7638 names, in its order and without spaces.
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(members.as_bytes()));
        PublicKey { kty: "OKP", crv: "Ed25519", x, kid, usage: "sig" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests 1 to 3 of RFC 8032, section 7.1: seed, public key, message, signature.
    const VECTORS: [[&str; 4]; 3] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];

    #[test]
    fn signatures_equal_those_of_the_standard() {
        for [seed, public, message, signature] in VECTORS {
            let key = SigningKey::from_seed(seed).unwrap();
            assert_eq!(hex::encode(key.pair.public_key()), public);
            assert_eq!(key.sign(&hex::decode(message).unwrap()), signature);
        }
    }

    #[test]
    fn the_shown_key_equals_that_of_the_standard() {
        // RFC 8037, sections A.2 and A.3: the key of the first seed, and its thumbprint.
        let shown = SigningKey::from_seed(VECTORS[0][0]).unwrap().public();
        assert_eq!(shown.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(shown.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn other_texts_are_no_seeds() {
        let seed = VECTORS[0][0];
        for bad in ["", "00", &seed[1..], &seed[2..], &seed.replace('9', "x"), &format!("{seed}00")] {
            assert_eq!(SigningKey::from_seed(bad).unwrap_err(), BadSeed, "{bad}");
        }
    }
}
