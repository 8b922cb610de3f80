//! [`UploadStore`] in SQLite.

use super::rows::{column, milliseconds, to_json, upload};
use super::{SqliteStore, submit, unavailable};
use crate::{Due, NewUpload, Result, Timestamp, Upload, UploadFacts, UploadId, UploadState, UploadStore};
use async_trait::async_trait;
use sqlx::SqliteConnection;

/// Uploads that the general rule makes due.
const OLD: &str = "SELECT id FROM uploads WHERE NOT expired AND created_at < ?1 ORDER BY created_at LIMIT ?2";

/// Uploads whose own time is over.
const OWN_TIME_OVER: &str = "SELECT id FROM uploads WHERE kept_for IS NOT NULL AND NOT expired \
     AND (created_at + kept_for) < ?1 ORDER BY (created_at + kept_for) LIMIT ?2";

#[async_trait]
impl UploadStore for SqliteStore {
    async fn create_upload(&self, upload: NewUpload) -> Result<Upload> {
        self.writer.write(move |connection, now| Box::pin(async move { create(connection, now, upload).await })).await
    }

    async fn finish_upload(&self, id: &UploadId, facts: UploadFacts) -> Result<Option<Upload>> {
        let id = id.clone();
        self.writer.write(move |connection, _| Box::pin(async move { finish(connection, &id, &facts).await })).await
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<Upload>> {
        let query = sqlx::query("SELECT * FROM uploads WHERE id = ?1 AND NOT expired").bind(id.as_str());
        query.fetch_optional(&self.readers).await.map_err(unavailable)?.as_ref().map(upload).transpose()
    }

    async fn uploads(&self, ids: &[UploadId]) -> Result<Vec<Upload>> {
        let ids: Vec<&str> = ids.iter().map(UploadId::as_str).collect();
        let query = sqlx::query("SELECT * FROM uploads WHERE id IN (SELECT value FROM json_each(?1)) AND NOT expired");
        let rows = query.bind(to_json(&ids)?).fetch_all(&self.readers).await.map_err(unavailable)?;
        rows.iter().map(upload).collect()
    }

    async fn expire_uploads(&self, due: Due, limit: u32) -> Result<u64> {
        self.writer.write(move |connection, _| Box::pin(async move { expire(connection, due, limit).await })).await
    }

    async fn due_uploads(&self, due: Due, limit: u32) -> Result<Vec<UploadId>> {
        let mut found = Vec::new();
        for (statement, before) in [(OLD, due.before), (OWN_TIME_OVER, due.now)] {
            let query = sqlx::query(statement).bind(before.0).bind(limit);
            for row in &query.fetch_all(&self.readers).await.map_err(unavailable)? {
                found.push(UploadId::from(column::<String>(row, "id")?));
            }
        }
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn unswept_uploads(&self, limit: u32) -> Result<Vec<UploadId>> {
        let query = sqlx::query("SELECT id FROM uploads WHERE expired ORDER BY created_at, id LIMIT ?1").bind(limit);
        let rows = query.fetch_all(&self.readers).await.map_err(unavailable)?;
        rows.iter().map(|row| Ok(UploadId::from(column::<String>(row, "id")?))).collect()
    }

    async fn forget_uploads(&self, uploads: &[UploadId]) -> Result<()> {
        let uploads = uploads.to_vec();
        self.writer.write(move |connection, _| Box::pin(async move { forget(connection, &uploads).await })).await
    }
}

async fn create(connection: &mut SqliteConnection, now: Timestamp, new: NewUpload) -> Result<Upload> {
    submit::check_key(connection, &new.key).await?;
    let facts = new.facts.as_ref();
    sqlx::query(
        "INSERT INTO uploads (id, key_id, filename, declared_type, created_at, blob, content_type, bytes, width, \
         height, kept_for) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .bind(new.id.as_str())
    .bind(new.key.as_str())
    .bind(&new.filename)
    .bind(&new.declared_type)
    .bind(now.0)
    .bind(facts.map(|facts| facts.blob.as_str()))
    .bind(facts.map(|facts| facts.content_type.as_str()))
    .bind(facts.map(|facts| facts.bytes as i64))
    .bind(facts.map(|facts| facts.width))
    .bind(facts.map(|facts| facts.height))
    .bind(new.kept_for.map(milliseconds))
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(Upload {
        id: new.id,
        key: new.key,
        filename: new.filename,
        declared_type: new.declared_type,
        state: new.facts.map_or(UploadState::Pending, UploadState::Ready),
        created_at: now,
        kept_for: new.kept_for,
    })
}

async fn finish(connection: &mut SqliteConnection, id: &UploadId, facts: &UploadFacts) -> Result<Option<Upload>> {
    let row = sqlx::query(
        "UPDATE uploads SET blob = ?1, content_type = ?2, bytes = ?3, width = ?4, height = ?5 \
         WHERE id = ?6 AND blob IS NULL AND NOT expired RETURNING *",
    )
    .bind(&facts.blob)
    .bind(&facts.content_type)
    .bind(facts.bytes as i64)
    .bind(facts.width)
    .bind(facts.height)
    .bind(id.as_str())
    .fetch_optional(connection)
    .await
    .map_err(unavailable)?;
    row.as_ref().map(upload).transpose()
}

async fn expire(connection: &mut SqliteConnection, due: Due, limit: u32) -> Result<u64> {
    let mut changed = 0;
    for (statement, before) in [(OLD, due.before), (OWN_TIME_OVER, due.now)] {
        let found = sqlx::query(statement).bind(before.0).bind(limit);
        for row in &found.fetch_all(&mut *connection).await.map_err(unavailable)? {
            sqlx::query("UPDATE uploads SET expired = TRUE WHERE id = ?1")
                .bind(column::<String>(row, "id")?)
                .execute(&mut *connection)
                .await
                .map_err(unavailable)?;
            changed += 1;
        }
    }
    Ok(changed)
}

async fn forget(connection: &mut SqliteConnection, uploads: &[UploadId]) -> Result<()> {
    for id in uploads {
        sqlx::query("DELETE FROM uploads WHERE id = ?1 AND expired")
            .bind(id.as_str())
            .execute(&mut *connection)
            .await
            .map_err(unavailable)?;
    }
    Ok(())
}
