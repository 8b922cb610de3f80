//! `afterimage keys`: who may use the server.

use super::serve::{data_dir, store_failure};
use crate::database_flag::DatabaseFlag;
use crate::failure::CommandFailure;
use crate::origin::Origins;
use crate::output::print_text;
use crate::values;
use afterimage_jobs::{
    ApiKey, CancelledAll, KeyId, KeyRole, NewKey, PostgresOptions, PostgresStore, SqliteStore, Store, SystemClock,
};
use afterimage_server::options::DatabaseAddress;
use clap::{Args, Subcommand};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

/// Create, list and revoke API keys
///
/// They take effect at once, also on a server that runs.
#[derive(Args, Debug)]
pub struct Keys {
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// The commands below `keys`.
#[derive(Subcommand, Debug)]
pub enum KeysCommand {
    Create(Create),
    List(ListKeys),
    Revoke(Revoke),
    Role(ChangeRole),
}

/// Make a key and print it, alone, on standard output
///
/// It is stored as a digest and cannot be shown again.
#[derive(Args, Debug)]
pub struct Create {
    /// Name for people
    #[arg(long, env = "AFTERIMAGE_NAME", hide_env_values = true, value_name = "N", default_value = "", value_parser = values::key_name)]
    name: String,

    /// Jobs of this key that may run at once; more wait
    ///
    /// Default: as many as there are workers.
    #[arg(long, env = "AFTERIMAGE_CONCURRENCY", hide_env_values = true, value_name = "N", value_parser = values::concurrency)]
    concurrency: Option<u32>,

    /// What it may see: `user` what is its own, `operator` also the page at /status
    ///
    /// That page tells of all keys how much they had made, what failed and why, but no prompts and pictures.
    #[arg(
        long,
        env = "AFTERIMAGE_ROLE",
        hide_env_values = true,
        value_name = "ROLE",
        value_parser = values::role,
        default_value = "user"
    )]
    role: KeyRole,

    #[command(flatten)]
    place: KeysLocation,
}

/// List the keys, oldest first: id, state, role, concurrency, name
#[derive(Args, Debug)]
pub struct ListKeys {
    #[command(flatten)]
    place: KeysLocation,
}

/// Withdraw a key, and cancel what waits and runs for it
///
/// Requests with it are refused from then on. Nobody could read the results of its jobs any more, so those that wait are
/// cancelled and those that run are asked to stop; for a key that was withdrawn before, too.
#[derive(Args, Debug)]
pub struct Revoke {
    /// The key's id, as `keys list` shows it
    #[arg(value_name = "ID")]
    id: String,

    /// Let its jobs go on, for the webhooks that report them
    #[arg(long, env = "AFTERIMAGE_KEEP_JOBS", hide_env_values = true, value_parser = values::switch)]
    keep_jobs: bool,

    #[command(flatten)]
    place: KeysLocation,
}

/// Give a key another role
///
/// Takes effect within seconds, also on a server that runs.
#[derive(Args, Debug)]
pub struct ChangeRole {
    /// The key's id, as `keys list` shows it
    #[arg(value_name = "ID")]
    id: String,

    /// `user` or `operator`, as in `keys create --role`
    #[arg(value_name = "ROLE", value_parser = values::role)]
    role: KeyRole,

    #[command(flatten)]
    place: KeysLocation,
}

/// Where the keys are.
#[derive(Args, Debug)]
struct KeysLocation {
    /// Folder of the server's database
    ///
    /// Default: the platform's data folder for `afterimage`.
    #[arg(long, env = "AFTERIMAGE_DATA_DIR", hide_env_values = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    database: DatabaseFlag,
}

impl KeysLocation {
    /// What was named, or the file in the data folder.
    fn address(&self, origins: &Origins) -> Result<DatabaseAddress, CommandFailure> {
        match self.database.address(origins)? {
            Some(address) => Ok(address),
            None => Ok(DatabaseAddress::File(data_dir(self.data_dir.as_ref())?.join(SqliteStore::FILE_NAME))),
        }
    }

