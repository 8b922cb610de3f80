//! Settings of the server.

use crate::cost::Rates;
use crate::listen::{ConnectionLimits, TlsFiles};
use crate::loras::LoraFolders;
use crate::model_sets::ModelSets;
use crate::network::Cidr;
pub use crate::operations::status::SafetyPolicy;
use afterimage_jobs::worker::StartEngines;
use afterimage_jobs::{BucketUrl, Secret};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Where jobs and keys are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseAddress {
    /// In this SQLite file.
    File(PathBuf),
    /// In PostgreSQL, shared with other hosts.
    Postgres {
        /// As [`afterimage_jobs::PostgresStore::open`] takes it; may hold a password.
        address: String,
        /// The same database past a pooler.
        direct: Option<String>,
        /// See [`afterimage_jobs::PostgresOptions::expired_leases`].
        expired_leases: u32,
    },
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Self::Postgres { .. } => formatter.write_str("Postgres(…)"),
        }
    }
}

/// Settings of the server, as the command line or a test makes them.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// API and playground; `None`: a worker, which runs jobs of a shared database and answers no requests.
    pub listen: Option<SocketAddr>,
    /// What URLs in answers start with; `None`: what the request was sent to.
    pub public_url: Option<Url>,
    /// Database, uploads and results, unless they are named below; holds the lock that keeps a second server off.
    pub data_dir: PathBuf,
    /// Jobs and keys; `None`: a SQLite file in the data folder.
    pub database: Option<DatabaseAddress>,
    /// Where inputs, uploads and results are kept; `None`: the data folder.
    pub storage: Option<StoragePlace>,
    /// Whether whoever asks for a file in a bucket is sent there.
    pub redirect_downloads: bool,
    /// Metrics; `None`: nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// Where other processes of the same database ask how far jobs are; `None`: nowhere.
    pub internal_listen: Option<SocketAddr>,
    /// Certificate chain and key, both PEM; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Proxies whose word about a request's sender is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// What connections may hold up.
    pub connections: ConnectionLimits,
    /// Fetch from and report to private addresses.
    pub allow_private_networks: bool,
    /// Jobs at once on each set of models; 0: this server only answers requests.
    pub workers: usize,
    /// The sets of models that `engines` has.
    pub models: ModelSets,
    /// Where requests find LoRAs by name.
    pub loras: LoraFolders,
    /// A key to add at start.
    pub api_key: Option<Secret>,
    /// What runs the jobs.
    pub engines: Arc<dyn StartEngines>,
    /// What becomes of pictures that the engines' safety checkers flag, for those who ask.
    pub safety: SafetyPolicy,
    /// How long a synchronous request waits.
    pub sync_timeout: Duration,
    /// Bytes of inputs, results and uploads that each key may keep; `None`: as much as there is room for.
    pub quota: Option<u64>,
    /// How long jobs, results and uploads are kept.
    pub retention: Duration,
    /// What a picture costs.
    pub rates: Rates,
    /// How long jobs that run may take to finish when the server stops.
    pub finish_within: Duration,
    /// How long a stop may take.
    pub stop_within: Duration,
}

/// Where inputs, uploads and results are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoragePlace {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, by the credentials of the environment.
    Bucket(BucketUrl),
}
