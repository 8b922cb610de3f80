//! The databases against the memory store: the same random calls must have the same answers and leave the same jobs.

use crate::fixtures::{Harness, Kind, LEASE, failure, fetched, new_job, queue, remote_job, result, with_webhook};
use afterimage_jobs::{
    Day, Delivery, Due, Error, FailureKind, Fenced, FetchLease, Idempotency, Job, JobId, KeyId, Lease, ListFilter,
    NamedKey, NewJob, NextTry, Places, Priority, Queue, Rates, Submitted, Timestamp,
};
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Call {
    Submit {
        remote: bool,
        model: usize,
        key: usize,
        priority: Priority,
        idempotency: Option<(u8, u8)>,
        webhook: bool,
        start_within: Option<u64>,
        kept_for: Option<u64>,
    },
    Cancel {
        key: usize,
        job: Index,
    },
    Delete {
        key: usize,
        jobs: Vec<Index>,
    },
    /// Queues by their numbers.
    Claim(Vec<usize>),
    Renew(Index),
    Succeed(Index),
    Fail(Index),
    Cancelled(Index),
    Release(Index),
    Crashed(Index),
    Retry(Index, u64),
    Rescue,
    TimeOutStarts,
    Advance(u64),
    Restart,
    Send,
    Delivered(Index),
    DeliveryFailed(Index, Option<u64>),
    Expire(u64),
    Sweep,
    Prune(u64),
    /// Keys passed over, by their bits.
    ClaimFetch(u8),
    RenewFetch(Index),
    SourcesReady(Index),
    SourcesFailed(Index),
    ReleaseFetch(Index),
    RetryFetch(Index, u64),
}

/// Queues that jobs come to.
const QUEUES: usize = 3;

fn numbered(number: usize) -> Queue {
    [None, queue("dev"), queue("srpo")][number].clone()
}

fn call() -> impl Strategy<Value = Call> {
    let priority = prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)];
    let submit = (
        any::<bool>(),
        0..QUEUES,
        0..3_usize,
        priority,
        prop::option::weighted(0.2, (0..3_u8, 0..2_u8)),
        any::<bool>(),
        prop::option::weighted(0.2, 0..100_u64),
        prop::option::weighted(0.3, 0..3000_u64),
    );
    let index = any::<Index>;
    prop_oneof![
        6 => submit.prop_map(|(remote, model, key, priority, idempotency, webhook, start_within, kept_for)| {
            Call::Submit { remote, model, key, priority, idempotency, webhook, start_within, kept_for }
        }),
        2 => (0..3_usize, index()).prop_map(|(key, job)| Call::Cancel { key, job }),
        1 => (0..3_usize, prop::collection::vec(index(), 1..4)).prop_map(|(key, jobs)| Call::Delete { key, jobs }),
        6 => prop::collection::vec(0..QUEUES, 1..=QUEUES).prop_map(Call::Claim),
        2 => index().prop_map(Call::Renew),
        3 => index().prop_map(Call::Succeed),
        1 => index().prop_map(Call::Fail),
        1 => index().prop_map(Call::Cancelled),
        1 => index().prop_map(Call::Release),
        1 => index().prop_map(Call::Crashed),
        2 => (index(), 0..100_u64).prop_map(|(lease, delay)| Call::Retry(lease, delay)),
        2 => Just(Call::Rescue),
        1 => Just(Call::TimeOutStarts),
        3 => (0..2000_u64).prop_map(Call::Advance),
        1 => Just(Call::Restart),
        2 => Just(Call::Send),
        1 => index().prop_map(Call::Delivered),
        1 => (index(), prop::option::of(0..100_u64)).prop_map(|(delivery, after)| Call::DeliveryFailed(delivery, after)),
        1 => (0..5000_u64).prop_map(Call::Expire),
        1 => Just(Call::Sweep),
        1 => (0..5000_u64).prop_map(Call::Prune),
        6 => (0..8_u8).prop_map(Call::ClaimFetch),
        2 => index().prop_map(Call::RenewFetch),
        4 => index().prop_map(Call::SourcesReady),
        1 => index().prop_map(Call::SourcesFailed),
        1 => index().prop_map(Call::ReleaseFetch),
        2 => (index(), 0..100_u64).prop_map(|(lease, delay)| Call::RetryFetch(lease, delay)),
    ]
}

