//! `afterimage serve`: the server.

use crate::database_flag::DatabaseFlag;
use crate::engine_flags::EngineFlags;
use crate::failure::CommandFailure;
use crate::model_sets::about_set;
use crate::origin::Origins;
use crate::process_flags::ProcessFlags;
use crate::telemetry::Traces;
use crate::values;
use afterimage_jobs::worker::UnusableEngine;
use afterimage_jobs::{Error as StoreError, Secret};
use afterimage_kernels::heap;
use afterimage_server::cost::Rates;
use afterimage_server::listen::{ConnectionLimits, ListenError, TlsFiles};
use afterimage_server::network::Cidr;
use afterimage_server::options::{SafetyPolicy, ServeOptions, StoragePlace};
use afterimage_server::private_files::keep_private;
use afterimage_server::serve::{ServeError, Started, serve};
use clap::Args;
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Arenas of the heap: one, so that what one thread frees is of use to all; nobody waits for it at some hundred requests a
/// second. Amid 1,000 connections memory grew by a fifth within four minutes without this and [`release_memory`].
const ARENAS: u16 = 1;

/// How often free memory goes back to the system.
const RELEASE_EVERY: Duration = Duration::from_secs(15);

/// Start the server: queue, workers, API and playground
///
/// The first start makes a key and prints the playground's address with it. Jobs are on disk before they are
/// acknowledged: a server that is killed and started again goes on where it was. Ctrl-C or SIGTERM lets running jobs
/// finish for up to 30 seconds (--finish-within); what is not finished then waits for the next start.
#[derive(Args, Debug)]
// A server looks unless it is told otherwise, so its short help says how to tell it.
#[command(mut_arg("safety", |flag| flag.hide_short_help(false)))]
pub struct Serve {
    /// Address of the API and the playground
    ///
    /// Every request needs a key, so another address than loopback is possible; use TLS there, or a proxy that does.
    #[arg(
        long,
        env = "AFTERIMAGE_LISTEN",
        hide_env_values = true,
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        value_parser = values::address
    )]
    listen: SocketAddr,

    /// What result URLs start with
    ///
    /// Needed behind a proxy that does not pass the host on, and for webhooks whose receiver is elsewhere. Default: what
    /// the request was sent to.
    #[arg(long, env = "AFTERIMAGE_PUBLIC_URL", hide_env_values = true, value_name = "URL", value_parser = values::web_url)]
    public_url: Option<Url>,

    /// Folder for database, uploads and results
    ///
    /// Only one server may use it at a time. Default: the platform's data folder for `afterimage`.
    #[arg(long, env = "AFTERIMAGE_DATA_DIR", hide_env_values = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    database: DatabaseFlag,

    #[command(flatten)]
    process: ProcessFlags,

    /// Send whoever asks for a file to the bucket that has it
    ///
    /// GET of a result or upload is then answered by 307 and an address of the bucket that works for five minutes, so its
    /// endpoint has to be one that clients reach. Only with --storage-url s3:. By default files pass through this server.
    #[arg(long, env = "AFTERIMAGE_REDIRECT_DOWNLOADS", hide_env_values = true, value_parser = values::switch)]
    redirect_downloads: bool,

    /// Certificate chain for HTTPS, a PEM file
    #[arg(long, env = "AFTERIMAGE_TLS_CERT", hide_env_values = true, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key for HTTPS, a PEM file
    #[arg(long, env = "AFTERIMAGE_TLS_KEY", hide_env_values = true, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Network of proxies whose word about a request's sender is believed, such as `10.0.0.0/8`
    ///
    /// May be given several times. Wrong keys are counted by the sender's address: behind a proxy that is not named here
    /// all clients share one, and the headers `Forwarded` and `X-Forwarded-For` are ignored. Name only proxies that
    /// write one of them.
    #[arg(
        long = "trusted-proxy",
        env = "AFTERIMAGE_TRUSTED_PROXY",
        hide_env_values = true,
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = values::cidr
    )]
    trusted_proxy: Vec<Cidr>,

    /// Fetch pictures from, and send webhooks to, private and loopback addresses
    ///
    /// Anybody with a key can then make this machine send requests into its own network.
    #[arg(long, env = "AFTERIMAGE_ALLOW_PRIVATE_NETWORKS", hide_env_values = true, value_parser = values::switch)]
    allow_private_networks: bool,

    /// Add this key at start, for scripts
    ///
    /// At least 8 characters. On the command line other users of the machine can see it; the environment variable is
    /// the better place. People get theirs by `afterimage keys create`.
    #[arg(long, env = "AFTERIMAGE_API_KEY", hide_env_values = true, value_name = "KEY", value_parser = values::secret)]
    api_key: Option<Secret>,

    /// Seconds that a synchronous request waits before it is told to ask again
    #[arg(
        long,
        env = "AFTERIMAGE_SYNC_TIMEOUT",
        hide_env_values = true,
        value_name = "SECONDS",
        default_value = "600",
        value_parser = values::seconds
    )]
    sync_timeout: Duration,

    /// Days that jobs, results and uploads are kept
    #[arg(
        long,
        env = "AFTERIMAGE_RETENTION_DAYS",
        hide_env_values = true,
        value_name = "DAYS",
        default_value = "7",
        value_parser = values::days
    )]
    retention_days: Duration,

    /// Gigabytes of inputs, uploads and results that each key may keep
    ///
    /// Above it, uploads and submits are refused; results of what was accepted before are still stored. Default: no
    /// limit. Whatever is set, nothing is accepted that would leave too little room on the disk for the database.
    #[arg(
        long,
        env = "AFTERIMAGE_QUOTA_GB",
        hide_env_values = true,
        value_name = "GB",
        value_parser = values::gigabytes
    )]
    quota_gb: Option<u64>,

    /// Dollars that a picture of 1024x1024 in 25 steps costs, for accounts
    ///
    /// A job costs rate × (width / 1024) × (height / 1024) × (steps / 25) for each picture. Nobody is charged.
    #[arg(
        long,
        env = "AFTERIMAGE_COST_RATE",
        hide_env_values = true,
        value_name = "DOLLARS",
        default_value = "0.012",
        value_parser = values::rate
    )]
    cost_rate: f64,

    #[command(flatten)]
    engines: EngineFlags,
}

