//! Sixteen at once on one store, by the machine's clock: limits hold, nothing is had twice, no request is lost.

use crate::fixtures::{LEASE, TEMPLATE, create_key, new_job, postgres, result, with_webhook};
use afterimage_jobs::{
    CancelOutcome, Fenced, Idempotency, JobId, JobState, NewUpload, Places, PostgresOptions, PostgresStore, Renewed,
    SqliteStore, Store, Submitted, SystemClock, UNNAMED, UploadFacts, UploadId, WorkerId,
};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;

const RACERS: usize = 16;

/// A store, and what it needs to be there.
struct Racetrack {
    store: Arc<dyn Store>,
    _folder: Option<TempDir>,
}

impl Racetrack {
    async fn sqlite() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Arc::new(SystemClock)).await.unwrap();
        Some(Self { store: Arc::new(store), _folder: Some(folder) })
    }

    async fn postgres() -> Option<Self> {
        let server = postgres().await?;
        let database = server.create_database(TEMPLATE).await;
        let options = PostgresOptions { connections: 16, ..PostgresOptions::default() };
        let store = PostgresStore::open(&server.address(&database), options).await.unwrap();
        Some(Self { store: Arc::new(store), _folder: None })
    }

    /// Runs `work` by all racers at once.
    async fn race<T: Send + 'static, F>(&self, work: impl Fn(Arc<dyn Store>, usize) -> F) -> Vec<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut racers = JoinSet::new();
        for number in 0..RACERS {
            racers.spawn(work(Arc::clone(&self.store), number));
        }
        racers.join_all().await
    }
}

macro_rules! on_both {
    ($($race:ident),+) => {$(
        mod $race {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$race(Racetrack::sqlite().await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(track) = Racetrack::postgres().await {
                    super::$race(track).await;
                }
            }
        }
    )+};
}

on_both!(
    a_keys_limit_is_never_exceeded,
    every_job_is_had_once,
    no_request_to_cancel_is_lost,
    an_idempotency_key_makes_one_job,
    an_upload_has_one_file,
    a_webhook_is_in_one_hand
);

