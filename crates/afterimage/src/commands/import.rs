//! `afterimage import`: from one machine to many.

use super::serve::{data_dir, store_failure};
use crate::database_flag::DatabaseFlag;
use crate::failure::CommandFailure;
use crate::origin::Origins;
use crate::output::print_text;
use crate::values;
use afterimage_jobs::{
    Blobs, DataFolderLock, DatabaseLock, Imported, PostgresOptions, PostgresStore, Result, SqliteStore, SystemClock,
};
use afterimage_server::options::{DatabaseAddress, StoragePlace};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Move a single-machine server's keys, jobs and files to a database and a storage that hosts share
///
/// The server must not run. Ids, results, webhooks that are open, and links to files stay good; jobs that ran wait again.
/// What was moved stays where it was, too. The command can be repeated after an interruption and goes on where it was.
#[derive(Args, Debug)]
pub struct Import {
    /// The server's database: `sqlite:FILE`; default: the one in the platform's data folder
    #[arg(value_name = "sqlite:FILE", value_parser = values::sqlite_file)]
    source: Option<PathBuf>,

    /// Folder of the server's inputs, uploads and results; default: that of its database
    #[arg(long, env = "AFTERIMAGE_FILES_FROM", hide_env_values = true, value_name = "DIR")]
    files_from: Option<PathBuf>,

    #[command(flatten)]
    database: DatabaseFlag,

    /// Where files are to be kept: `file:FOLDER` or `s3://BUCKET/PREFIX`; default: they stay in their folder
    #[arg(
        long,
        env = "AFTERIMAGE_STORAGE_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = values::storage_url
    )]
    storage_url: Option<StoragePlace>,
}

impl Import {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> std::result::Result<(), CommandFailure> {
        let file = match &self.source {
            Some(file) => file.clone(),
            None => data_dir(None)?.join(SqliteStore::FILE_NAME),
        };
        if !file.exists() {
            let problem = format_args!("there is no database {}", file.display());
            return Err(CommandFailure::bad_input("sqlite:FILE", problem));
        }
        let DatabaseAddress::Postgres { address, .. } = self.database.shared(origins)? else {
            return Err(CommandFailure::other("only PostgreSQL is shared by hosts"));
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CommandFailure::other(format!("cannot start the runtime: {error}")))?;
        let moved = runtime.block_on(self.move_all(&file, &address)).map_err(|error| store_failure(&error))?;
        print_text(&moved)
    }

    async fn move_all(&self, file: &Path, address: &str) -> Result<String> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let lock = DataFolderLock::acquire(folder)?;
        let _file_lock = DatabaseLock::acquire(file)?;
        let source = SqliteStore::open_file(file, Arc::new(SystemClock)).await?;
        source.expire_leases(&lock).await?;
        let target =
            PostgresStore::open(address, PostgresOptions { connections: 2, ..PostgresOptions::default() }).await?;
        let files = match &self.storage_url {
            Some(place) => copy_files(self.files_from.as_deref().unwrap_or(folder), place).await?,
            None => 0,
        };
        let Imported { keys, jobs, deliveries, uploads } = target.import(&source).await?;
        target.close().await;
        source.close().await;
        Ok(format!("moved: {keys} keys, {jobs} jobs, {deliveries} webhooks, {uploads} uploads, {files} files"))
    }
}

/// Copies files that are not there yet; how many.
async fn copy_files(folder: &Path, place: &StoragePlace) -> Result<u64> {
    let source = Blobs::local(folder)?;
    let target = match place {
        StoragePlace::Folder(folder) => Blobs::local(folder)?,
        StoragePlace::Bucket(url) => Blobs::bucket(url, None).await?,
    };
    source.copy_all_to(&target).await
}
