//! `afterimage worker`: runs jobs of a database that hosts share.

use super::serve::{data_dir, run_server, runtime};
use crate::database_flag::DatabaseFlag;
use crate::engine_flags::EngineFlags;
use crate::failure::CommandFailure;
use crate::origin::Origins;
use crate::process_flags::ProcessFlags;
use afterimage_server::cost::Rates;
use afterimage_server::listen::ConnectionLimits;
use afterimage_server::options::{SafetyPolicy, ServeOptions};
use afterimage_server::private_files::keep_private;
use clap::Args;
use std::time::Duration;

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

    #[command(flatten)]
    process: ProcessFlags,

    #[command(flatten)]
    engines: EngineFlags,
}

impl Worker {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        keep_private();
        let runtime = runtime()?;
        let traces = self.process.start_logging("worker", &runtime)?;
        run_server(runtime, traces, self.options(origins)?, origins)
    }

    fn options(&self, origins: &Origins) -> Result<ServeOptions, CommandFailure> {
        if self.engines.workers == 0 {
            let problem = "a worker runs at least 1 job at once";
            return Err(CommandFailure::bad_input(origins.subject("workers"), problem));
        }
        let Some(storage) = self.process.storage_url.clone() else {
            let problem = "name the storage that all hosts share";
            return Err(CommandFailure::bad_input(origins.subject("storage_url"), problem));
        };
        let database = self.database.shared(origins)?;
        let internal_listen = self.process.internal_listen(Some(&database), origins)?;
        let safety = self.engines.safety(origins)?;
        Ok(ServeOptions {
            listen: None,
            public_url: None,
            data_dir: data_dir(None)?,
            database: Some(database),
            storage: Some(storage),
            redirect_downloads: false,
            admin_listen: self.process.admin_listen.0,
            internal_listen,
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
            finish_within: self.process.finish_within,
            stop_within: self.process.stop_within(),
        })
    }
}
