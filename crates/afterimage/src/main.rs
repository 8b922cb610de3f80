//! `afterimage`: makes variations of pictures with FLUX.1 Redux and reshapes them with image-to-image.

#![expect(
    rustdoc::invalid_html_tags,
    reason = "doc comments of flags are the program's help, where <FLAG> stands for a name"
)]

mod beside_pictures;
mod cancel;
mod cli;
mod commands;
mod config;
mod control_flags;
mod database_flag;
mod definition;
mod devices;
mod engine_flags;
mod engine_shares;
mod failure;
mod flags;
mod generate;
mod hub_connection;
mod hub_files;
mod logging;
mod many_flags;
mod mcp;
mod model_sets;
mod origin;
mod output;
mod process_flags;
mod progress;
mod pull_progress;
mod safety_flags;
mod telemetry;
mod usage;
mod values;

use cli::Parsed;
use failure::CommandFailure;
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A bug must end like every other failure, with one line and exit code 1, not with a backtrace and 101.
    panic::set_hook(Box::new(|info| {
        CommandFailure::internal(info.payload_as_str().unwrap_or("panic without a message"), info.location()).print();
    }));
    panic::catch_unwind(run).unwrap_or(ExitCode::from(1))
}

fn run() -> ExitCode {
    let outcome = match cli::parse(std::env::args_os()) {
        Ok(Parsed::Command(command, origins)) => {
            if !command.keeps_a_log() {
                logging::start_warnings();
            }
            command.run(&origins)
        }
        Ok(Parsed::Help(help)) => {
            // A reader that has seen enough of the help (`| head`) is no failure.
            let _ = help.print();
            return ExitCode::from(help.exit_code() as u8);
        }
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}