/// One of the two stores with what its calls returned.
struct Side {
    harness: Harness,
    keys: [KeyId; 3],
    leases: Vec<Lease>,
    fetches: Vec<FetchLease>,
    deliveries: Vec<Delivery>,
}

impl Side {
    async fn new(kind: Kind) -> Option<Self> {
        let harness = Harness::new(kind).await?;
        let keys = [harness.key.clone(), harness.other_key.clone(), harness.key_with_limit(1).await];
        Some(Self { harness, keys, leases: Vec::new(), fetches: Vec::new(), deliveries: Vec::new() })
    }

    /// Does a call; its answer in a form that is comparable, since keys are drawn by each store itself.
    #[expect(clippy::too_many_lines, reason = "one arm for each call, which are best read side by side")]
    async fn answer(&mut self, call: &Call, jobs: &[JobId]) -> String {
        let store = self.harness.store.clone();
        let lease = |index: &Index| (!self.leases.is_empty()).then(|| index.get(&self.leases).clone());
        let fetch = |index: &Index| (!self.fetches.is_empty()).then(|| index.get(&self.fetches).clone());
        let fenced = |answer: Option<Fenced>| format!("{answer:?}");
        match call {
            Call::Submit { .. } => unreachable!("handled by the caller, who draws the id"),
            Call::Cancel { key, job } => match (!jobs.is_empty()).then(|| job.get(jobs)) {
                Some(job) => format!("{:?}", store.cancel(&self.keys[*key], job).await.unwrap()),
                None => String::new(),
            },
            Call::Delete { jobs: indices, .. } if jobs.is_empty() => format!("{} of none", indices.len()),
            Call::Delete { key, jobs: indices } => {
                let ids: Vec<JobId> = indices.iter().map(|index| index.get(jobs).clone()).collect();
                format!("{:?}", store.delete(&self.keys[*key], &ids).await.unwrap())
            }
            Call::Claim(numbers) => {
                let queues: Vec<Queue> = numbers.iter().map(|number| numbered(*number)).collect();
                let claimed = store.claim(&self.harness.worker, &queues, LEASE).await.unwrap();
                self.leases.extend(claimed.as_ref().map(|job| job.lease(&self.harness.worker)));
                format!("{:?}", claimed.map(|job| self.normal(job)))
            }
            Call::Renew(index) => match lease(index) {
                Some(lease) => format!("{:?}", store.renew(&lease, LEASE).await.unwrap()),
                None => String::new(),
            },
            Call::Succeed(index) => match lease(index) {
                Some(lease) => fenced(store.succeed(&lease, result()).await.ok()),
                None => String::new(),
            },
            Call::Fail(index) => match lease(index) {
                Some(lease) => fenced(store.fail(&lease, failure(FailureKind::Engine)).await.ok()),
                None => String::new(),
            },
            Call::Cancelled(index) => match lease(index) {
                Some(lease) => fenced(store.cancelled(&lease).await.ok()),
                None => String::new(),
            },
            Call::Release(index) => match lease(index) {
                Some(lease) => fenced(store.release(&lease).await.ok()),
                None => String::new(),
            },
            Call::Crashed(index) => match lease(index) {
                Some(lease) => fenced(store.crashed(&lease, "boom").await.ok()),
                None => String::new(),
            },
            Call::Retry(index, delay) => match lease(index) {
                Some(lease) => {
                    let delay = Duration::from_secs(*delay);
                    fenced(store.retry(&lease, failure(FailureKind::Storage), delay).await.ok())
                }
                None => String::new(),
            },
            Call::Rescue => format!("{:?}", store.rescue().await.unwrap()),
            Call::TimeOutStarts => format!("{:?}", store.time_out_starts().await.unwrap()),
            Call::Advance(seconds) => {
                self.harness.advance_seconds(*seconds);
                String::new()
            }
            Call::Restart => format!("{:?}", self.harness.restart().await),
            Call::Send => {
                let mut due = store.due_deliveries(1000, &Places::new(2000), Duration::from_secs(60)).await.unwrap();
                due.sort_by(|one, other| one.job.cmp(&other.job));
                self.deliveries.extend(due.clone());
                let plain = due.into_iter().map(|delivery| (delivery.job, delivery.attempt, delivery.failures));
                format!("{:?}", plain.collect::<Vec<_>>())
            }
            Call::Delivered(index) => match (!self.deliveries.is_empty()).then(|| index.get(&self.deliveries)) {
                Some(delivery) => fenced(store.delivered(delivery.id, delivery.attempt).await.ok()),
                None => String::new(),
            },
            Call::DeliveryFailed(index, after) => {
                match (!self.deliveries.is_empty()).then(|| index.get(&self.deliveries)) {
                    Some(delivery) => {
                        let next = match after.map(Duration::from_secs) {
                            None => NextTry::GiveUp,
                            Some(after) if after.as_secs() % 2 == 0 => NextTry::Postponed(after),
                            Some(after) => NextTry::After(after),
                        };
                        fenced(store.delivery_failed(delivery.id, delivery.attempt, next, "refused").await.ok())
                    }
                    None => String::new(),
                }
            }
            Call::Expire(age) => {
                let due = Due { now: self.before(0), before: self.before(*age) };
                let mut expired = store.expire_jobs(due, 1000).await.unwrap();
                expired.sort();
                format!("{expired:?}")
            }
            Call::Sweep => {
                let mut unswept = store.unswept_jobs(1000).await.unwrap();
                store.mark_jobs_swept(&unswept).await.unwrap();
                unswept.sort();
                format!("{unswept:?}")
            }
            Call::ClaimFetch(passed_over) => {
                let bits = self.keys.iter().enumerate().filter(|(bit, _)| passed_over & (1 << bit) != 0);
                let keys: Vec<KeyId> = bits.map(|(_, key)| key.clone()).collect();
                let claimed = store.claim_fetch(&keys, LEASE).await.unwrap();
                self.fetches.extend(claimed.as_ref().map(|(_, lease)| lease.clone()));
                format!("{:?}", claimed.map(|(job, lease)| (self.normal(job), lease)))
            }
            Call::RenewFetch(index) => match fetch(index) {
                Some(lease) => fenced(store.renew_fetch(&lease, LEASE).await.ok()),
                None => String::new(),
            },
            Call::SourcesReady(index) => match fetch(index) {
                Some(lease) => fenced(store.sources_ready(&lease, fetched()).await.ok()),
                None => String::new(),
            },
            Call::SourcesFailed(index) => match fetch(index) {
                Some(lease) => fenced(store.sources_failed(&lease, failure(FailureKind::SourceUnavailable)).await.ok()),
                None => String::new(),
            },
            Call::ReleaseFetch(index) => match fetch(index) {
                Some(lease) => fenced(store.release_fetch(&lease).await.ok()),
                None => String::new(),
            },
            Call::RetryFetch(index, delay) => match fetch(index) {
                Some(lease) => {
                    let delay = Duration::from_secs(*delay);
                    fenced(store.retry_fetch(&lease, failure(FailureKind::Storage), delay).await.ok())
                }
                None => String::new(),
            },
            Call::Prune(age) => format!("{:?}", store.prune_jobs(self.before(*age), 1000).await.unwrap()),
        }
    }

