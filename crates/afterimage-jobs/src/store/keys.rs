//! API keys: shown once, stored as a digest.

use crate::{KeyId, Result, Timestamp};
use async_trait::async_trait;
use std::fmt;
use std::str::FromStr;

/// What a key may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyRole {
    /// What is its own.
    #[default]
    User,
    /// Also how the server is, and what all keys make of it.
    Operator,
}

impl KeyRole {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::User, Self::Operator];

    /// How it is called in the database, in answers and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
        }
    }
}

impl FromStr for KeyRole {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let named = Self::ALL.into_iter().find(|role| role.name() == text);
        named.ok_or_else(|| "is no role; the roles are `user` and `operator`".to_owned())
    }
}

/// A key to create.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// For people; may be empty.
    pub name: String,
    /// Jobs of this key that may run at once; `None`: as many as there are workers.
    pub concurrency: Option<u32>,
    /// What it may see.
    pub role: KeyRole,
    /// A text to use instead of a random one, at least [`Secret::MIN_BYTES`] long.
    pub secret: Option<Secret>,
}

/// A key as stored: everything but its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Public part.
    pub id: KeyId,
    /// For people.
    pub name: String,
    /// Jobs of this key that may run at once.
    pub concurrency: Option<u32>,
    /// What it may see.
    pub role: KeyRole,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was withdrawn; from then on no request may use it.
    pub revoked_at: Option<Timestamp>,
}

/// A key's text. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Shortest text that is accepted for a key that somebody chose.
    pub const MIN_BYTES: usize = 8;

    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text: to be shown once, never to be logged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// The table of API keys.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Makes a key. With a given text that is already a key's, that key is returned unchanged.
    ///
    /// # Errors
    /// [`crate::Error::UnusableKey`] for a text that is too short or was revoked.
    async fn create_key(&self, key: NewKey) -> Result<(ApiKey, Secret)>;

    /// Makes a key if there is none at all, revoked ones included, however many ask for it at once; its text.
    ///
    /// # Errors
    /// As [`KeyStore::create_key`].
    async fn create_first_key(&self, key: NewKey) -> Result<Option<Secret>>;

    /// The key with this text, unless it is revoked. The comparison takes the same time for any text.
    async fn find_key(&self, secret: &str) -> Result<Option<ApiKey>>;

    /// The key with this public part, unless it is revoked.
    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>>;

    /// All keys, oldest first, also revoked ones.
    async fn keys(&self) -> Result<Vec<ApiKey>>;

    /// Withdraws a key; false when there is none or it was withdrawn before. Its jobs go on, see
    /// [`crate::JobStore::cancel_all`].
    async fn revoke_key(&self, id: &KeyId) -> Result<bool>;

    /// Gives a key another role; false when there is none, or it was withdrawn.
    async fn set_key_role(&self, id: &KeyId, role: KeyRole) -> Result<bool>;
}
