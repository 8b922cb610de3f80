//! [`SettingsStore`] in SQLite.

use super::rows::column;
use super::{SqliteStore, unavailable};
use crate::store::credentials;
use crate::{Error, Result, SettingsStore};
use async_trait::async_trait;
use sqlx::{SqliteConnection, SqlitePool};

const SERVER_SECRET: &str = "server_secret";
const DATABASE_ID: &str = "database_id";

#[async_trait]
impl SettingsStore for SqliteStore {
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

impl SqliteStore {
    /// Stores `fresh` under `name` unless there is a value; returns the stored one.
    async fn keep_first(&self, name: &'static str, fresh: String) -> Result<String> {
        self.writer.write(move |connection, _| Box::pin(keep_first(connection, name, fresh))).await
    }
}

async fn keep_first(connection: &mut SqliteConnection, name: &'static str, fresh: String) -> Result<String> {
    sqlx::query("INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(fresh)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    let row = sqlx::query("SELECT value FROM settings WHERE name = ?1")
        .bind(name)
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    column(&row, "value")
}

/// Stores a value that may change.
pub(super) async fn write(connection: &mut SqliteConnection, name: &str, value: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// The value that [`write`] stored.
pub(super) async fn read(readers: &SqlitePool, name: &str) -> Result<Option<String>> {
    let query = sqlx::query("SELECT value FROM settings WHERE name = ?1").bind(name);
    let row = query.fetch_optional(readers).await.map_err(unavailable)?;
    row.map(|row| column(&row, "value")).transpose()
}
