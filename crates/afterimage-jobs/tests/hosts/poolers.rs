//! pgbouncer in transaction mode between hosts and database.

use crate::host::{Host, blobs, database, job};
use crate::postgres::{Server, server};
use crate::waiting::until;
use afterimage_jobs::{Error, JobStore, PostgresOptions, PostgresStore};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::task::JoinSet;

/// A running pooler. Dropping it ends it.
struct Pooler {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// `None`, with a word about it, where there is no pgbouncer.
    async fn before(server: &Server, database: &str) -> Option<Self> {
        if Command::new("pgbouncer").arg("--version").output().is_err() {
            assert!(std::env::var_os("AFTERIMAGE_REQUIRE_PGBOUNCER").is_none(), "pgbouncer is not installed");
            eprintln!("skipped: no pgbouncer here");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={} dbname={database} user=postgres\n[pgbouncer]\n\
             listen_addr=127.0.0.1\nlisten_port={port}\nauth_type=any\npool_mode=transaction\ndefault_pool_size=4\n\
             ignore_startup_parameters=extra_float_digits\nunix_socket_dir=\n",
            server.port
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
        let mut command = if is_root {
            // It refuses to run for root.
            assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path()).status().unwrap().success());
            let mut command = Command::new("runuser");
            command.args(["-u", "nobody", "--", "pgbouncer"]);
            command
        } else {
            Command::new("pgbouncer")
        };
        let process = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { process, port, _folder: folder };
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        until("the pooler listens", Duration::from_secs(10), listens).await;
        Some(pooler)
    }

    fn address(&self, database: &str, options: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}{options}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unnamed_pooler_is_refused() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let Some(pooler) = Pooler::before(server, &name).await else { return };
    let refused = PostgresStore::open(&pooler.address(&name, ""), PostgresOptions::default()).await;
    let error = refused.err().expect("a refusal");
    assert!(matches!(error, Error::Pooler), "{error}");
    assert!(error.to_string().contains("?pooler=transaction"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_through_a_pooler_are_those_of_the_database() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let Some(pooler) = Pooler::before(server, &name).await else { return };
    let files = blobs();
    let options =
        PostgresOptions { direct_address: Some(server.address(&name)), connections: 16, ..PostgresOptions::default() };
    let address = pooler.address(&name, "?pooler=transaction");
    let api = Host::start_with(&address, &files, 0, options.clone()).await;
    let worker = Host::start_with(&address, &files, 8, options).await;
    let direct = PostgresStore::open(&server.address(&name), PostgresOptions::default()).await.unwrap();
    let key = api.key().await;
    let mut ids = Vec::new();
    for _ in 0..64 {
        ids.push(api.store.submit(job(&key, 2)).await.unwrap().into_job().id);
    }
    // Readers in a crowd, each of which would notice another one's answer.
    let mut readers = JoinSet::new();
    for reader in 0..16 {
        let (store, ids) = (api.store.clone(), ids.clone());
        readers.spawn(async move {
            for id in ids.iter().cycle().skip(reader * 4).take(100) {
                assert_eq!(store.job(id).await.unwrap().expect("the job").id, *id);
            }
        });
    }
    readers.join_all().await;
    let done = async || api.store.ends().await.unwrap().succeeded == 64;
    until("all are done", Duration::from_secs(30), done).await;
    for id in &ids {
        assert_eq!(api.store.job(id).await.unwrap(), direct.job(id).await.unwrap());
    }
    worker.stop().await;
}
