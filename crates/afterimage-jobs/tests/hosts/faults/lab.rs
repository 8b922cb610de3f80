//! An installation: database, pooler, bucket, an API server and workers, each of which can be made to fail.

use crate::host::{Host, database};
use crate::pooler::Pooler;
use crate::postgres::Server;
use crate::s3_server::{KEY_ID, S3Server, SECRET, url_at};
use crate::unsteady_proxy::{Line, UnsteadyProxy};
use afterimage_jobs::{Blobs, BucketCredentials, BucketUrl, JobId, PostgresOptions, PostgresStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

/// Jobs that each worker process runs at once.
const SLOTS: usize = 3;

/// Leases that may run out: far more faults come than in years of service.
const EXPIRED_LEASES: u32 = 100;

/// Notes every end, and refuses one that changes.
const WITNESS: &str = "CREATE TABLE witnessed_ends (id TEXT NOT NULL, state TEXT NOT NULL); \
     CREATE FUNCTION witness() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \
     IF OLD.finished_at IS NOT NULL AND (NEW.state, NEW.finished_at) IS DISTINCT FROM (OLD.state, OLD.finished_at) \
     THEN RAISE EXCEPTION 'the end of % changed', OLD.id; END IF; \
     IF OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL \
     THEN INSERT INTO witnessed_ends VALUES (NEW.id, NEW.state); END IF; RETURN NULL; END $$; \
     CREATE TRIGGER witness AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION witness()";

/// Where results are kept.
pub enum Files {
    /// Where there is no server for a bucket.
    Memory(Blobs),
    Bucket {
        _server: S3Server,
        line: Arc<UnsteadyProxy>,
        name: String,
    },
}

impl Files {
    async fn start() -> Self {
        let Some(server) = S3Server::start() else { return Self::Memory(Blobs::memory()) };
        let name = format!("bucket-{}", JobId::random());
        server.make_bucket(&name).await;
        let line = Arc::new(UnsteadyProxy::before(server.address).await);
        Self::Bucket { _server: server, line, name }
    }

    /// How to come to them: each process has connections of its own.
    fn opener(&self) -> Opener {
        match self {
            Self::Memory(blobs) => Opener::Memory(blobs.clone()),
            Self::Bucket { line, name, .. } => Opener::Bucket(url_at(line.address, name)),
        }
    }

    pub async fn open(&self) -> Blobs {
        self.opener().open().await
    }
}

#[derive(Clone)]
enum Opener {
    Memory(Blobs),
    Bucket(String),
}

impl Opener {
    async fn open(&self) -> Blobs {
        let url = match self {
            Self::Memory(blobs) => return blobs.clone(),
            Self::Bucket(url) => BucketUrl::parse(url).unwrap(),
        };
        loop {
            let credentials = BucketCredentials { key_id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
            match Blobs::bucket(&url, Some(credentials)).await {
                Ok(blobs) => return blobs,
                // Real time: whatever starts a process starts it again.
                Err(_) => sleep(Duration::from_millis(500)).await,
            }
        }
    }
}

/// How a process comes to the database.
#[derive(Clone)]
struct Way {
    address: String,
    options: PostgresOptions,
}

impl Way {
    async fn start(&self, blobs: &Blobs, slots: usize) -> Host {
        loop {
            match Host::try_start(&self.address, blobs, slots, self.options.clone()).await {
                Ok(host) => return host,
                // Real time: as above.
                Err(_) => sleep(Duration::from_millis(500)).await,
            }
        }
    }
}

/// A worker with threads, connections and a line of its own.
pub struct WorkerProcess {
    runtime: Option<Runtime>,
    host: Option<Host>,
    way: Way,
    files: Opener,
    pub line: Arc<UnsteadyProxy>,
}

impl WorkerProcess {
    pub async fn start(&mut self) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (way, files) = (self.way.clone(), self.files.clone());
        let starting = runtime.spawn(async move { way.start(&files.open().await, SLOTS).await });
        self.runtime = Some(runtime);
        self.host = Some(starting.await.unwrap());
    }

    /// Its sudden end: nothing that it was at goes on.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.host = None;
    }

    /// Nothing of it goes on for so long, timers neither; it does not know that.
    pub fn freeze(&self, time: Duration) {
        if let Some(runtime) = &self.runtime {
            // Real time: a process that stands still.
            runtime.spawn(async move { std::thread::sleep(time) });
        }
    }

    /// Its end in good order.
    pub async fn drain(&mut self) {
        if let Some(host) = self.host.take() {
            host.stop().await;
        }
        self.kill();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Everything.
pub struct Lab {
    pub server: Server,
    pub name: String,
    pub pooler: Option<Pooler>,
    pub files: Files,
    pub workers: Vec<WorkerProcess>,
    pub api: Host,
    api_way: Way,
    /// Past everything that fails but the database itself.
    pub direct: PostgresStore,
}

impl Lab {
    pub async fn start() -> Option<Self> {
        let server = Server::start()?;
        let name = database(&server).await;
        server.execute(&name, WITNESS.to_owned()).await;
        let pooler = Pooler::before(&server, &name).await;
        let files = Files::start().await;
        let options = PostgresOptions { connections: 6, expired_leases: EXPIRED_LEASES, ..PostgresOptions::default() };
        // The API and one worker come by the pooler, two workers straight, each by a line of its own.
        let mut api_way = Way { address: server.address(&name), options: options.clone() };
        if let Some(pooler) = &pooler {
            api_way.address = pooler.address(&name, "?pooler=transaction");
            api_way.options.direct_address = Some(server.address(&name));
        }
        let mut workers = Vec::new();
        for number in 0..4 {
            let line = Arc::new(UnsteadyProxy::before(([127, 0, 0, 1], server.port).into()).await);
            let by_line = server.address(&name).replace(&server.port.to_string(), &line.address.port().to_string());
            let way = match &pooler {
                Some(_) if number == 0 => api_way.clone(),
                _ => Way { address: by_line, options: options.clone() },
            };
            let mut worker = WorkerProcess { runtime: None, host: None, way, files: files.opener(), line };
            worker.start().await;
            workers.push(worker);
        }
        let api = api_way.start(&files.open().await, 0).await;
        let direct = PostgresStore::open(&server.address(&name), options).await.unwrap();
        Some(Self { server, name, pooler, files, workers, api, api_way, direct })
    }

    /// Another API server in place of the one that there is, which ends suddenly.
    pub async fn replace_api(&mut self) {
        self.api = self.api_way.start(&self.files.open().await, 0).await;
    }

    /// Sets the lines of all workers.
    pub fn set_lines(&self, line: Line) {
        for worker in &self.workers {
            worker.line.set(line);
        }
    }

    /// Ends all that fails now.
    pub fn heal(&self) {
        self.set_lines(Line::Steady);
        if let Files::Bucket { line, .. } = &self.files {
            line.set(Line::Steady);
        }
    }
}
