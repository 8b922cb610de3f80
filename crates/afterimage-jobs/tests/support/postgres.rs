//! A PostgreSQL server for the tests of one process: started by the first that needs it, gone with the process.
//!
//! Its programs are looked for where distributions put them, or in the folder that `AFTERIMAGE_TEST_POSTGRES` names. Where
//! there are none the tests say so and pass, unless `AFTERIMAGE_REQUIRE_POSTGRES` is set.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// The folder of `initdb` and `postgres`.
const PROGRAMS: &str = "AFTERIMAGE_TEST_POSTGRES";

/// Set where a test that finds no server should fail.
const REQUIRED: &str = "AFTERIMAGE_REQUIRE_POSTGRES";

/// Servers write as if the machine could not fail: the tests end processes only. What a server acknowledged outlives it.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'\nmax_connections = 400\nfsync = off\nfull_page_writes = off\n\
     shared_buffers = 64MB\nautovacuum_naptime = 5s\n";

/// A running server.
pub struct Server {
    pub folder: TempDir,
    pub programs: PathBuf,
    pub user: Option<&'static str>,
    /// Set for the server's process.
    environment: Vec<(String, String)>,
    /// Where it listens.
    pub port: u16,
    #[allow(dead_code, reason = "as below")]
    databases: AtomicU32,
    /// Each ends a run of the server when its standard input ends, which is when this process does.
    keepers: Mutex<Vec<Child>>,
}

static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::start);

/// The server of this process; `None`, with a word about it, where none can be had.
pub fn server() -> Option<&'static Server> {
    if SERVER.is_none() {
        assert!(std::env::var_os(REQUIRED).is_none(), "PostgreSQL is not installed");
        eprintln!("skipped: no PostgreSQL here (install it, or name the folder of its programs in {PROGRAMS})");
    }
    SERVER.as_ref()
}

impl Server {
    /// A server of one's own, for those who end it; `None` where none can be had.
    pub fn start() -> Option<Self> {
        Self::start_as("", Vec::new())
    }

    /// One with further lines of settings, which have the last word.
    #[allow(dead_code, reason = "not every test that has this module does")]
    pub fn start_with(further: &str) -> Option<Self> {
        Self::start_as(further, Vec::new())
    }

    /// One with these variables in its environment.
    #[allow(dead_code, reason = "as above")]
    pub fn start_in(environment: Vec<(String, String)>) -> Option<Self> {
        Self::start_as("", environment)
    }

    fn start_as(further: &str, environment: Vec<(String, String)>) -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("afterimage-postgres").tempdir().unwrap();
        let data = folder.path().join("data");
        let as_user = unprivileged(folder.path());
        let initdb = run(as_user, &programs.join("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));
        let server = Self::of(folder, programs, as_user, further, environment);
        server.run();
        Some(server)
    }

    /// A server whose data lies in `folder`, not yet running.
    pub fn of(
        folder: TempDir,
        programs: PathBuf,
        user: Option<&'static str>,
        further: &str,
        environment: Vec<(String, String)>,
    ) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings =
            format!("{SETTINGS}port = {port}\nunix_socket_directories = '{}'\n{further}", folder.path().display());
        let file = folder.path().join("data/postgresql.conf");
        let text = std::fs::read_to_string(&file).unwrap() + &settings;
        std::fs::write(file, text).unwrap();
        Self { folder, programs, user, environment, port, databases: AtomicU32::new(0), keepers: Mutex::default() }
    }

    /// Starts it, after [`Server::kill`] again.
    pub fn run(&self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        // Not by `$server` alone: `runuser` hears no QUIT in the background.
        let script = r#""$@" < /dev/null & server=$!; cat > /dev/null; kill -QUIT "$(head -n 1 "$FOLDER/data/postmaster.pid")"
            kill -TERM $server; wait $server; rm -rf "$FOLDER""#;
        let keeper = Command::new("sh")
            .args(["-c", script, "keeper"])
            .args(words(self.user, &self.programs.join("postgres")))
            .arg("-D")
            .arg(self.data())
            .env("FOLDER", self.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.keepers.lock().unwrap().push(keeper);
        self.wait();
    }

    /// Ends it as a crash would.
    #[allow(dead_code, reason = "not every test that has this module does")]
    pub fn kill(&self) {
        let stopped = run(self.user, &self.programs.join("pg_ctl"))
            .args(["stop", "-m", "immediate", "-D"])
            .arg(self.data())
            .output()
            .unwrap();
        assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    }

    /// The number of the server's own process, whose children serve the connections.
    #[allow(dead_code, reason = "as above")]
    pub fn process(&self) -> u32 {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }

    /// Where its data lies.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn wait(&self) {
        for _ in 0..600 {
            let port = self.port.to_string();
            let asked = Command::new(self.programs.join("pg_isready")).args(["-h", "127.0.0.1", "-p", &port]).output();
            if asked.unwrap().status.success() {
                return;
            }
            // Real time: a process of its own gets ready.
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
    }

    /// The address of a database of this server.
    pub fn address(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database, as a copy of `template`.
    #[allow(dead_code, reason = "not every test that has this module does")]
    pub async fn create_database(&self, template: &str) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        name
    }

    /// Runs statements in a database.
    pub async fn execute(&self, database: &str, statements: String) {
        self.try_execute(database, statements).await.unwrap();
    }

    /// Runs statements that may fail.
    pub async fn try_execute(&self, database: &str, statements: String) -> sqlx::Result<()> {
        use sqlx::{Connection, Executor};
        let mut connection = sqlx::PgConnection::connect(&self.address(database)).await?;
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statements))).await?;
        connection.close().await
    }
}

/// Where `postgres` is; the newest of several.
fn programs() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(PROGRAMS) {
        let folder = PathBuf::from(folder);
        assert!(
            folder.join("postgres").exists(),
            "{PROGRAMS} names {}, where there is no `postgres`",
            folder.display()
        );
        return Some(folder);
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut folders: Vec<PathBuf> = versions.flatten().map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.into_iter().rev().find(|folder| folder.join("postgres").exists())
}

/// The server refuses to run for root; then it runs for its own user or for nobody, whose the folder has to be.
pub fn unprivileged(folder: &Path) -> Option<&'static str> {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root {
        return None;
    }
    let exists = |user: &str| Command::new("id").arg(user).output().is_ok_and(|output| output.status.success());
    let user = if exists("postgres") { "postgres" } else { "nobody" };
    let given = Command::new("chown").arg(user).arg(folder).status().unwrap();
    assert!(given.success());
    Some(user)
}

/// A program of the server, run as who owns the data.
pub fn run(user: Option<&'static str>, program: &Path) -> Command {
    let mut words = words(user, program).into_iter();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).current_dir("/");
    command
}

fn words(user: Option<&'static str>, program: &Path) -> Vec<String> {
    let program = program.display().to_string();
    user.map_or_else(
        || vec![program.clone()],
        |user| ["runuser", "-u", user, "--", &program].map(str::to_owned).to_vec(),
    )
}