/// Gives free memory back for as long as the server runs.
async fn release_memory() {
    loop {
        tokio::time::sleep(RELEASE_EVERY).await;
        let _ = tokio::task::spawn_blocking(heap::release_free_pages).await;
    }
}

impl Serve {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        keep_private();
        let runtime = runtime()?;
        let traces = self.process.start_logging("serve", &runtime)?;
        run_server(runtime, traces, self.options(origins)?, origins)
    }

    /// Whether downloads are redirected, which needs a bucket.
    fn redirects(&self, origins: &Origins) -> Result<bool, CommandFailure> {
        if self.redirect_downloads && !matches!(self.process.storage_url, Some(StoragePlace::Bucket(_))) {
            let problem =
                "files are in a folder, where nobody can be sent to; name a bucket by --storage-url s3://BUCKET/PREFIX";
            return Err(CommandFailure::bad_input(origins.subject("redirect_downloads"), problem));
        }
        Ok(self.redirect_downloads)
    }

    fn options(&self, origins: &Origins) -> Result<ServeOptions, CommandFailure> {
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        let safety = self.engines.safety(origins)?;
        let database = self.database.address(origins)?;
        let internal_listen = self.process.internal_listen(database.as_ref(), origins)?;
        Ok(ServeOptions {
            listen: Some(self.listen),
            public_url: self.public_url.clone(),
            data_dir: data_dir(self.data_dir.as_ref())?,
            database,
            redirect_downloads: self.redirects(origins)?,
            storage: self.process.storage_url.clone(),
            admin_listen: self.process.admin_listen.0,
            internal_listen,
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            trusted_proxies: self.trusted_proxy.clone(),
            connections: ConnectionLimits::default(),
            allow_private_networks: self.allow_private_networks,
            workers: self.engines.workers,
            api_key: self.api_key.clone(),
            models: self.engines.served(origins)?,
            loras: self.engines.lora_folders(origins)?,
            safety: SafetyPolicy { on_flag: safety.on_flag, required: safety.required },
            engines: self.engines.start(safety, origins)?,
            sync_timeout: self.sync_timeout,
            quota: self.quota_gb,
            retention: self.retention_days,
            rates: Rates { dollars: self.cost_rate },
            finish_within: self.process.finish_within,
            stop_within: self.process.stop_within(),
        })
    }
}

