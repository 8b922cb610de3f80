//! What a server and a worker have in common as processes: storage, addresses for operators and other hosts, log, and how
//! they end.

use crate::failure::CommandFailure;
use crate::logging::{LogFormat, start_logging};
use crate::origin::Origins;
use crate::telemetry::Traces;
use crate::values;
use afterimage_server::options::{DatabaseAddress, StoragePlace};
use clap::Args;
use std::env;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Runtime;
use url::Url;

/// What a stop takes beyond the time that jobs have to finish: handing back what is left, and ending the engines.
const ENDING: Duration = Duration::from_secs(10);

/// How a process lives among others.
#[derive(Args, Debug)]
pub struct ProcessFlags {
    /// Where inputs, uploads and results are kept: `file:FOLDER` or `s3://BUCKET/PREFIX`
    ///
    /// Hosts that share a database need the same storage. An s3: URL may end in
    /// `?endpoint=URL&region=NAME&path_style=BOOL&allow_http=BOOL`, each as needed. Credentials are never part of it: they
    /// are those of the environment (`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`), or the role of the machine or pod.
    /// Default: the data folder of a server.
    #[arg(
        long,
        env = "AFTERIMAGE_STORAGE_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = values::storage_url
    )]
    pub storage_url: Option<StoragePlace>,

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
    pub admin_listen: values::OptionalAddress,

    /// Address where other hosts of the database ask how far jobs are; `off` for none
    ///
    /// With it, clients of one host see steps and previews of jobs that run on another as they happen; without it, steps
    /// some seconds late and no previews. Asking takes a pass that only holders of the database's secret can make; what
    /// is said is not encrypted, so keep it on a private network. 0.0.0.0 stands for the address that this machine uses
    /// towards the database.
    #[arg(
        long,
        env = "AFTERIMAGE_INTERNAL_LISTEN",
        hide_env_values = true,
        value_name = "ADDR",
        default_value = "off",
        hide_short_help = true,
        value_parser = values::address_or_off
    )]
    internal_listen: values::OptionalAddress,

    /// Seconds that running jobs have to finish when the process is asked to stop
    ///
    /// What is not finished then goes back to the queue, which costs it nothing. Whatever stops the process should give it
    /// 15 seconds more.
    #[arg(
        long,
        env = "AFTERIMAGE_FINISH_WITHIN",
        hide_env_values = true,
        value_name = "SECONDS",
        default_value = "30",
        hide_short_help = true,
        value_parser = values::seconds
    )]
    pub finish_within: Duration,

    /// Collector that traces are sent to by OTLP over HTTP, such as `http://collector:4318`
    ///
    /// One trace goes from a request by the queue to the worker and the webhook, on whichever hosts they are; a client's
    /// `traceparent` is taken up. Name, headers and sampling are set by the variables of OpenTelemetry: `OTEL_SERVICE_NAME`,
    /// `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`. Default: what `OTEL_EXPORTER_OTLP_ENDPOINT` says; without it no
    /// traces.
    #[arg(
        long,
        env = "AFTERIMAGE_OTLP_ENDPOINT",
        hide_env_values = true,
        value_name = "URL",
        hide_short_help = true,
        value_parser = values::web_url
    )]
    otlp_endpoint: Option<Url>,

    /// Form of the log on standard error; how much is set by `RUST_LOG`
    #[arg(
        long,
        env = "AFTERIMAGE_LOG_FORMAT",
        hide_env_values = true,
        value_name = "FORMAT",
        default_value = "pretty"
    )]
    log_format: LogFormat,
}

/// The variable that every program with OpenTelemetry knows.
const USUAL_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn usual_collector() -> Result<Option<Url>, CommandFailure> {
    let Some(text) = env::var(USUAL_VARIABLE).ok().filter(|text| !text.is_empty()) else { return Ok(None) };
    values::web_url(&text).map(Some).map_err(|problem| CommandFailure::bad_input(USUAL_VARIABLE, problem))
}

impl ProcessFlags {
    /// Starts the log, and traces of a process that is a `role`, if they are wanted.
    ///
    /// # Errors
    /// When traces cannot be sent.
    pub fn start_logging(&self, role: &'static str, runtime: &Runtime) -> Result<Option<Traces>, CommandFailure> {
        let start = |collector| Traces::start(collector, role, runtime.handle().clone());
        let traces = match &self.otlp_endpoint {
            Some(collector) => Some(start(collector)?),
            None => usual_collector()?.as_ref().map(start).transpose()?,
        };
        start_logging(self.log_format, traces.as_ref())?;
        Ok(traces)
    }

    /// Where other hosts of `database` ask this one.
    ///
    /// # Errors
    /// When no other host can use the database.
    pub fn internal_listen(
        &self,
        database: Option<&DatabaseAddress>,
        origins: &Origins,
    ) -> Result<Option<SocketAddr>, CommandFailure> {
        let is_shared = matches!(database, Some(DatabaseAddress::Postgres { .. }));
        if self.internal_listen.0.is_some() && !is_shared {
            let problem =
                "no other host can use this database; leave it off, or name one by --database-url postgres://";
            return Err(CommandFailure::bad_input(origins.subject("internal_listen"), problem));
        }
        Ok(self.internal_listen.0)
    }

    /// How long a stop may take.
    pub fn stop_within(&self) -> Duration {
        self.finish_within + ENDING
    }
}