async fn a_keys_limit_is_never_exceeded(track: Racetrack) {
    const LIMIT: i64 = 2;
    let limited = create_key(&*track.store, "limited", Some(LIMIT as u32)).await;
    let free = create_key(&*track.store, "free", None).await;
    for _ in 0..100 {
        track.store.submit(new_job(&limited)).await.unwrap();
    }
    track.store.submit(new_job(&free)).await.unwrap();
    let (running, most, done) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(0)));
    track
        .race(|store, _| {
            let (running, most, done, limited) = (running.clone(), most.clone(), done.clone(), limited.clone());
            async move {
                let worker = WorkerId::random();
                while done.load(Ordering::SeqCst) < 101 {
                    let Some(job) = store.claim(&worker, &UNNAMED, LEASE).await.unwrap() else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    let counts = job.key == limited;
                    if counts {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    }
                    tokio::task::yield_now().await;
                    if counts {
                        running.fetch_sub(1, Ordering::SeqCst);
                    }
                    assert_eq!(store.succeed(&job.lease(&worker), result()).await.unwrap(), Fenced::Done);
                    done.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
        .await;
    assert!(most.load(Ordering::SeqCst) <= LIMIT, "{most:?} ran at once");
    assert_eq!(track.store.spending(&limited, None).await.unwrap().jobs, 100);
}

async fn every_job_is_had_once(track: Racetrack) {
    let key = create_key(&*track.store, "one", None).await;
    let mut sent = HashSet::new();
    for _ in 0..200 {
        sent.insert(track.store.submit(new_job(&key)).await.unwrap().into_job().id);
    }
    let had = track
        .race(|store, _| async move {
            let worker = WorkerId::random();
            let mut had = Vec::new();
            while let Some(job) = store.claim(&worker, &UNNAMED, LEASE).await.unwrap() {
                had.push(job.id);
            }
            had
        })
        .await
        .concat();
    assert_eq!((had.len(), had.into_iter().collect::<HashSet<JobId>>()), (sent.len(), sent));
}

/// Renewals write the same row as requests to cancel: none of them may take the other's word back.
async fn no_request_to_cancel_is_lost(track: Racetrack) {
    let key = create_key(&*track.store, "one", None).await;
    let ended = Arc::new(AtomicU64::new(0));
    track
        .race(|store, number| {
            let (key, ended) = (key.clone(), ended.clone());
            async move {
                for round in 0..12 {
                    store.submit(new_job(&key)).await.unwrap();
                    let worker = WorkerId::random();
                    // Somebody else's job is as good.
                    let Some(job) = store.claim(&worker, &UNNAMED, LEASE).await.unwrap() else { continue };
                    let lease = job.lease(&worker);
                    let (one, other, held) = (store.clone(), store.clone(), lease.clone());
                    let renews = tokio::spawn(async move {
                        for _ in 0..4 {
                            one.renew(&held, LEASE).await.unwrap();
                        }
                    });
                    let (key, id) = (key.clone(), job.id.clone());
                    let cancels = tokio::spawn(async move { other.cancel(&key, &id).await.unwrap() });
                    if (number + round) % 2 == 0 {
                        assert_eq!(cancels.await.unwrap(), CancelOutcome::Requested);
                        renews.await.unwrap();
                        assert_eq!(
                            store.renew(&lease, LEASE).await.unwrap(),
                            Renewed::Held { cancel_requested: true },
                            "the request was taken back"
                        );
                        assert_eq!(store.cancelled(&lease).await.unwrap(), Fenced::Done);
                    } else {
                        assert_eq!(store.succeed(&lease, result()).await.unwrap(), Fenced::Done);
                        let _ = (cancels.await.unwrap(), renews.await.unwrap());
                        assert_eq!(store.job(&job.id).await.unwrap().unwrap().state, JobState::Succeeded);
                    }
                    assert_eq!(store.renew(&lease, LEASE).await.unwrap(), Renewed::Lost);
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
        .await;
    let ends = track.store.ends().await.unwrap();
    assert_eq!(ends.succeeded + ends.cancelled, ended.load(Ordering::SeqCst));
}

async fn an_idempotency_key_makes_one_job(track: Racetrack) {
    let key = create_key(&*track.store, "one", None).await;
    for round in 0..20 {
        let idempotency = Idempotency { key: format!("same {round}"), fingerprint: "f".to_owned() };
        let answers = track
            .race(|store, _| {
                let new = afterimage_jobs::NewJob { idempotency: Some(idempotency.clone()), ..new_job(&key) };
                async move { store.submit(new).await.unwrap() }
            })
            .await;
        let made = answers.iter().filter(|answer| matches!(answer, Submitted::Created(_))).count();
        let ids: HashSet<JobId> = answers.into_iter().map(|answer| answer.into_job().id).collect();
        assert_eq!((made, ids.len()), (1, 1));
    }
}

async fn an_upload_has_one_file(track: Racetrack) {
    let key = create_key(&*track.store, "one", None).await;
    for _ in 0..20 {
        let id = UploadId::random();
        let (filename, declared_type) = ("a.png".to_owned(), "image/png".to_owned());
        let new = NewUpload { id: id.clone(), key: key.clone(), filename, declared_type, facts: None, kept_for: None };
        track.store.create_upload(new).await.unwrap();
        let finished = track
            .race(|store, number| {
                let (id, blob) = (id.clone(), format!("uploads/{number}"));
                let content_type = "image/png".to_owned();
                let facts = UploadFacts { blob, content_type, bytes: 1, width: 1, height: 1 };
                async move { store.finish_upload(&id, facts).await.unwrap() }
            })
            .await;
        assert_eq!(finished.iter().flatten().count(), 1);
    }
    assert_eq!(track.store.stored_bytes(&key).await.unwrap(), 20);
}

async fn a_webhook_is_in_one_hand(track: Racetrack) {
    let key = create_key(&*track.store, "one", None).await;
    let worker = WorkerId::random();
    for _ in 0..100 {
        track.store.submit(with_webhook(new_job(&key))).await.unwrap();
        let job = track.store.claim(&worker, &UNNAMED, LEASE).await.unwrap().unwrap();
        track.store.succeed(&job.lease(&worker), result()).await.unwrap();
    }
    let taken = track
        .race(|store, _| async move {
            let mut taken = Vec::new();
            // What others have in hand is passed over, so an empty answer may come before all are taken.
            for _ in 0..20 {
                let due = store.due_deliveries(8, &Places::new(100), Duration::from_secs(60)).await.unwrap();
                taken.extend(due.into_iter().map(|delivery| delivery.id));
            }
            taken
        })
        .await
        .concat();
    let different: HashSet<i64> = taken.iter().copied().collect();
    assert_eq!((taken.len(), different.len()), (100, 100));
}
