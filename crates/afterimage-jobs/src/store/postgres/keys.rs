//! [`KeyStore`] in PostgreSQL.

use super::PostgresStore;
use super::session::Session;
use super::text::stored;
use crate::store::credentials;
use crate::store::sql::rows::{api_key, column, select_keys};
use crate::{ApiKey, Error, KeyId, KeyRole, KeyStore, NewKey, Result, Secret};
use async_trait::async_trait;

#[async_trait]
impl KeyStore for PostgresStore {
    async fn create_key(&self, key: NewKey) -> Result<(ApiKey, Secret)> {
        let (id, secret) = credentials::draw(&key)?;
        let digest = credentials::digest(secret.expose());
        let created = self
            .database
            .write(move |session| {
                let (key, id, digest) = (key.clone(), id.clone(), digest.clone());
                Box::pin(async move { create(session, &key, &id, &digest).await })
            })
            .await?;
        Ok((created, secret))
    }

    async fn create_first_key(&self, key: NewKey) -> Result<Option<Secret>> {
        let (id, secret) = credentials::draw(&key)?;
        let digest = credentials::digest(secret.expose());
        let created = self
            .database
            .write(move |session| {
                let (key, id, digest) = (key.clone(), id.clone(), digest.clone());
                Box::pin(async move {
                    // Servers that start together come in turn.
                    session.execute(sqlx::query("SELECT pg_advisory_xact_lock(7204117320422)")).await?;
                    if session.optional(sqlx::query("SELECT 1 FROM keys LIMIT 1")).await?.is_some() {
                        return Ok(false);
                    }
                    create(session, &key, &id, &digest).await.map(|_| true)
                })
            })
            .await?;
        Ok(created.then_some(secret))
    }

    async fn find_key(&self, secret: &str) -> Result<Option<ApiKey>> {
        let digest = credentials::digest(secret);
        // The index compares digests, and nobody can steer a digest; the comparison that decides is constant in time.
        let row = self
            .database
            .read(|session| {
                let query = sqlx::query(select_keys!("WHERE secret_sha256 = $1 AND revoked_at IS NULL"));
                Box::pin(session.optional(query.bind(digest.clone())))
            })
            .await?;
        let Some(row) = row else { return Ok(None) };
        if !credentials::same_digest(&column::<String>(&row, "secret_sha256")?, &digest) {
            return Ok(None);
        }
        api_key(&row).map(Some)
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>> {
        let row = self
            .database
            .read(|session| {
                let query = sqlx::query(select_keys!("WHERE id = $1 AND revoked_at IS NULL"));
                Box::pin(session.optional(query.bind(id.as_str().to_owned())))
            })
            .await?;
        row.as_ref().map(api_key).transpose()
    }

    async fn keys(&self) -> Result<Vec<ApiKey>> {
        let query = select_keys!("ORDER BY created_at, id");
        self.database.read(|session| Box::pin(session.all(sqlx::query(query)))).await?.iter().map(api_key).collect()
    }

    async fn revoke_key(&self, id: &KeyId) -> Result<bool> {
        let id = id.clone();
        self.database
            .write(move |session| {
                let id = id.clone();
                Box::pin(async move {
                    let query =
                        sqlx::query("UPDATE keys SET revoked_at = queue_now() WHERE id = $1 AND revoked_at IS NULL");
                    Ok(session.execute(query.bind(id.as_str())).await? == 1)
                })
            })
            .await
    }

    async fn set_key_role(&self, id: &KeyId, role: KeyRole) -> Result<bool> {
        let id = id.clone();
        self.database
            .write(move |session| {
                let id = id.clone();
                Box::pin(async move { set_role(session, &id, role).await })
            })
            .await
    }
}

async fn create(session: &mut Session, key: &NewKey, id: &KeyId, digest: &str) -> Result<ApiKey> {
    let insert = sqlx::query(
        "INSERT INTO keys (id, name, concurrency, secret_sha256, created_at) VALUES ($1, $2, $3, $4, queue_now()) \
         ON CONFLICT (secret_sha256) DO NOTHING",
    )
    .bind(id.as_str())
    .bind(stored(&key.name))
    .bind(key.concurrency.map(i64::from))
    .bind(digest);
    if session.execute(insert).await? == 1 && key.role != KeyRole::default() {
        set_role(session, id, key.role).await?;
    }
    let found = session.optional(sqlx::query(select_keys!("WHERE secret_sha256 = $1")).bind(digest)).await?;
    let found = found.ok_or_else(|| Error::unavailable("database", "the key was removed meanwhile"))?;
    let found = api_key(&found)?;
    if found.revoked_at.is_none() { Ok(found) } else { Err(credentials::revoked()) }
}

async fn set_role(session: &mut Session, id: &KeyId, role: KeyRole) -> Result<bool> {
    let query = sqlx::query(
        "INSERT INTO key_roles (key_id, role) SELECT id, $1 FROM keys WHERE id = $2 AND revoked_at IS NULL \
         ON CONFLICT (key_id) DO UPDATE SET role = excluded.role",
    );
    Ok(session.execute(query.bind(role.name()).bind(id.as_str())).await? == 1)
}
