//! [`SettingsStore`] in PostgreSQL.

use super::PostgresStore;
use super::session::Session;
use crate::store::credentials;
use crate::store::sql::rows::column;
use crate::{Error, Result, SettingsStore};
use async_trait::async_trait;

const SERVER_SECRET: &str = "server_secret";
const DATABASE_ID: &str = "database_id";
/// The bucket and prefix that servers last kept files in.
const STORAGE: &str = "storage";

#[async_trait]
impl SettingsStore for PostgresStore {
    async fn server_secret(&self) -> Result<[u8; 32]> {
        let kept = self.keep_first(SERVER_SECRET, hex::encode(credentials::random::<32>()?)).await?;
        let mut secret = [0; 32];
        hex::decode_to_slice(kept, &mut secret).map_err(|error| Error::unavailable("database", error))?;
        Ok(secret)
    }

    async fn database_id(&self) -> Result<String> {
        self.keep_first(DATABASE_ID, uuid::Uuid::new_v4().to_string()).await
    }
}

impl PostgresStore {
    /// Where the files of this database are, as the server that started last said; `None` where they never were in a bucket.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn storage_place(&self) -> Result<Option<String>> {
        self.database.read(|session| Box::pin(read(session, STORAGE))).await
    }

    /// Notes where they are from now on.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn note_storage_place(&self, place: &str) -> Result<()> {
        let place = place.to_owned();
        self.database
            .write(move |session| {
                let place = place.clone();
                Box::pin(async move { write(session, STORAGE, &place).await })
            })
            .await
    }

    /// Stores `fresh` under `name` unless there is a value; returns the stored one.
    pub(super) async fn keep_first(&self, name: &'static str, fresh: String) -> Result<String> {
        if let Some(kept) = self.database.read(|session| Box::pin(read(session, name))).await? {
            return Ok(kept);
        }
        self.database
            .write(move |session| {
                let fresh = fresh.clone();
                Box::pin(async move {
                    let insert = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
                    session.execute(sqlx::query(insert).bind(name).bind(fresh)).await?;
                    read(session, name).await?.ok_or_else(|| Error::unavailable("database", "a setting is gone"))
                })
            })
            .await
    }
}

/// Stores a value that may change.
pub(super) async fn write(session: &mut Session, name: &str, value: &str) -> Result<()> {
    let query =
        "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    session.execute(sqlx::query(query).bind(name).bind(value)).await?;
    Ok(())
}

/// The value that [`write`] stored.
pub(super) async fn read(session: &mut Session, name: &str) -> Result<Option<String>> {
    let row = session.optional(sqlx::query("SELECT value FROM settings WHERE name = $1").bind(name)).await?;
    row.map(|row| column(&row, "value")).transpose()
}