    async fn submit(&self, key: usize, new: NewJob) -> String {
        let new = NewJob { key: self.keys[key].clone(), ..new };
        match self.harness.store.submit(new).await {
            Ok(Submitted::Created(job)) => format!("created {:?}", self.normal(job)),
            Ok(Submitted::Existing(job)) => format!("existing {:?}", self.normal(job)),
            Err(Error::IdempotencyConflict { job }) => format!("conflict with {job}"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Everything that readers can see.
    async fn view(&self, jobs: &[JobId]) -> Vec<String> {
        let store = &self.harness.store;
        let mut seen = vec![
            format!("{:?}", store.queue_depth().await.unwrap()),
            format!("{} open deliveries", store.open_deliveries().await.unwrap()),
            format!("{:?}", store.ends().await.unwrap()),
        ];
        for id in jobs {
            let job = store.job(id).await.unwrap().map(|job| self.normal(job));
            seen.push(format!("{job:?} at {:?}", store.position(id).await.unwrap()));
        }
        for key in &self.keys {
            let page = store.list(key, &ListFilter { page_size: 100, ..ListFilter::default() }).await.unwrap();
            let ids: Vec<JobId> = page.jobs.into_iter().map(|job| job.id).collect();
            let bytes = store.stored_bytes(key).await.unwrap();
            seen.push(format!("{} {ids:?} {:?} {bytes}", page.total, store.spending(key, None).await.unwrap()));
        }
        for failed in store.recent_failures(100).await.unwrap() {
            seen.push(format!("{} {:?} {} at {}", failed.id, failed.kind, failed.message, failed.finished_at));
        }
        // Ids of keys, by which they are sorted, are each store's own.
        let uses = store.daily_use(Day(0), 3).await.unwrap();
        let place = |key: &Option<NamedKey>| key.as_ref().map(|key| self.keys.iter().position(|own| *own == key.id));
        let mut uses: Vec<String> =
            uses.iter().map(|used| format!("{:?} {:?} {:?}", used.day, place(&used.key), used.counts)).collect();
        uses.sort();
        seen.extend(uses);
        seen
    }

    /// All that is known of the jobs that are not of the key that calls; nothing for calls that no key makes.
    async fn of_others(&self, call: &Call, jobs: &[JobId]) -> Vec<Job> {
        let (Call::Cancel { key, .. } | Call::Delete { key, .. }) = call else { return Vec::new() };
        let mut others = Vec::new();
        for id in jobs {
            others.extend(self.harness.store.job(id).await.unwrap().filter(|job| job.key != self.keys[*key]));
        }
        others
    }

    fn before(&self, age: u64) -> Timestamp {
        afterimage_jobs::Clock::now(&*self.harness.clock).minus(Duration::from_secs(age))
    }

    fn normal(&self, job: Job) -> Job {
        let number = self.keys.iter().position(|key| *key == job.key).unwrap();
        Job { key: KeyId::from(format!("key {number}")), ..job }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_does_what_memory_does(calls in prop::collection::vec(call(), 1..80)) {
        compare(Kind::Sqlite, &calls)?;
    }

    #[test]
    fn postgres_does_what_memory_does(calls in prop::collection::vec(call(), 1..80)) {
        compare(Kind::Postgres, &calls)?;
    }
}

/// Does `calls` with a store of `kind` and with the oracle.
fn compare(kind: Kind, calls: &[Call]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(mut other) = Side::new(kind).await else { return Ok(()) };
        let mut memory = Side::new(Kind::Memory).await.unwrap();
        let mut jobs = Vec::new();
        for call in calls {
            let (expected, actual) =
                if let Call::Submit { remote, model, key, priority, idempotency, webhook, start_within, kept_for } =
                    call
                {
                    let make = if *remote { remote_job } else { new_job };
                    let mut new = make(&memory.keys[0]);
                    new.spec.request.model = numbered(*model);
                    // Prices and work that differ from job to job.
                    new.spec.rates = start_within.map(|_| Rates::default());
                    new.spec.request.steps = 1 + jobs.len() as u32 % 50;
                    if *webhook {
                        new = with_webhook(new);
                    }
                    new.priority = *priority;
                    new.start_within = start_within.map(Duration::from_secs);
                    new.kept_for = kept_for.map(Duration::from_secs);
                    new.idempotency = idempotency.map(|(key, fingerprint)| Idempotency {
                        key: key.to_string(),
                        fingerprint: fingerprint.to_string(),
                    });
                    jobs.push(new.id.clone());
                    (memory.submit(*key, new.clone()).await, other.submit(*key, new).await)
                } else {
                    let (of_memory, of_other) =
                        (memory.of_others(call, &jobs).await, other.of_others(call, &jobs).await);
                    let answers = (memory.answer(call, &jobs).await, other.answer(call, &jobs).await);
                    // Whatever a key asks for, the jobs of others are as they were.
                    prop_assert_eq!(of_memory, memory.of_others(call, &jobs).await, "{:?}", call);
                    prop_assert_eq!(of_other, other.of_others(call, &jobs).await, "{:?}", call);
                    answers
                };
            prop_assert_eq!(expected, actual, "{:?}", call);
        }
        prop_assert_eq!(memory.view(&jobs).await, other.view(&jobs).await);
        Ok(())
    })
}
