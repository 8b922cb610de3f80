//! [`UploadStore`] in PostgreSQL.

use super::session::Session;
use super::text::stored;
use super::{PostgresStore, submit};
use crate::store::sql::rows::{column, milliseconds, upload};
use crate::{Due, NewUpload, Result, Upload, UploadFacts, UploadId, UploadStore};
use async_trait::async_trait;

/// Uploads that the general rule makes due.
const OLD: &str = "SELECT id FROM uploads WHERE NOT expired AND created_at < $1 ORDER BY created_at LIMIT $2";

/// Uploads whose own time is over.
const OWN_TIME_OVER: &str = "SELECT id FROM uploads WHERE kept_for IS NOT NULL AND NOT expired \
     AND (created_at + kept_for) < $1 ORDER BY (created_at + kept_for) LIMIT $2";

const EXPIRE: &str = "UPDATE uploads SET expired = TRUE WHERE id IN (SELECT id FROM uploads WHERE id = ANY ($1) \
     AND NOT expired FOR NO KEY UPDATE SKIP LOCKED)";

#[async_trait]
impl UploadStore for PostgresStore {
    async fn create_upload(&self, upload: NewUpload) -> Result<Upload> {
        self.database
            .write(move |session| {
                let upload = upload.clone();
                Box::pin(async move { create(session, &upload).await })
            })
            .await
    }

    async fn finish_upload(&self, id: &UploadId, facts: UploadFacts) -> Result<Option<Upload>> {
        let id = id.clone();
        self.database
            .write(move |session| {
                let (id, facts) = (id.clone(), facts.clone());
                Box::pin(async move { finish(session, &id, &facts).await })
            })
            .await
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<Upload>> {
        let row = self
            .database
            .read(|session| {
                let query = sqlx::query("SELECT * FROM uploads WHERE id = $1 AND NOT expired");
                Box::pin(session.optional(query.bind(id.as_str().to_owned())))
            })
            .await?;
        row.as_ref().map(upload).transpose()
    }

    async fn uploads(&self, ids: &[UploadId]) -> Result<Vec<Upload>> {
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let rows = self
            .database
            .read(|session| {
                let query = sqlx::query("SELECT * FROM uploads WHERE id = ANY ($1) AND NOT expired");
                Box::pin(session.all(query.bind(ids.clone())))
            })
            .await?;
        rows.iter().map(upload).collect()
    }

    async fn expire_uploads(&self, due: Due, limit: u32) -> Result<u64> {
        self.database.write(move |session| Box::pin(expire(session, due, limit))).await
    }

    async fn due_uploads(&self, due: Due, limit: u32) -> Result<Vec<UploadId>> {
        let found = self.database.read(|session| Box::pin(find_due(session, due, limit))).await?;
        Ok(found.into_iter().take(limit as usize).map(UploadId::from).collect())
    }

    async fn unswept_uploads(&self, limit: u32) -> Result<Vec<UploadId>> {
        let query = "SELECT id FROM uploads WHERE expired ORDER BY created_at, id LIMIT $1";
        let rows =
            self.database.read(|session| Box::pin(session.all(sqlx::query(query).bind(i64::from(limit))))).await?;
        rows.iter().map(|row| Ok(UploadId::from(column::<String>(row, "id")?))).collect()
    }

    async fn forget_uploads(&self, uploads: &[UploadId]) -> Result<()> {
        let ids: Vec<String> = uploads.iter().map(|id| id.as_str().to_owned()).collect();
        self.database
            .write(move |session| {
                let ids = ids.clone();
                Box::pin(async move {
                    session
                        .execute(sqlx::query("DELETE FROM uploads WHERE id = ANY ($1) AND expired").bind(ids))
                        .await?;
                    Ok(())
                })
            })
            .await
    }
}

async fn create(session: &mut Session, new: &NewUpload) -> Result<Upload> {
    submit::check_key(session, &new.key).await?;
    let facts = new.facts.as_ref();
    let insert = sqlx::query(
        "INSERT INTO uploads (id, key_id, filename, declared_type, created_at, blob, content_type, bytes, width, \
         height, kept_for) VALUES ($1, $2, $3, $4, queue_now(), $5, $6, $7, $8, $9, $10) RETURNING *",
    )
    .bind(new.id.as_str())
    .bind(new.key.as_str())
    .bind(stored(&new.filename))
    .bind(stored(&new.declared_type))
    .bind(facts.map(|facts| stored(&facts.blob)))
    .bind(facts.map(|facts| stored(&facts.content_type)))
    .bind(facts.map(|facts| facts.bytes as i64))
    .bind(facts.map(|facts| i64::from(facts.width)))
    .bind(facts.map(|facts| i64::from(facts.height)))
    .bind(new.kept_for.map(milliseconds));
    upload(&session.one(insert).await?)
}

async fn finish(session: &mut Session, id: &UploadId, facts: &UploadFacts) -> Result<Option<Upload>> {
    let update = sqlx::query(
        "UPDATE uploads SET blob = $1, content_type = $2, bytes = $3, width = $4, height = $5 \
         WHERE id = $6 AND blob IS NULL AND NOT expired RETURNING *",
    )
    .bind(stored(&facts.blob))
    .bind(stored(&facts.content_type))
    .bind(facts.bytes as i64)
    .bind(i64::from(facts.width))
    .bind(i64::from(facts.height))
    .bind(id.as_str());
    session.optional(update).await?.as_ref().map(upload).transpose()
}

async fn find_due(session: &mut Session, due: Due, limit: u32) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (statement, before) in [(OLD, due.before), (OWN_TIME_OVER, due.now)] {
        for row in &session.all(sqlx::query(statement).bind(before.0).bind(i64::from(limit))).await? {
            found.push(column(row, "id")?);
        }
    }
    Ok(found)
}

async fn expire(session: &mut Session, due: Due, limit: u32) -> Result<u64> {
    let found = find_due(session, due, limit).await?;
    session.execute(sqlx::query(EXPIRE).bind(found)).await
}
