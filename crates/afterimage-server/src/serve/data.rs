//! The database and the files of a server: locked, opened, and whose they are.

use crate::options::{DatabaseAddress, ServeOptions, StoragePlace};
use afterimage_jobs::{
    Blobs, DataFolderLock, DatabaseLock, Error, KeyRole, Measures, NewKey, PostgresOptions, PostgresStore, Queue,
    QueueLoad, Result, Secret, SqliteStore, StorageClaim, Store, SystemClock, is_open_to_others,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The opened database and storage.
pub struct Data {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The same where other hosts use it, too.
    pub shared: Option<PostgresStore>,
    /// Inputs, uploads and results.
    pub blobs: Blobs,
    /// Whose files those are.
    pub claim: StorageClaim,
    /// What both count and time.
    pub measures: Measures,
    /// The key that was made because there was none yet.
    pub first_key: Option<Secret>,
    /// Folders whose disks must not fill up, by what they are called in metrics.
    pub folders: Vec<(&'static str, PathBuf)>,
}

/// What keeps other servers off, until it is dropped; nothing where they are welcome.
#[derive(Default)]
pub struct Locks {
    _data_folder: Option<DataFolderLock>,
    _database_folder: Option<DataFolderLock>,
    _database: Option<DatabaseLock>,
}

/// An opened database.
struct Opened {
    store: Arc<dyn Store>,
    shared: Option<PostgresStore>,
    /// The folder that it is in.
    folder: Option<PathBuf>,
    locks: Locks,
}

/// Connections that a process has besides those of its slots: for requests, housekeeping and looks.
const CONNECTIONS: usize = 4;

/// Slots that share a connection: each uses it for some milliseconds of a job.
const SLOTS_PER_CONNECTION: usize = 8;

impl Data {
    /// Opens what `options` name, and makes what is not there; other servers are kept off while the locks live.
    ///
    /// # Errors
    /// When another server has it, or it cannot be used.
    pub async fn open(options: &ServeOptions) -> Result<(Self, Locks)> {
        let measures = Measures::default();
        let Opened { store, shared, folder, locks } = match &options.database {
            Some(DatabaseAddress::Postgres { address, direct, expired_leases }) => {
                let connections = CONNECTIONS + options.workers.div_ceil(SLOTS_PER_CONNECTION);
                let options = PostgresOptions {
                    connections: connections as u32,
                    expired_leases: *expired_leases,
                    direct_address: direct.clone(),
                    measures: measures.clone(),
                    ..PostgresOptions::default()
                };
                open_shared(address, options).await?
            }
            Some(DatabaseAddress::File(file)) => open_file(options, Some(file)).await?,
            None => open_file(options, None).await?,
        };
        // Whoever answers requests has the key; a worker only waits for others to make it.
        let first_key = match options.listen {
            Some(_) => provide_key(store.as_ref(), options.api_key.clone()).await?,
            None => None,
        };
        let in_data_folder = StoragePlace::Folder(options.data_dir.clone());
        let storage = options.storage.as_ref().unwrap_or(&in_data_folder);
        if let Some(shared) = &shared {
            agree_on_storage(shared, storage, options.listen.is_some()).await?;
        }
        let (blobs, claim) = open_storage(storage, store.as_ref(), shared.is_some()).await?;
        let blobs = blobs.measured_by(measures.clone());
        let storage_folder = match storage {
            StoragePlace::Folder(folder) => Some(folder.as_path()),
            // How full it is is somebody else's business.
            StoragePlace::Bucket(_) => None,
        };
        let folders = [("database", folder.as_deref()), ("storage", storage_folder)];
        let folders: Vec<_> =
            folders.into_iter().filter_map(|(name, folder)| Some((name, folder?.to_owned()))).collect();
        for folder in folders.iter().map(|(_, folder)| folder).collect::<BTreeSet<_>>() {
            warn_of_open_folder(folder);
        }
        Ok((Self { store, shared, blobs, claim, measures, first_key, folders }, locks))
    }
}

/// The SQLite file, for this server alone.
async fn open_file(options: &ServeOptions, named: Option<&PathBuf>) -> Result<Opened> {
    let data_folder = DataFolderLock::acquire(&options.data_dir)?;
    let in_folder = options.data_dir.join(SqliteStore::FILE_NAME);
    let database = named.unwrap_or(&in_folder);
    // A database elsewhere has locks of its own: another server may come to it from another data folder.
    let database_folder = match database.parent().filter(|folder| *folder != options.data_dir) {
        Some(folder) => Some(DataFolderLock::acquire(folder)?),
        None => None,
    };
    let database_lock = DatabaseLock::acquire(database)?;
    let store = SqliteStore::open_file(database, Arc::new(SystemClock)).await?;
    for job in store.expire_leases(&data_folder).await? {
        tracing::warn!(job_id = %job, "the server ended while this job ran; that attempt counts as unclean");
    }
    warn_of_unserved_jobs(&store, options.models.queues()).await?;
    let locks =
        Locks { _data_folder: Some(data_folder), _database_folder: database_folder, _database: Some(database_lock) };
    Ok(Opened { store: Arc::new(store), shared: None, folder: database.parent().map(Path::to_owned), locks })
}

/// A database that other hosts use, too: nothing is known of what they run, so a start changes nothing.
async fn open_shared(address: &str, options: PostgresOptions) -> Result<Opened> {
    let store = PostgresStore::open(address, options).await?;
    Ok(Opened { store: Arc::new(store.clone()), shared: Some(store), folder: None, locks: Locks::default() })
}

/// What was accepted for a set of models that is not there any more is kept, in case that was a mistake.
async fn warn_of_unserved_jobs(store: &dyn Store, served: &[Queue]) -> Result<()> {
    for QueueLoad { queue, waiting: jobs, .. } in store.loads().await? {
        if !served.contains(&queue) && jobs > 0 {
            tracing::warn!(
                model = queue.as_ref().map(tracing::field::display),
                jobs,
                "jobs wait for a set of models that this server does not have; they wait on, until a server has it or they \
                 are cancelled"
            );
        }
    }
    Ok(())
}

/// Adds the key that was named, or makes one when there is none at all; returns the latter. Both are for whoever starts the
/// server. The names are those by which a migration of the database knows keys of before the roles.
async fn provide_key(store: &dyn Store, named: Option<Secret>) -> Result<Option<Secret>> {
    let of_operator =
        |name: &str, secret| NewKey { name: name.to_owned(), concurrency: None, role: KeyRole::Operator, secret };
    if named.is_some() {
        store.create_key(of_operator("from the command line", named)).await?;
        return Ok(None);
    }
    store.create_first_key(of_operator("first", None)).await
}

/// Compares the place with the one where other processes of the database have its files. Every job that a worker with another
/// place takes would fail for want of its pictures, so it does not start. A server's word counts: whoever moves the files starts
/// it first. Folders are not compared, since hosts may have the same one under different names.
async fn agree_on_storage(store: &PostgresStore, place: &StoragePlace, is_server: bool) -> Result<()> {
    let here = match place {
        StoragePlace::Bucket(url) => Some(url.to_string()),
        StoragePlace::Folder(_) => None,
    };
    let there = store.storage_place().await?;
    if here == there {
        return Ok(());
    }
    let shown = |place: &Option<String>| place.clone().unwrap_or_else(|| "a folder".to_owned());
    if !is_server {
        return match &there {
            // No server was here yet, or they share a folder.
            None => Ok(()),
            Some(there) => Err(Error::StorageElsewhere { here: shown(&here), there: there.clone() }),
        };
    }
    if there.is_some() {
        tracing::warn!(
            here = shown(&here),
            there = shown(&there),
            "the files of this database were in another place until now; hosts of one database need the same --storage-url"
        );
    }
    match here {
        Some(here) => store.note_storage_place(&here).await,
        None => Ok(()),
    }
}

/// Opens the storage and takes it for this database; a folder for this server alone, unless other hosts share the database.
async fn open_storage(place: &StoragePlace, store: &dyn Store, is_shared: bool) -> Result<(Blobs, StorageClaim)> {
    let database = store.database_id().await?;
    let (blobs, claim) = match place {
        StoragePlace::Folder(folder) if is_shared => {
            let blobs = Blobs::local(folder)?;
            let claim = StorageClaim::shared(&blobs, &database).await?;
            (blobs, claim)
        }
        StoragePlace::Folder(folder) => {
            let claim = StorageClaim::acquire(folder, &database)?;
            (Blobs::local(folder)?, claim)
        }
        StoragePlace::Bucket(url) => {
            let blobs = Blobs::bucket(url, None).await?;
            let claim = StorageClaim::shared(&blobs, &database).await?;
            tracing::info!(storage = %url, "files are kept in a bucket");
            (blobs, claim)
        }
    };
    if !claim.is_ours().await? {
        tracing::warn!(
            mark = %claim,
            "the storage holds files of another database; they stay until that file is removed and the server is started \
             again"
        );
    }
    Ok((blobs, claim))
}

/// What was made before is as open as somebody made it.
fn warn_of_open_folder(folder: &Path) {
    if is_open_to_others(folder).is_ok_and(|open| open) {
        tracing::warn!(
            folder = %folder.display(),
            "other users of this machine may enter the folder; the files in it are readable by this one only, but not \
             their names and sizes (chmod 700 closes it)"
        );
    }
}
