//! Identifiers, each a type of its own so that one is never taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! text_id {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A job: a random UUID, hyphenated. Knowing one is no permission; readers compare the job's key.
    JobId
}
text_id! {
    /// An API key's public part.
    KeyId
}
text_id! {
    /// One start of one process. Never a host name: a restarted process under an old name would be taken for its
    /// predecessor.
    ProcessId
}
text_id! {
    /// One slot of one start of a process. Never a name that is used again: a restarted worker would keep the jobs of its
    /// predecessor alive.
    WorkerId
}
text_id! {
    /// An uploaded file: a random UUID, hyphenated.
    UploadId
}

impl JobId {
    /// A new random id (122 random bits).
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// The id that `text` spells, or `None` when it is not a hyphenated UUID. Anything else that a client sends can
    /// be answered with "unknown" without asking the store.
    pub fn parse(text: &str) -> Option<Self> {
        parse_uuid(text).map(Self)
    }
}

impl UploadId {
    /// A new random id (122 random bits).
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// The id that `text` spells, or `None` when it is not a hyphenated UUID.
    pub fn parse(text: &str) -> Option<Self> {
        parse_uuid(text).map(Self)
    }
}

impl ProcessId {
    /// A new random id, to be drawn once per process start.
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }
}

impl WorkerId {
    /// A new random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// The worker in slot `slot` of `process`: before the point stands whose it is.
    pub fn of_slot(process: &ProcessId, slot: usize) -> Self {
        Self(format!("{process}.{slot}"))
    }
}

/// Upper case and unhyphenated spellings are refused: one id has one spelling, so paths and signatures agree.
fn parse_uuid(text: &str) -> Option<String> {
    let uuid = Uuid::try_parse(text).ok()?.to_string();
    (uuid == text).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_per_id() {
        let id = JobId::random();
        assert_eq!(JobId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(JobId::parse(&id.as_str().to_uppercase()), None);
        assert_eq!(JobId::parse(&id.as_str().replace('-', "")), None);
        assert_eq!(JobId::parse("../../etc/passwd"), None);
        assert_eq!(UploadId::parse(""), None);
    }

    #[test]
    fn ids_serialise_as_plain_text() {
        assert_eq!(serde_json::to_string(&KeyId::from("abc")).unwrap(), "\"abc\"");
    }
}
