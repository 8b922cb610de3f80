//! The server's log on standard error, and other commands' warnings.

use crate::failure::CommandFailure;
use crate::telemetry::{Traces, without_traces};
use clap::ValueEnum;
use std::io::{self, IsTerminal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, registry};

/// Values of `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line for people
    Pretty,
    /// One JSON object a line
    Json,
}

/// What is logged when `RUST_LOG` is not set.
const USUAL: &str = "warn,afterimage=info,afterimage_server=info,afterimage_jobs=info";

/// Starts logging to standard error, and what sends traces if they are wanted.
pub fn start_logging(format: LogFormat, traces: Option<&Traces>) -> Result<(), CommandFailure> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let filter = without_messages(without_traces(filter));
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let log = match format {
        LogFormat::Pretty => log.with_target(false).with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    };
    let started = registry().with(log.with_filter(filter)).with(traces.map(Traces::layer)).try_init();
    started.map_err(|error| CommandFailure::other(format!("cannot start the log: {error}")))
}

/// `filter` without what the crate says that speaks MCP: however much is asked for, no log holds what clients send and are
/// sent, and one that hangs up is no error.
fn without_messages(filter: EnvFilter) -> EnvFilter {
    match "rmcp=off".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }
}

/// Has what the engine warns of, such as a card that is there and cannot be used, printed to standard error: for commands that
/// keep no log.
pub fn start_warnings() {
    let warnings = tracing_subscriber::fmt().with_env_filter(EnvFilter::new("off,afterimage_engine=warn"));
    let lines = warnings.without_time().with_target(false).with_ansi(false).with_writer(io::stderr);
    // Only another log in this process could be in the way.
    let _ = lines.try_init();
}
