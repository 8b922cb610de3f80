//! Engine processes whose server is killed without a chance to end them.

use crate::waiting::{blocking_until, until};
use afterimage_engine::EngineOptions;
use afterimage_worker::child::ChildSettings;
use afterimage_worker::{EngineCommand, EngineGroup, EngineProcesses, SupervisorLimits};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Set in the process that plays the server: this test program, started again.
const ROLE: &str = "PLAY_THE_SERVER";

/// What no engine process may know.
const SECRET: &str = "not-for-engines";

/// Plays the server when asked to, and is no test otherwise.
#[tokio::test]
async fn server() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let mut command = EngineCommand::this_program(&EngineOptions::default(), &ChildSettings::default()).unwrap();
    command.program = env!("CARGO_BIN_EXE_afterimage").into();
    let processes = EngineProcesses::start(vec![EngineGroup::unnamed(&command, 2)], SupervisorLimits::default());
    let are_open = async || processes.processes().iter().all(|status| status.state.is_open());
    until("both processes are open", Duration::from_mins(1), are_open).await;
    for status in processes.processes() {
        eprintln!("engine {}", status.pid.unwrap());
    }
    std::future::pending::<()>().await;
}

#[test]
fn they_know_no_secrets_and_end_with_a_server_that_is_killed() {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "orphans::server", "--nocapture"])
        .env(ROLE, "1")
        .env("AFTERIMAGE_API_KEY", SECRET)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines().map(Result::unwrap);
    let engines: Vec<String> =
        lines.filter_map(|line| line.strip_prefix("engine ").map(str::to_owned)).take(2).collect();
    for engine in &engines {
        let environment = fs::read(format!("/proc/{engine}/environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        assert!(environment.contains("PATH="), "{environment}");
        assert!(!environment.contains(SECRET), "{environment}");
        assert!(is_alive(engine));
    }
    server.kill().unwrap();
    server.wait().unwrap();
    blocking_until("no orphan lives", Duration::from_secs(5), || !engines.iter().any(|engine| is_alive(engine)));
}

/// A process that ended may stay as a zombie until somebody asks for its exit code.
fn is_alive(pid: &str) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    !status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
}
