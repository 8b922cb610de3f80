//! Moves the log into the database beside the writer.
//!
//! SQLite's own checkpoints run inside whichever commit fills the log, and that one waits for the disk twice more. A
//! passive checkpoint from another connection holds up neither writer nor readers.

use super::file::DatabaseFile;
use sqlx::SqliteConnection;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

const INTERVAL: Duration = Duration::from_secs(1);

/// Starts the task; it ends when the handle is dropped.
pub(super) fn start(file: DatabaseFile) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(run(file)))
}

async fn run(file: DatabaseFile) {
    let mut connection = None;
    loop {
        sleep(INTERVAL).await;
        if let Err(error) = checkpoint(&file, &mut connection).await {
            // The writer meets the same trouble and reports it; its own checkpoints are the safety net.
            tracing::debug!(%error, "cannot move the log into the database");
            connection = None;
        }
    }
}

async fn checkpoint(file: &DatabaseFile, connection: &mut Option<SqliteConnection>) -> Result<(), sqlx::Error> {
    file.check()?;
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(file.connect().await?),
    };
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await?;
    Ok(())
}
