//! [`KeyStore`] in SQLite.

use super::rows::{api_key, column, select_keys};
use super::{SqliteStore, unavailable};
use crate::store::credentials;
use crate::{ApiKey, KeyId, KeyRole, KeyStore, NewKey, Result, Secret, Timestamp};
use async_trait::async_trait;
use sqlx::SqliteConnection;

#[async_trait]
impl KeyStore for SqliteStore {
    async fn create_key(&self, key: NewKey) -> Result<(ApiKey, Secret)> {
        let (id, secret) = credentials::draw(&key)?;
        let digest = credentials::digest(secret.expose());
        let created = self
            .writer
            .write(move |connection, now| Box::pin(async move { create(connection, now, key, id, &digest).await }))
            .await?;
        Ok((created, secret))
    }

    async fn create_first_key(&self, key: NewKey) -> Result<Option<Secret>> {
        let (id, secret) = credentials::draw(&key)?;
        let digest = credentials::digest(secret.expose());
        let created = self
            .writer
            .write(move |connection, now| {
                Box::pin(async move { create_first(connection, now, key, id, &digest).await })
            })
            .await?;
        Ok(created.then_some(secret))
    }

    async fn find_key(&self, secret: &str) -> Result<Option<ApiKey>> {
        let digest = credentials::digest(secret);
        // The index compares digests, and nobody can steer a digest; the comparison that decides is constant in time.
        let query = sqlx::query(select_keys!("WHERE secret_sha256 = ?1 AND revoked_at IS NULL")).bind(&digest);
        let Some(row) = query.fetch_optional(&self.readers).await.map_err(unavailable)? else { return Ok(None) };
        if !credentials::same_digest(&column::<String>(&row, "secret_sha256")?, &digest) {
            return Ok(None);
        }
        api_key(&row).map(Some)
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>> {
        let query = sqlx::query(select_keys!("WHERE id = ?1 AND revoked_at IS NULL")).bind(id.as_str());
        query.fetch_optional(&self.readers).await.map_err(unavailable)?.as_ref().map(api_key).transpose()
    }

    async fn keys(&self) -> Result<Vec<ApiKey>> {
        let query = sqlx::query(select_keys!("ORDER BY created_at, id"));
        query.fetch_all(&self.readers).await.map_err(unavailable)?.iter().map(api_key).collect()
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<bool> {
        let id = id.clone();
        self.writer.write(move |connection, now| Box::pin(async move { revoke(connection, now, &id).await })).await
    }

    async fn set_key_role(&self, id: &KeyId, role: KeyRole) -> Result<bool> {
        let id = id.clone();
        self.writer.write(move |connection, _| Box::pin(async move { set_role(connection, &id, role).await })).await
    }
}

/// Whether there was none.
async fn create_first(
    connection: &mut SqliteConnection,
    now: Timestamp,
    key: NewKey,
    id: KeyId,
    digest: &str,
) -> Result<bool> {
    let any = sqlx::query("SELECT 1 FROM keys LIMIT 1").fetch_optional(&mut *connection).await.map_err(unavailable)?;
    if any.is_some() {
        return Ok(false);
    }
    create(connection, now, key, id, digest).await.map(|_| true)
}

async fn create(
    connection: &mut SqliteConnection,
    now: Timestamp,
    key: NewKey,
    id: KeyId,
    digest: &str,
) -> Result<ApiKey> {
    let existing = sqlx::query(select_keys!("WHERE secret_sha256 = ?1"))
        .bind(digest)
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable)?;
    if let Some(row) = existing {
        let existing = api_key(&row)?;
        return if existing.revoked_at.is_none() { Ok(existing) } else { Err(credentials::revoked()) };
    }
    let NewKey { name, concurrency, role, secret: _ } = key;
    sqlx::query("INSERT INTO keys (id, name, concurrency, secret_sha256, created_at) VALUES (?1, ?2, ?3, ?4, ?5)")
        .bind(id.as_str())
        .bind(&name)
        .bind(concurrency)
        .bind(digest)
        .bind(now.0)
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    if role != KeyRole::default() {
        set_role(connection, &id, role).await?;
    }
    Ok(ApiKey { id, name, concurrency, role, created_at: now, revoked_at: None })
}

async fn set_role(connection: &mut SqliteConnection, id: &KeyId, role: KeyRole) -> Result<bool> {
    let changed = sqlx::query(
        "INSERT INTO key_roles (key_id, role) SELECT id, ?1 FROM keys WHERE id = ?2 AND revoked_at IS NULL \
         ON CONFLICT (key_id) DO UPDATE SET role = excluded.role",
    );
    let changed = changed.bind(role.name()).bind(id.as_str()).execute(connection).await.map_err(unavailable)?;
    Ok(changed.rows_affected() == 1)
}

async fn revoke(connection: &mut SqliteConnection, now: Timestamp, id: &KeyId) -> Result<bool> {
    let changed = sqlx::query("UPDATE keys SET revoked_at = ?1 WHERE id = ?2 AND revoked_at IS NULL")
        .bind(now.0)
        .bind(id.as_str())
        .execute(connection)
        .await
        .map_err(unavailable)?;
    Ok(changed.rows_affected() == 1)
}
