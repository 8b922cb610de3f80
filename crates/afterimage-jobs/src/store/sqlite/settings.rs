//! [`SettingsStore`] in SQLite.

use super::rows::column;
use super::{SqliteStore, unavailable};
use crate::store::credentials;
use crate::{Error, Result, SettingsStore};
use async_trait::async_trait;
use sqlx::SqliteConnection;

const SERVER_SECRET: &str = "server_secret";

#[async_trait]
impl SettingsStore for SqliteStore {
    async fn server_secret(&self) -> Result<[u8; 32]> {
        let fresh = hex::encode(credentials::random::<32>()?);
        let kept = self.writer.write(move |connection, _| Box::pin(keep_first(connection, fresh))).await?;
        let mut secret = [0; 32];
        hex::decode_to_slice(kept, &mut secret).map_err(|error| Error::unavailable("database", error))?;
        Ok(secret)
    }
}

/// Stores `fresh` unless there is a value; returns the stored one.
async fn keep_first(connection: &mut SqliteConnection, fresh: String) -> Result<String> {
    sqlx::query("INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING")
        .bind(SERVER_SECRET)
        .bind(fresh)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    let row = sqlx::query("SELECT value FROM settings WHERE name = ?1")
        .bind(SERVER_SECRET)
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    column(&row, "value")
}