    /// [`KeysLocation::with_store`] where there is a database already: looking must not make one.
    fn with_existing_store<T, F: Future<Output = afterimage_jobs::Result<T>>>(
        &self,
        origins: &Origins,
        work: impl FnOnce(Arc<dyn Store>) -> F,
    ) -> Result<T, CommandFailure> {
        if let DatabaseAddress::File(file) = self.address(origins)?
            && !file.exists()
        {
            let flag = if self.database.address(origins)?.is_some() { "--database-url" } else { "--data-dir" };
            let problem = format_args!(
                "there is no database {}; `afterimage serve` or `afterimage keys create` makes one",
                file.display()
            );
            return Err(CommandFailure::bad_input(flag, problem));
        }
        self.with_store(origins, work)
    }

    /// Runs `work` on the store.
    fn with_store<T, F: Future<Output = afterimage_jobs::Result<T>>>(
        &self,
        origins: &Origins,
        work: impl FnOnce(Arc<dyn Store>) -> F,
    ) -> Result<T, CommandFailure> {
        let address = self.address(origins)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CommandFailure::other(format!("cannot start the runtime: {error}")))?;
        runtime.block_on(async { work(open(&address).await?).await }).map_err(|error| store_failure(&error))
    }
}

async fn open(address: &DatabaseAddress) -> afterimage_jobs::Result<Arc<dyn Store>> {
    Ok(match address {
        DatabaseAddress::File(file) => Arc::new(SqliteStore::open_file(file, Arc::new(SystemClock)).await?),
        DatabaseAddress::Postgres { address, .. } => Arc::new(
            PostgresStore::open(address, PostgresOptions { connections: 2, ..PostgresOptions::default() }).await?,
        ),
    })
}

impl Create {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let key = NewKey { name: self.name.clone(), concurrency: self.concurrency, role: self.role, secret: None };
        let (_, secret) = self.place.with_store(origins, |store| async move { store.create_key(key).await })?;
        print_text(secret.expose())
    }
}

impl ListKeys {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let keys = self.place.with_existing_store(origins, |store| async move { store.keys().await })?;
        let lines: Vec<String> = keys.iter().map(line).collect();
        print_text(&lines.join("\n"))
    }
}

fn line(key: &ApiKey) -> String {
    let state = if key.revoked_at.is_some() { "revoked" } else { "active" };
    let concurrency = key.concurrency.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
    format!("{}  {state:<8} {:<8} {concurrency:>4}  {}", key.id, key.role.name(), key.name)
}

impl ChangeRole {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let (id, role) = (KeyId::from(self.id.as_str()), self.role);
        let changed =
            self.place.with_existing_store(origins, |store| async move { store.set_key_role(&id, role).await })?;
        if !changed {
            return Err(CommandFailure::bad_input("ID", "no such key, or it was revoked; see `afterimage keys list`"));
        }
        print_text(&format!("the key's role is {} now", role.name()))
    }
}

impl Revoke {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let id = KeyId::from(self.id.as_str());
        let keep_jobs = self.keep_jobs;
        let (revoked, stopped) = self.place.with_existing_store(origins, |store| async move {
            let revoked = store.revoke_key(&id).await?;
            let stopped = if keep_jobs { CancelledAll::default() } else { store.cancel_all(&id).await? };
            Ok((revoked, stopped))
        })?;
        if !revoked && stopped == CancelledAll::default() {
            return Err(CommandFailure::bad_input(
                "ID",
                "no such key, or it was revoked before; see `afterimage keys list`",
            ));
        }
        let CancelledAll { cancelled, requested } = stopped;
        print_text(&format!("revoked; waiting jobs cancelled: {cancelled}, running jobs asked to stop: {requested}"))
    }
}
