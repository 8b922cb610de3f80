//! `afterimage worker`: runs jobs of a database that hosts share.

use super::serve::{data_dir, run_server};
use crate::database_flag::DatabaseFlag;
use crate::engine_flags::EngineFlags;
use crate::failure::CommandFailure;
use crate::logging::{LogFormat, start_logging};
use crate::origin::Origins;
use crate::values;
use afterimage_server::cost::Rates;
use afterimage_server::listen::ConnectionLimits;
use afterimage_server::options::{SafetyPolicy, ServeOptions, StoragePlace};
use afterimage_server::private_files::keep_private;
use clap::Args;
use std::time::Duration;

/// What a stop takes beyond the time that jobs have to finish: handing back what is left, and ending the engines.
const ENDING: Duration = Duration::from_secs(10);

/// Run jobs of a database that several hosts share
///
/// Takes the jobs that its models serve, on its devices, and answers no requests but those of operators: /healthz, /readyz,
/// /metrics, /status and /autoscale on --admin-listen. SIGTERM: no new jobs; running ones finish within --finish-within,
/// others go back to the queue, which costs them nothing.
#[derive(Args, Debug)]
#[command(mut_arg("safety", |flag| flag.hide_short_help(false)))]
pub struct Worker {
    #[command(flatten)]
    database: DatabaseFlag,

    /// Where inputs, uploads and results are kept, the same for all hosts: `file:FOLDER` or `s3://BUCKET/PREFIX`
    #[arg(
        long,
        env = "AFTERIMAGE_STORAGE_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = values::storage_url
    )]
    storage_url: Option<StoragePlace>,

    /// Address of health and metrics, without a key; `off` for none
    ///
    /// Keep it on an address that only operators reach.
    #[arg(
        long,
        env = "AFTERIMAGE_ADMIN_LISTEN",
        hide_env_values = true,
        value_name = "ADDR",
        default_value = "127.0.0.1:9090",
        value_parser = values::address_or_off
    )]
    admin_listen: values::OptionalAddress,

    /// Seconds that running jobs have to finish when the worker is asked to stop
    #[arg(
        long,
        env = "AFTERIMAGE_FINISH_WITHIN",
        hide_env_values = true,
        value_name = "SECONDS",
        default_value = "20",
        value_parser = values::seconds
    )]
    finish_within: Duration,

    /// Form of the log on standard error; how much is set by `RUST_LOG`
    #[arg(
        long,
        env = "AFTERIMAGE_LOG_FORMAT",
        hide_env_values = true,
        value_name = "FORMAT",
        default_value = "pretty"
    )]
    log_format: LogFormat,

    #[command(flatten)]
    engines: EngineFlags,
}

impl Worker {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        keep_private();
        start_logging(self.log_format)?;
        run_server(self.options(origins)?, origins)
    }

    fn options(&self, origins: &Origins) -> Result<ServeOptions, CommandFailure> {
        if self.engines.workers == 0 {
            let problem = "a worker runs at least 1 job at once";
            return Err(CommandFailure::bad_input(origins.subject("workers"), problem));
        }
        let Some(storage) = self.storage_url.clone() else {
            let problem = "name the storage that all hosts share";
            return Err(CommandFailure::bad_input(origins.subject("storage_url"), problem));
        };
        let safety = self.engines.safety(origins)?;
        Ok(ServeOptions {
            listen: None,
            public_url: None,
            data_dir: data_dir(None)?,
            database: Some(self.database.shared(origins)?),
            storage: Some(storage),
            redirect_downloads: false,
            admin_listen: self.admin_listen.0,
            tls: None,
            trusted_proxies: Vec::new(),
            connections: ConnectionLimits::default(),
            allow_private_networks: false,
            workers: self.engines.workers,
            api_key: None,
            models: self.engines.served(origins)?,
            loras: self.engines.lora_folders(origins)?,
            safety: SafetyPolicy { on_flag: safety.on_flag, required: safety.required },
            engines: self.engines.start(safety, origins)?,
            // What only those who answer requests need.
            sync_timeout: Duration::ZERO,
            quota: None,
            retention: Duration::MAX,
            rates: Rates { dollars: 0.0 },
            finish_within: self.finish_within,
            stop_within: self.finish_within + ENDING,
        })
    }
}