/// What a server or a worker runs on.
///
/// # Errors
/// When the system grants no threads.
pub fn runtime() -> Result<Runtime, CommandFailure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandFailure::other(format!("cannot start the runtime: {error}")))
}

/// Runs a server or a worker until a signal, and sends what is left of `traces` then.
///
/// # Errors
/// When it cannot start, or its models cannot be opened.
pub fn run_server(
    runtime: Runtime,
    traces: Option<Traces>,
    options: ServeOptions,
    origins: &Origins,
) -> Result<(), CommandFailure> {
    heap::limit_arenas(ARENAS);
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(watch_signals(stop.clone()));
        tokio::spawn(release_memory());
        serve(options, stop, announce).await
    });
    if let Some(traces) = traces {
        traces.finish();
    }
    // Blocking work that is left (a decode of an abandoned request) must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome.map_err(|error| failure(&error, origins))
}

/// The folder named by `--data-dir`, or the platform's.
pub fn data_dir(named: Option<&PathBuf>) -> Result<PathBuf, CommandFailure> {
    if let Some(folder) = named {
        return Ok(folder.clone());
    }
    let platform = choose_native_strategy().map_err(|error| {
        CommandFailure::bad_input("--data-dir", format_args!("the data folder is unknown, name one: {error}"))
    })?;
    Ok(platform.data_dir().join("afterimage"))
}

/// Which exit code and subject an error has.
pub fn store_failure(error: &StoreError) -> CommandFailure {
    match error {
        StoreError::UnusableKey { reason } => CommandFailure::bad_input("--api-key", reason),
        other => CommandFailure::other(other.to_string()),
    }
}

fn failure(error: &ServeError, origins: &Origins) -> CommandFailure {
    match error {
        ServeError::Listen(ListenError::Certificate { .. }) => {
            CommandFailure::bad_input(origins.subject("tls_cert"), error)
        }
        ServeError::Store(error) => store_failure(error),
        ServeError::Engine(UnusableEngine { model: Some(name), message }) => about_set(name, message, origins),
        ServeError::Engine(UnusableEngine { model: None, message }) => CommandFailure::usage(message),
        other => CommandFailure::other(other.to_string()),
    }
}

/// Tells where the server is: the only thing on standard output.
fn announce(started: &Started) {
    let Some(url) = &started.url else { return };
    let key = started.first_key.as_ref().map(|key| {
        let key = key.expose();
        format!("playground  {url}/#key={key}\nkey         {key}  (shown once)\n")
    });
    let mut output = io::stdout().lock();
    // A reader that is gone must not end the server.
    let written = write!(output, "Afterimage listens on {url}\n{}", key.unwrap_or_default());
    let _ = written.and_then(|()| output.flush());
}

/// The first signal asks for an orderly end, the second ends at once.
async fn watch_signals(stop: CancellationToken) {
    next_signal().await;
    stop.cancel();
    next_signal().await;
    std::process::exit(1);
}

#[cfg(unix)]
async fn next_signal() {
    let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) else { return };
    tokio::select! {
        _ = signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn next_signal() {
    let _ = signal::ctrl_c().await;
}
