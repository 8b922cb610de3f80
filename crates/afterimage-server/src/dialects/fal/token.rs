//! Tokens that stand for a key while they last, and only for sending files.

use crate::files::{Purpose, Signer};
use afterimage_jobs::KeyId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What every token starts with.
const TOKEN_PREFIX: &str = "send";

/// What a text says about who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// A token of this key.
    Of(KeyId),
    /// A token that has ended.
    Expired,
    /// Not a token that this installation made.
    NoToken,
}

/// A token that sends files in the name of `key` until `expires` (seconds since 1970).
pub fn make_token(signer: &Signer, key: &KeyId, expires: i64) -> String {
    let signature = signer.sign(Purpose::Send, key.as_str(), expires);
    format!("{TOKEN_PREFIX}.{}.{expires}.{signature}", URL_SAFE_NO_PAD.encode(key.as_str()))
}

/// Reads `text` at `now` (seconds since 1970).
pub fn read_token(signer: &Signer, text: &str, now: i64) -> TokenState {
    let parts: Vec<&str> = text.split('.').collect();
    let [TOKEN_PREFIX, key, expires, signature] = parts[..] else { return TokenState::NoToken };
    let key = URL_SAFE_NO_PAD.decode(key).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (Some(key), Ok(expires)) = (key, expires.parse::<i64>()) else { return TokenState::NoToken };
    // Whether it is ours comes first, so that a made-up token is never called an expired one.
    if !signer.check(Purpose::Send, &key, expires, signature, i64::MIN) {
        return TokenState::NoToken;
    }
    if now < expires { TokenState::Of(KeyId::from(key.as_str())) } else { TokenState::Expired }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_its_keys_until_it_ends() {
        let (signer, key) = (Signer::new([1; 32]), KeyId::from("some.key/ü"));
        let token = make_token(&signer, &key, 100);
        assert_eq!(read_token(&signer, &token, 99), TokenState::Of(key.clone()));
        assert_eq!(read_token(&signer, &token, 100), TokenState::Expired);
        assert_eq!(read_token(&Signer::new([2; 32]), &token, 99), TokenState::NoToken, "another server's");
        for changed in [
            token.replace(".100.", ".200."),
            token.replace(&URL_SAFE_NO_PAD.encode(key.as_str()), &URL_SAFE_NO_PAD.encode("other")),
            token.replace("send.", "read."),
            format!("{token}x"),
            format!("{token}.x"),
        ] {
            assert_eq!(read_token(&signer, &changed, 99), TokenState::NoToken, "{changed}");
            assert_eq!(read_token(&signer, &changed, 1000), TokenState::NoToken, "{changed}");
        }
        // The signature of a file's address is none of a token.
        let put = signer.sign(Purpose::Put, key.as_str(), 100);
        let forged = format!("send.{}.100.{put}", URL_SAFE_NO_PAD.encode(key.as_str()));
        assert_eq!(read_token(&signer, &forged, 99), TokenState::NoToken);
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_token(text in r"(send\.)?[a-zA-Z0-9_.-]{0,60}") {
            prop_assert_eq!(read_token(&Signer::new([1; 32]), &text, 0), TokenState::NoToken);
        }
    }
}
