//! The schema's history. An entry is never changed once it was released: sqlx compares checksums.

use crate::{Error, Result};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqliteConnection};
use std::borrow::Cow;

const HISTORY: &[(i64, &str, &str)] = &[
    (1, "queue", include_str!("migrations/0001_queue.sql")),
    (2, "kept for", include_str!("migrations/0002_kept_for.sql")),
    (3, "bytes", include_str!("migrations/0003_bytes.sql")),
    (4, "fetching", include_str!("migrations/0004_fetching.sql")),
    (5, "storage", include_str!("migrations/0005_storage.sql")),
    (6, "tenants", include_str!("migrations/0006_tenants.sql")),
    (7, "models", include_str!("migrations/0007_models.sql")),
    (8, "operators", include_str!("migrations/0008_operators.sql")),
];

/// Brings the schema to this program's version; one that is newer or was changed is refused.
pub(super) async fn run(connection: &mut SqliteConnection) -> Result<()> {
    let migrations = HISTORY
        .iter()
        .map(|&(version, name, sql)| {
            Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(migrations).run(connection).await.map_err(|error| Error::unavailable("database", error))
}
