//! pgbouncer in transaction mode, in a process of its own.

use crate::postgres::Server;
use crate::waiting::until;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A running pooler. Dropping it ends it.
pub struct Pooler {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Pooler {
    /// `None`, with a word about it, where there is no pgbouncer.
    pub async fn before(server: &Server, database: &str) -> Option<Self> {
        if Command::new("pgbouncer").arg("--version").output().is_err() {
            assert!(std::env::var_os("AFTERIMAGE_REQUIRE_PGBOUNCER").is_none(), "pgbouncer is not installed");
            eprintln!("skipped: no pgbouncer here");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={} dbname={database} user=postgres\n[pgbouncer]\n\
             listen_addr=127.0.0.1\nlisten_port={port}\nauth_type=any\npool_mode=transaction\ndefault_pool_size=8\n\
             ignore_startup_parameters=extra_float_digits\nunix_socket_dir=\nserver_login_retry=1\n",
            server.port
        );
        std::fs::write(folder.path().join("pgbouncer.ini"), settings).unwrap();
        let pooler = Self { process: spawn(&folder), port, folder };
        pooler.listens().await;
        Some(pooler)
    }

    /// Where the database is found behind it.
    pub fn address(&self, database: &str, options: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}{options}", self.port)
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it after [`Pooler::kill`].
    pub async fn run(&mut self) {
        self.process = spawn(&self.folder);
        self.listens().await;
    }

    async fn listens(&self) {
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok();
        until("the pooler listens", Duration::from_secs(10), listens).await;
    }
}

fn spawn(folder: &TempDir) -> Child {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let mut command = if is_root {
        // It refuses to run for root.
        assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path()).status().unwrap().success());
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--clear-groups", "pgbouncer"]);
        command
    } else {
        Command::new("pgbouncer")
    };
    let file = folder.path().join("pgbouncer.ini");
    command.arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.kill();
    }
}
