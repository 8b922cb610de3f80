//! Tokens that stand for a key for a while and for one purpose only: they hold the key's public part and are signed.

use super::error::Shape;
use crate::auth::Gate;
use crate::dialects::DialectParts;
use crate::error_shape::ErrorShape;
use crate::files::{Purpose, Signer};
use afterimage_jobs::KeyId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// What it takes to let requests with a key or a token pass.
#[derive(Clone)]
pub struct TokenGate {
    /// For keys.
    pub gate: Gate,
    /// For tokens.
    pub signer: Signer,
}

impl TokenGate {
    /// The gate of this dialect.
    pub fn new(parts: &DialectParts) -> Self {
        let gate = Gate { auth: parts.auth.clone(), render: Shape::respond };
        Self { gate, signer: parts.results.links.signer().clone() }
    }
}

/// What a text that may be a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenState<T> {
    /// A token that says this.
    Of(T),
    /// A token that has ended.
    Expired,
    /// Not a token of this kind that this installation made.
    NoToken,
}

/// What a token that calls models says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Whose requests they are.
    pub key: String,
    /// What may be called; see [`Caller::may_call`].
    pub apps: Vec<String>,
}

impl Caller {
    /// Whether it may call `model`, such as `fal-ai/flux-1/dev/redux`. Clients name an app by its second part, by its
    /// first two, or by all of it with or without a form at the end.
    pub fn may_call(&self, model: &str) -> bool {
        let parts: Vec<&str> = model.split('/').collect();
        self.apps.iter().any(|app| {
            let app: Vec<&str> = app.trim_matches('/').trim_end_matches("/stream").split('/').collect();
            parts.get(1) == app.first() && app.len() == 1 || app.len() > 1 && parts.starts_with(&app)
        })
    }
}

/// A token that sends files in the name of `key` until `expires` (seconds since 1970).
pub fn make_token(signer: &Signer, key: &KeyId, expires: i64) -> String {
    make(signer, Purpose::Send, key.as_str(), expires)
}

/// Reads `text` at `now` (seconds since 1970) as a token of [`make_token`].
pub fn read_token(signer: &Signer, text: &str, now: i64) -> TokenState<KeyId> {
    match read(signer, Purpose::Send, text, now) {
        TokenState::Of(key) => TokenState::Of(KeyId::from(key.as_str())),
        TokenState::Expired => TokenState::Expired,
        TokenState::NoToken => TokenState::NoToken,
    }
}

/// A token that calls models as `caller` until `expires` (seconds since 1970).
pub fn make_call_token(signer: &Signer, caller: &Caller, expires: i64) -> String {
    make(signer, Purpose::Call, &serde_json::json!(caller).to_string(), expires)
}

/// Reads `text` at `now` (seconds since 1970) as a token of [`make_call_token`].
pub fn read_call_token(signer: &Signer, text: &str, now: i64) -> TokenState<Caller> {
    match read(signer, Purpose::Call, text, now) {
        TokenState::Of(caller) => serde_json::from_str(&caller).map_or(TokenState::NoToken, TokenState::Of),
        TokenState::Expired => TokenState::Expired,
        TokenState::NoToken => TokenState::NoToken,
    }
}

/// Tells the holder of a token what to do.
pub const EXPIRED: &str = "the token has expired; ask for another one";

/// Where every token begins. A key never begins so, and the word also tells people what they are looking at.
const fn prefix(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Send => "send",
        Purpose::Call => "call",
        Purpose::Result | Purpose::Upload | Purpose::Put | Purpose::Parts | Purpose::Ask => "none",
    }
}

fn make(signer: &Signer, purpose: Purpose, subject: &str, expires: i64) -> String {
    let signature = signer.sign(purpose, subject, expires);
    format!("{}.{}.{expires}.{signature}", prefix(purpose), URL_SAFE_NO_PAD.encode(subject))
}

fn read(signer: &Signer, purpose: Purpose, text: &str, now: i64) -> TokenState<String> {
    let parts: Vec<&str> = text.split('.').collect();
    let [word, subject, expires, signature] = parts[..] else { return TokenState::NoToken };
    let subject = URL_SAFE_NO_PAD.decode(subject).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (Some(subject), Ok(expires), true) = (subject, expires.parse::<i64>(), word == prefix(purpose)) else {
        return TokenState::NoToken;
    };
    // Whether it is ours comes first, so that a made-up token is never called an expired one.
    if !signer.check(purpose, &subject, expires, signature, i64::MIN) {
        return TokenState::NoToken;
    }
    if now < expires { TokenState::Of(subject) } else { TokenState::Expired }
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

    #[test]
    fn a_token_is_for_one_purpose() {
        let signer = Signer::new([1; 32]);
        let caller = Caller { key: "k".to_owned(), apps: vec!["flux-1".to_owned()] };
        let call = make_call_token(&signer, &caller, 100);
        assert_eq!(read_call_token(&signer, &call, 99), TokenState::Of(caller));
        assert_eq!(read_call_token(&signer, &call, 100), TokenState::Expired);
        assert_eq!(read_token(&signer, &call, 99), TokenState::NoToken);
        assert_eq!(read_token(&signer, &call.replace("call.", "send."), 99), TokenState::NoToken);
        let send = make_token(&signer, &KeyId::from("k"), 100);
        assert_eq!(read_call_token(&signer, &send, 99), TokenState::NoToken);
        assert_eq!(read_call_token(&signer, &send.replace("send.", "call."), 99), TokenState::NoToken);
    }

    #[test]
    fn apps_are_named_in_several_ways() {
        let may = |app: &str, model: &str| Caller { key: String::new(), apps: vec![app.to_owned()] }.may_call(model);
        for app in
            ["flux-1", "fal-ai/flux-1", "fal-ai/flux-1/dev/redux", "fal-ai/flux-1/dev/redux/stream", "/fal-ai/flux-1/"]
        {
            assert!(may(app, "fal-ai/flux-1/dev/redux"), "{app}");
            assert!(!may(app, "fal-ai/flux-pro/v1.1/redux"), "{app}");
        }
        for app in ["", "/", "fal-ai", "flux", "fal-ai/flux", "dev", "redux", "fal-ai/flux-1/dev/redux/other", "*"] {
            assert!(!may(app, "fal-ai/flux-1/dev/redux"), "{app}");
        }
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_token(text in r"((send|call)\.)?[a-zA-Z0-9_.-]{0,60}") {
            prop_assert_eq!(read_token(&Signer::new([1; 32]), &text, 0), TokenState::NoToken);
            prop_assert_eq!(read_call_token(&Signer::new([1; 32]), &text, 0), TokenState::NoToken);
        }
    }
}
