//! Moves the log into the database beside the writer.
//!
//! SQLite's own checkpoints run inside whichever commit fills the log, and that one waits for the disk twice more. A
//! passive checkpoint from another connection holds up neither writer nor readers. On request the log is cut as well:
//! it holds what pages said before something was deleted from them.

use super::file::DatabaseFile;
use super::unavailable;
use crate::{Error, Result};
use sqlx::{Row, SqliteConnection};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

const INTERVAL: Duration = Duration::from_secs(1);

/// The running task; it ends with the last clone.
#[derive(Clone)]
pub(super) struct Checkpoints {
    requests: mpsc::Sender<oneshot::Sender<Result<()>>>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Checkpoints {
    /// Starts the task.
    pub(super) fn start(file: DatabaseFile) -> Self {
        let (requests, asked) = mpsc::channel(1);
        Self { requests, _task: Arc::new(AbortOnDropHandle::new(tokio::spawn(run(file, asked)))) }
    }

    /// Moves all of the log into the database and empties it. Waits for readers, and writers wait for it.
    pub(super) async fn cut_log(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::unavailable("database", "the checkpoints have stopped");
        self.requests.send(reply).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

async fn run(file: DatabaseFile, mut asked: mpsc::Receiver<oneshot::Sender<Result<()>>>) {
    let mut connection = None;
    loop {
        let request = tokio::select! {
            () = sleep(INTERVAL) => None,
            Some(request) = asked.recv() => Some(request),
        };
        let outcome = checkpoint(&file, &mut connection, request.is_some()).await;
        if let Err(error) = &outcome {
            // The writer meets the same trouble and reports it; its own checkpoints are the safety net.
            tracing::debug!(%error, "cannot move the log into the database");
            connection = None;
        }
        if let Some(request) = request {
            // Whoever asked may have gone.
            let _ = request.send(outcome.map_err(unavailable));
        }
    }
}

async fn checkpoint(
    file: &DatabaseFile,
    connection: &mut Option<SqliteConnection>,
    cut: bool,
) -> Result<(), sqlx::Error> {
    file.check()?;
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(file.connect().await?),
    };
    let statement = if cut { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
    let row = sqlx::query(statement).fetch_one(connection).await?;
    if cut && row.try_get::<i64, _>(0)? != 0 {
        return Err(sqlx::Error::Protocol("readers kept the log from being cut".to_owned()));
    }
    Ok(())
}
