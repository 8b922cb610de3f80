//! What only a database on disk can get wrong: crashes, files that vanish or are no database, processes beside it.

use crate::fixtures::{Harness, Kind, LEASE, START, create_key, failure, new_job, result};
use afterimage_jobs::{
    ActivityStore, CancelOutcome, DataFolderLock, DatabaseLock, Day, Error, FailureKind, Fenced, FetchStore, JobId,
    JobState, JobStore, KeyRole, KeyStore, ManualClock, NewKey, SqliteStore, SystemClock, UNNAMED, UseCounts, WorkerId,
};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinSet;

async fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, Arc::new(ManualClock::at(START))).await.unwrap()
}

/// What a crash at this moment leaves: the files as they are, with nothing closed or finished.
fn crash_image(folder: &Path) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{}{suffix}", SqliteStore::FILE_NAME);
        std::fs::copy(folder.join(&name), image.path().join(&name)).unwrap();
    }
    image
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let key = create_key(&store, "one", None).await;
    let worker = WorkerId::random();
    let mut submits = JoinSet::new();
    for _ in 0..50 {
        let (store, job) = (store.clone(), new_job(&key));
        submits.spawn(async move { store.submit(job).await.unwrap().into_job().id });
    }
    let ids = submits.join_all().await;
    let after_submit = crash_image(folder.path());
    let claimed = store.claim(&worker, &UNNAMED, LEASE).await.unwrap().unwrap();
    let after_claim = crash_image(folder.path());
    store.succeed(&claimed.lease(&worker), result()).await.unwrap();
    let after_success = crash_image(folder.path());

    for (image, state) in
        [(after_submit, JobState::Queued), (after_claim, JobState::Queued), (after_success, JobState::Succeeded)]
    {
        let lock = DataFolderLock::acquire(image.path()).unwrap();
        let restarted = open(image.path()).await;
        restarted.expire_leases(&lock).await.unwrap();
        for id in &ids {
            assert!(restarted.job(id).await.unwrap().is_some(), "lost {id}");
        }
        assert_eq!(restarted.job(&claimed.id).await.unwrap().unwrap().state, state);
        let runnable = std::iter::repeat_with(|| restarted.claim(&worker, &UNNAMED, LEASE));
        let mut count = 0;
        for claim in runnable {
            if claim.await.unwrap().is_none() {
                break;
            }
            count += 1;
        }
        assert_eq!(count, if state == JobState::Succeeded { 49 } else { 50 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_dropped_half_way_leave_whole_jobs_or_none() {
    let harness = Harness::new(Kind::Sqlite).await.unwrap();
    let mut dropped = Vec::new();
    for number in 0..200_u64 {
        let new = new_job(&harness.key);
        dropped.push(new.id.clone());
        let submit = harness.store.submit(new);
        let patience = std::time::Duration::from_micros(number * 5);
        let _ = tokio::time::timeout(patience, submit).await;
    }
    // A last write waits for everything before it.
    harness.submit_plain().await;
    let mut kept = 0;
    for id in &dropped {
        if let Some(job) = harness.store.job(id).await.unwrap() {
            assert_eq!(job.spec.sources.len(), 1);
            kept += 1;
        }
    }
    assert_eq!(harness.store.queue_depth().await.unwrap().queued, kept + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_racing_completion_has_one_end() {
    // The memory store looks through all of its jobs for anything, so each round starts with an empty one.
    for _ in 0..100 {
        race(Harness::new(Kind::Memory).await.unwrap(), 100).await;
    }
    race(Harness::new(Kind::Sqlite).await.unwrap(), 300).await;
}

async fn race(harness: Harness, tries: u64) {
    for _ in 0..tries {
        harness.submit_plain().await;
        let lease = harness.claim().await.lease(&harness.worker);
        let (one, two) = (harness.store.clone(), harness.store.clone());
        let (key, job, held) = (harness.key.clone(), lease.job.clone(), lease.clone());
        let cancel = tokio::spawn(async move { one.cancel(&key, &job).await.unwrap() });
        let succeed = tokio::spawn(async move { two.succeed(&held, result()).await.unwrap() });
        let (cancel, succeed) = (cancel.await.unwrap(), succeed.await.unwrap());
        // The worker holds the lease: its success always counts, and the request came before or after it.
        assert_eq!(succeed, Fenced::Done);
        assert!(matches!(cancel, CancelOutcome::Requested | CancelOutcome::AlreadyFinished));
        assert_eq!(harness.store.cancelled(&lease).await.unwrap(), Fenced::Lost);
        let job = harness.job(&lease.job).await;
        assert_eq!((job.state, job.result), (JobState::Succeeded, Some(result())));
    }
    let spent = harness.store.spending(&harness.key, None).await.unwrap();
    assert_eq!(spent.jobs, tries, "each success is counted once");
}

#[tokio::test]
async fn a_lost_database_refuses_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let key = create_key(&store, "one", None).await;
    let path = folder.path().join(SqliteStore::FILE_NAME);
    let away = folder.path().join("away");

    std::fs::rename(&path, &away).unwrap();
    for _ in 0..3 {
        assert!(matches!(store.submit(new_job(&key)).await, Err(Error::Unavailable { .. })));
    }
    // Another file in its place is not the database either.
    std::fs::copy(&away, &path).unwrap();
    assert!(matches!(store.submit(new_job(&key)).await, Err(Error::Unavailable { .. })));
    std::fs::rename(&away, &path).unwrap();
    let job = store.submit(new_job(&key)).await.unwrap().into_job();
    assert_eq!(store.job(&job.id).await.unwrap(), Some(job));
    assert_eq!(store.queue_depth().await.unwrap().queued, 1);
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock);
    std::fs::write(folder.path().join(SqliteStore::FILE_NAME), "certainly no database ".repeat(500)).unwrap();
    assert!(matches!(SqliteStore::open(folder.path(), clock.clone()).await, Err(Error::Unavailable { .. })));
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(SqliteStore::open(&file, clock.clone()).await, Err(Error::Unavailable { .. })));
    assert!(matches!(DataFolderLock::acquire(&file), Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn a_damaged_database_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SqliteStore::FILE_NAME);
    let id = {
        let store = open(folder.path()).await;
        let key = create_key(&store, "one", None).await;
        let mut last = JobId::random();
        for _ in 0..50 {
            last = store.submit(new_job(&key)).await.unwrap().into_job().id;
        }
        store.close().await;
        last
    };
    let image = crash_image(folder.path());
    let whole = std::fs::read(&path).unwrap();
    for damage in 0..12 {
        let mut bytes = whole.clone();
        let start = bytes.len() * damage / 12;
        let end = (start + 5000).min(bytes.len());
        bytes[start..end].fill(0xa5);
        std::fs::write(image.path().join(SqliteStore::FILE_NAME), &bytes).unwrap();
        let _ = std::fs::remove_file(image.path().join(format!("{}-wal", SqliteStore::FILE_NAME)));
        // Any answer will do, as long as it is one.
        if let Ok(store) = SqliteStore::open(image.path(), Arc::new(SystemClock)).await {
            let _ = store.job(&id).await;
            let _ = store.claim(&WorkerId::random(), &UNNAMED, LEASE).await;
            let _ = store.create_key(NewKey::default()).await;
        }
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).await);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join(SqliteStore::FILE_NAME));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999999, 'later', TRUE, x'00', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let refused = SqliteStore::open(folder.path(), Arc::new(SystemClock)).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn one_server_per_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep").join("data");
    let lock = DataFolderLock::acquire(&data).unwrap();
    let error = DataFolderLock::acquire(&data).unwrap_err();
    assert!(matches!(error, Error::DataFolderInUse { .. }));
    assert!(error.to_string().starts_with("another server uses the data folder"));
    drop(lock);
    DataFolderLock::acquire(&data).unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_server_per_database_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join(SqliteStore::FILE_NAME);
    let lock = DatabaseLock::acquire(&database).unwrap();
    let store = open(folder.path()).await;
    let key = create_key(&store, "one", None).await;
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let (linked, pointed) = (other.join("linked"), other.join("pointed"));
    std::fs::hard_link(&database, &linked).unwrap();
    std::os::unix::fs::symlink(&database, &pointed).unwrap();
    for name in [&database, &linked, &pointed] {
        let refused = DatabaseLock::acquire(name);
        assert!(matches!(refused, Err(Error::DatabaseInUse { .. })), "{}: {refused:?}", name.display());
    }
    // The lock is not in the way of SQLite's own.
    let command = open(folder.path()).await;
    command.create_key(NewKey::default()).await.unwrap();
    store.submit(new_job(&key)).await.unwrap();
    drop(lock);
    DatabaseLock::acquire(&linked).unwrap();
}

#[tokio::test]
async fn keys_can_be_made_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let _lock = DataFolderLock::acquire(folder.path()).unwrap();
    let server = open(folder.path()).await;
    let command = open(folder.path()).await;
    let (key, secret) = command.create_key(NewKey::default()).await.unwrap();
    assert_eq!(server.find_key(secret.expose()).await.unwrap(), Some(key.clone()));
    server.submit(new_job(&key.id)).await.unwrap();
    assert!(command.revoke_key(&key.id).await.unwrap());
    assert_eq!(server.find_key(secret.expose()).await.unwrap(), None);
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data).await;
    create_key(&store, "one", None).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    // A database that was open to others is closed, and so is its log.
    drop(store);
    let database = data.join(SqliteStore::FILE_NAME);
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(&data).await;
    create_key(&store, "two", None).await;
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// A database as the version before wrote it: due times by the clock, and workers that fetched pictures themselves.
#[tokio::test]
async fn jobs_of_the_version_before_keep_their_places_and_await_their_pictures() {
    use sqlx::SqlSafeStr;
    use sqlx::migrate::{Migration, MigrationType, Migrator};
    const BEFORE: [(i64, &str, &str); 3] = [
        (1, "queue", include_str!("../../src/store/sqlite/migrations/0001_queue.sql")),
        (2, "kept for", include_str!("../../src/store/sqlite/migrations/0002_kept_for.sql")),
        (3, "bytes", include_str!("../../src/store/sqlite/migrations/0003_bytes.sql")),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SqliteStore::FILE_NAME);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let history = BEFORE.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(history.to_vec()).run(&mut connection).await.unwrap();
    let key = "INSERT INTO keys (id, name, secret_sha256, created_at) VALUES ('a', 'a', 'x', 1), ('b', 'b', 'y', 1)";
    sqlx::query(key).execute(&mut connection).await.unwrap();
    let names = ["0", "1", "2", "remote", "running", "remote-running"];
    for (number, name) in names.iter().enumerate() {
        let running = name.contains("running");
        let due = START.0 + 60_000 * number as i64;
        sqlx::query(
            "INSERT INTO jobs (id, key_id, dialect, model, priority, cost_micros, due, state, attempt, worker, \
             lease_until, created_at) VALUES (?1, 'a', 'd', 'm', 0, 5, ?2, ?3, ?4, ?5, ?6, 1)",
        )
        .bind(*name)
        .bind(due)
        .bind(if running { "running" } else { "queued" })
        .bind(i64::from(running))
        .bind(running.then_some("somebody"))
        .bind(running.then_some(1))
        .execute(&mut connection)
        .await
        .unwrap();
        let mut spec = serde_json::to_value(new_job(&afterimage_jobs::KeyId::from("a")).spec).unwrap();
        spec.as_object_mut().unwrap().remove("rates");
        if name.contains("remote") {
            spec["sources"] = serde_json::json!([{"url": {"url": "https://example.com/a.png"}}]);
        }
        sqlx::query("INSERT INTO job_inputs (seq, input, spec) VALUES (?1, '{}', ?2)")
            .bind(number as i64 + 1)
            .bind(spec.to_string())
            .execute(&mut connection)
            .await
            .unwrap();
    }
    sqlx::Connection::close(connection).await.unwrap();

    let lock = DataFolderLock::acquire(folder.path()).unwrap();
    let store = open(folder.path()).await;
    assert_eq!(store.expire_leases(&lock).await.unwrap(), [JobId::from("running")]);
    let newcomer = store.submit(new_job(&afterimage_jobs::KeyId::from("b"))).await.unwrap().into_job().id;
    assert_eq!(store.position(&newcomer).await.unwrap(), Some(1), "behind the first of the old ones");
    let later = store.submit(new_job(&afterimage_jobs::KeyId::from("a"))).await.unwrap().into_job().id;
    let mut order = Vec::new();
    while let Some(job) = store.claim(&WorkerId::random(), &UNNAMED, LEASE).await.unwrap() {
        order.push(job.id);
    }
    let [zero, one, two, running] = ["0", "1", "2", "running"].map(JobId::from);
    assert_eq!(order, [zero, newcomer, one, two, running, later]);
    for name in ["remote", "remote-running"] {
        let (job, _) = store.claim_fetch(&[], LEASE).await.unwrap().unwrap();
        assert_eq!((job.id.as_str(), job.state), (name, JobState::Queued));
    }
}

