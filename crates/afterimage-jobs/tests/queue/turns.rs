//! The order of the queue under random loads: whoever comes is behind boundedly many, whatever happened before.

use crate::fixtures::{Harness, Kind, fetched, new_job, remote_job, result};
use afterimage_core::Size;
use afterimage_jobs::{Clock, FetchLease, JobId, JobState, KeyId, Lease, NewJob, Priority, UNNAMED};
use proptest::prelude::*;

/// Usual jobs that a step of priority is worth, and the smallest job as part of a usual one.
const HEAD_START: u64 = 10;
const SMALLEST: u64 = 4;

#[derive(Clone, Debug)]
enum Call {
    Submit {
        key: usize,
        priority: Priority,
        side: u32,
        remote: bool,
    },
    Claim,
    Finish,
    Fetch,
    Arrive,
    Cancel {
        key: usize,
    },
    /// Forwards or backwards.
    Clock(i64),
}

fn call(priorities: bool) -> impl Strategy<Value = Call> {
    let priority = if priorities {
        prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)].boxed()
    } else {
        Just(Priority::Normal).boxed()
    };
    let side = prop_oneof![Just(64_u32), Just(1024), Just(2048), Just(4096)];
    let submit = (0..KEYS, priority, side, any::<bool>());
    prop_oneof![
        8 => submit.prop_map(|(key, priority, side, remote)| Call::Submit { key, priority, side, remote }),
        4 => Just(Call::Claim),
        3 => Just(Call::Finish),
        2 => Just(Call::Fetch),
        2 => Just(Call::Arrive),
        1 => (0..KEYS).prop_map(|key| Call::Cancel { key }),
        2 => (-100_000_000_i64..100_000_000).prop_map(Call::Clock),
    ]
}

const KEYS: usize = 4;

struct World {
    harness: Harness,
    keys: Vec<KeyId>,
    jobs: Vec<(usize, JobId)>,
    running: Vec<Lease>,
    fetches: Vec<FetchLease>,
}

impl World {
    async fn new() -> Self {
        let harness = Harness::new(Kind::Memory).await.unwrap();
        let mut keys = Vec::new();
        for _ in 0..=KEYS {
            keys.push(harness.key_with_limit(1000).await);
        }
        Self { harness, keys, jobs: Vec::new(), running: Vec::new(), fetches: Vec::new() }
    }

    async fn submit(&mut self, key: usize, priority: Priority, side: u32, remote: bool) -> JobId {
        let make = if remote { remote_job } else { new_job };
        let mut new = NewJob { priority, ..make(&self.keys[key]) };
        new.spec.request.size = Some(Size::new(side, side));
        let id = self.harness.submit(new).await.id;
        self.jobs.push((key, id.clone()));
        id
    }

    async fn claim(&mut self) -> Option<JobId> {
        let claimed =
            self.harness.store.claim(&self.harness.worker, &UNNAMED, crate::fixtures::LEASE).await.unwrap()?;
        self.running.push(claimed.lease(&self.harness.worker));
        Some(claimed.id)
    }

    async fn play(&mut self, call: &Call) {
        let store = self.harness.store.clone();
        match call {
            Call::Submit { key, priority, side, remote } => {
                self.submit(*key, *priority, *side, *remote).await;
            }
            Call::Claim => {
                self.claim().await;
            }
            Call::Finish => {
                if let Some(lease) = self.running.pop() {
                    store.succeed(&lease, result()).await.unwrap();
                }
            }
            Call::Fetch => {
                let claimed = store.claim_fetch(&[], crate::fixtures::LEASE).await.unwrap();
                self.fetches.extend(claimed.map(|(_, lease)| lease));
            }
            Call::Arrive => {
                if let Some(lease) = self.fetches.pop() {
                    store.sources_ready(&lease, fetched()).await.unwrap();
                }
            }
            Call::Cancel { key } => {
                if let Some((_, id)) = self.jobs.iter().rev().find(|(of, _)| of == key) {
                    store.cancel(&self.keys[*key], id).await.unwrap();
                }
            }
            Call::Clock(milliseconds) => {
                let now = self.harness.clock.now().0;
                self.harness.clock.set(afterimage_jobs::Timestamp(now + milliseconds));
            }
        }
    }

    /// Other keys that wait for a worker.
    async fn others_waiting(&self) -> u64 {
        let mut keys = std::collections::HashSet::new();
        for (key, id) in &self.jobs {
            let job = self.harness.job(id).await;
            if job.state == JobState::Queued && !job.spec.awaits_sources() {
                keys.insert(*key);
            }
        }
        keys.len() as u64
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_newcomer_is_behind_one_job_of_each_other_key(calls in prop::collection::vec(call(false), 0..150)) {
        run(async {
            let mut world = World::new().await;
            for call in &calls {
                world.play(call).await;
            }
            let others = world.others_waiting().await;
            let newcomer = world.submit(KEYS, Priority::Normal, 1024, false).await;
            let position = world.harness.store.position(&newcomer).await.unwrap().unwrap();
            prop_assert!(position <= others, "behind {position} jobs of {others} keys");
            Ok(())
        })?;
    }

    #[test]
    fn with_priorities_it_is_behind_their_head_starts_besides(calls in prop::collection::vec(call(true), 0..150)) {
        run(async {
            let mut world = World::new().await;
            for call in &calls {
                world.play(call).await;
            }
            let others = world.others_waiting().await;
            let newcomer = world.submit(KEYS, Priority::Normal, 1024, false).await;
            let position = world.harness.store.position(&newcomer).await.unwrap().unwrap();
            // Its high ones within a head start, and one each of the others.
            prop_assert!(position <= others * (HEAD_START * SMALLEST + 3), "behind {position} jobs of {others} keys");
            Ok(())
        })?;
    }

    #[test]
    fn a_low_job_is_overtaken_by_boundedly_many(
        calls in prop::collection::vec(call(true), 0..60),
        greedy in 1..KEYS,
    ) {
        run(async {
            let mut world = World::new().await;
            for call in &calls {
                world.play(call).await;
            }
            let waiting = world.jobs.len() as u64;
            let low = world.submit(KEYS, Priority::Low, 1024, false).await;
            // Others send high and small jobs as fast as they can, for ever.
            let most = waiting + greedy as u64 * (2 * HEAD_START * SMALLEST + 2);
            let mut overtakers = 0;
            loop {
                for key in 0..greedy {
                    world.submit(key, Priority::High, 64, false).await;
                }
                if world.claim().await.as_ref() == Some(&low) {
                    break;
                }
                overtakers += 1;
                prop_assert!(overtakers <= most, "{overtakers} overtook it");
            }
            Ok(())
        })?;
    }
}
