//! The token that shows the hub who asks.

use crate::error::HubError;
use std::fmt;

/// A hub's access token and where it was found. It is shown to the hub and to nobody else.
#[derive(Clone)]
pub struct AccessToken {
    secret: String,
    /// The variable or file it came from.
    origin: String,
}

impl AccessToken {
    /// `text` without blanks around it; nothing when that leaves nothing.
    ///
    /// # Errors
    /// When it holds what no header can: [`HubError::Environment`], which does not repeat it.
    pub fn new(text: &str, variable: &'static str, origin: impl Into<String>) -> Result<Option<Self>, HubError> {
        let secret = text.trim();
        if secret.is_empty() {
            return Ok(None);
        }
        let origin = origin.into();
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = format!("the token in {origin} holds characters that no token has; expected hf_…");
            return Err(HubError::Environment { variable, problem });
        }
        Ok(Some(Self { secret: secret.to_owned(), origin }))
    }

    /// The token itself.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The variable or file it came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AccessToken").field("origin", &self.origin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = AccessToken::new(" hf_secret\n", "HF_TOKEN", "HF_TOKEN").unwrap().unwrap();
        assert_eq!(token.secret(), "hf_secret");
        assert_eq!(format!("{token:?}"), "AccessToken { origin: \"HF_TOKEN\", .. }");
        assert!(AccessToken::new(" \n", "HF_TOKEN", "HF_TOKEN").unwrap().is_none());
        let message = AccessToken::new("hf_a\r\nX: y", "HF_TOKEN", "HF_TOKEN").unwrap_err().to_string();
        assert!(message.starts_with("HF_TOKEN: ") && !message.contains("hf_a"), "{message}");
    }
}
