//! The one connection that writes.
//!
//! SQLite admits one writer at a time anyway. A queue in front of it spares the lock's retries and lets everything
//! that waits share one commit, hence one flush of the disk. Callers hear nothing before the commit; one that stops
//! listening changes nothing, because the operation runs here and not in its future.

use super::file::DatabaseFile;
use crate::{Clock, Error, Result, Timestamp};
use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Operations that share a commit. Bounds how long the first of them waits for the others.
const LARGEST_BATCH: usize = 64;

/// Operations that may wait before callers are held back.
const QUEUE_LENGTH: usize = 1024;

/// What an operation does with the connection.
pub(super) type OperationFuture<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// Sends operations to the writing task. The task ends with the last clone.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Operation>>,
}

#[async_trait]
trait Operation: Send {
    /// Does the work and keeps its answer; false when its writes are to be undone.
    async fn run(&mut self, connection: &mut SqliteConnection, now: Timestamp) -> bool;
    /// Tells the caller. `undone`: why the whole batch was undone.
    fn answer(self: Box<Self>, undone: Option<&str>);
}

struct PendingOperation<T, F> {
    work: Option<F>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

#[async_trait]
impl<T, F> Operation for PendingOperation<T, F>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection, Timestamp) -> OperationFuture<'c, T> + Send,
{
    async fn run(&mut self, connection: &mut SqliteConnection, now: Timestamp) -> bool {
        let Some(work) = self.work.take() else { return false };
        if self.reply.is_closed() {
            return false;
        }
        let outcome = work(connection, now).await;
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn answer(self: Box<Self>, undone: Option<&str>) {
        let answer = match (undone, self.outcome) {
            (Some(reason), Some(Ok(_)) | None) => Err(Error::unavailable("database", reason)),
            (_, Some(outcome)) => outcome,
            (None, None) => return,
        };
        // The caller may have gone; the store is consistent without it.
        let _ = self.reply.send(answer);
    }
}

impl Writer {
    /// Starts the task, with a connection that is already open.
    pub(super) fn start(file: DatabaseFile, connection: SqliteConnection, clock: Arc<dyn Clock>) -> Self {
        let (queue, operations) = mpsc::channel(QUEUE_LENGTH);
        tokio::spawn(run(file, connection, clock, operations));
        Self { queue }
    }

    /// Runs `work` in a transaction; returns after the commit.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection, Timestamp) -> OperationFuture<'c, T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let pending = PendingOperation { work: Some(work), outcome: None, reply };
        let stopped = || Error::unavailable("database", "the writer has stopped");
        self.queue.send(Box::new(pending)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

async fn run(
    file: DatabaseFile,
    connection: SqliteConnection,
    clock: Arc<dyn Clock>,
    mut operations: mpsc::Receiver<Box<dyn Operation>>,
) {
    let mut connection = Some(connection);
    let mut batch = Vec::with_capacity(LARGEST_BATCH);
    while operations.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
        let undone = match write_batch(&file, &mut connection, clock.now(), &mut batch).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(%error, operations = batch.len(), "database write failed");
                // Whatever state the connection is in, the next batch starts with a new one.
                connection = None;
                Some(error.to_string())
            }
        };
        for operation in batch.drain(..) {
            operation.answer(undone.as_deref());
        }
    }
    if let Some(connection) = connection {
        // Checkpoints the log; a failure costs nothing, the next start does it.
        let _ = connection.close().await;
    }
}

async fn write_batch(
    file: &DatabaseFile,
    connection: &mut Option<SqliteConnection>,
    now: Timestamp,
    batch: &mut [Box<dyn Operation>],
) -> Result<(), sqlx::Error> {
    file.check()?;
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(file.connect().await?),
    };
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for operation in batch {
        // One operation's refusal must not undo its neighbours'.
        let mut savepoint = transaction.begin().await?;
        if operation.run(&mut savepoint, now).await {
            savepoint.commit().await?;
        } else {
            savepoint.rollback().await?;
        }
    }
    transaction.commit().await
}