/// Keys of before the roles, and jobs of before days were counted.
#[tokio::test]
async fn what_a_database_of_before_has_is_taken_over_for_operators() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let key = create_key(&store, "one", None).await;
    let worker = WorkerId::random();
    let done = store.submit(new_job(&key)).await.unwrap().into_job().id;
    let lease = store.claim(&worker, &UNNAMED, LEASE).await.unwrap().unwrap().lease(&worker);
    store.succeed(&lease, result()).await.unwrap();
    store.submit(new_job(&key)).await.unwrap();
    let lease = store.claim(&worker, &UNNAMED, LEASE).await.unwrap().unwrap().lease(&worker);
    store.fail(&lease, failure(FailureKind::Engine)).await.unwrap();
    store.close().await;
    drop(store);
    // As the version before left it.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join(SqliteStore::FILE_NAME));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let before = "DROP TABLE key_roles; DROP TABLE usage_days; DELETE FROM _sqlx_migrations WHERE version > 7; \
         INSERT INTO keys (id, name, secret_sha256, created_at, revoked_at) VALUES ('a', 'first', 'a', 1, NULL), \
         ('b', 'first', 'b', 2, NULL), ('c', 'from the command line', 'c', 3, NULL), \
         ('d', 'from the command line', 'd', 4, 5), ('e', 'shop', 'e', 5, NULL); \
         INSERT INTO jobs (id, key_id, dialect, model, priority, cost_micros, due, state, created_at, finished_at) \
         VALUES ('broken', 'e', 'd', 'm', 0, 5, 0, 'succeeded', 1, 1); \
         INSERT INTO job_results (seq, result) SELECT seq, 'no JSON' FROM jobs WHERE id = 'broken'";
    sqlx::raw_sql(before).execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();

    let store = open(folder.path()).await;
    let keys = store.keys().await.unwrap();
    let operators: Vec<&str> =
        keys.iter().filter(|key| key.role == KeyRole::Operator).map(|key| key.id.as_str()).collect();
    assert_eq!(operators, ["a", "c"], "the first of all, and what was given to a server");
    let uses = store.daily_use(Day(0), 10).await.unwrap();
    let told: Vec<(i64, &str, UseCounts)> =
        uses.iter().map(|used| (used.day.0, used.key.as_ref().unwrap().name.as_str(), used.counts)).collect();
    let counts = |pictures, failures, cost_micros| UseCounts { jobs: 1, pictures, failures, cost_micros };
    assert_eq!(told, [(0, "shop", counts(0, 0, 5)), (Day::of(START).0, "one", counts(1, 1, 12_000))]);
    assert!(store.job(&done).await.unwrap().is_some());
}
