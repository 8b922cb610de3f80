//! A PostgreSQL server for the tests of one process: started by the first that needs it, gone with the process.
//!
//! Its programs are looked for where distributions put them, or in the folder that `AFTERIMAGE_TEST_POSTGRES` names. Where
//! there are none the tests say so and pass, unless that variable is set: then they are asked for.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The folder of `initdb` and `postgres`.
const PROGRAMS: &str = "AFTERIMAGE_TEST_POSTGRES";

/// Servers write as if the machine could not fail: the tests end their processes, not the machine.
const SETTINGS: &str = "listen_addresses = ''\nmax_connections = 400\nfsync = off\nfull_page_writes = off\n\
     synchronous_commit = off\nshared_buffers = 64MB\nautovacuum_naptime = 5s\n";

/// A running server.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    databases: AtomicU32,
    /// Ends the server when its standard input ends, which is when this process does.
    _keeper: Child,
}

static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::start);

/// The server of this process; `None`, with a word about it, where none can be had.
pub fn server() -> Option<&'static Server> {
    if SERVER.is_none() {
        eprintln!("skipped: no PostgreSQL here (install it, or name the folder of its programs in {PROGRAMS})");
    }
    SERVER.as_ref()
}

impl Server {
    fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("afterimage-postgres").tempdir().unwrap();
        let data = folder.path().join("data");
        let as_user = unprivileged(folder.path());
        let initdb = run(&as_user, &programs.join("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));
        let settings = format!("{SETTINGS}unix_socket_directories = '{}'\n", folder.path().display());
        let file = data.join("postgresql.conf");
        let text = std::fs::read_to_string(&file).unwrap() + &settings;
        std::fs::write(file, text).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let script =
            r#""$@" < /dev/null & server=$!; cat > /dev/null; kill -QUIT $server; wait $server; rm -rf "$FOLDER""#;
        let keeper = Command::new("sh")
            .args(["-c", script, "keeper"])
            .args(words(&as_user, &programs.join("postgres")))
            .arg("-D")
            .arg(&data)
            .env("FOLDER", folder.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { folder, programs, databases: AtomicU32::new(0), _keeper: keeper };
        server.wait();
        Some(server)
    }

    fn wait(&self) {
        for _ in 0..600 {
            let ready =
                Command::new(self.programs.join("pg_isready")).arg("-h").arg(self.folder.path()).output().unwrap();
            if ready.status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
    }

    /// The address of a database of this server.
    pub fn address(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.folder.path().display())
    }

    /// Makes a database, as a copy of `template`.
    pub async fn create_database(&self, template: &str) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        name
    }

    /// Runs statements in a database.
    pub async fn execute(&self, database: &str, statements: String) {
        use sqlx::{Connection, Executor};
        let mut connection = sqlx::PgConnection::connect(&self.address(database)).await.unwrap();
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statements))).await.unwrap();
        connection.close().await.unwrap();
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
fn unprivileged(folder: &Path) -> Option<&'static str> {
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

fn run(user: &Option<&'static str>, program: &Path) -> Command {
    let mut words = words(user, program).into_iter();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).current_dir("/");
    command
}

fn words(user: &Option<&'static str>, program: &Path) -> Vec<String> {
    let program = program.display().to_string();
    user.map_or_else(
        || vec![program.clone()],
        |user| ["runuser", "-u", user, "--", &program].map(str::to_owned).to_vec(),
    )
}
