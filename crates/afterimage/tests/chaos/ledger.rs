//! What the server acknowledged, what was seen of it since, and what should never have been seen.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// Everything acknowledged.
#[derive(Default)]
pub struct Ledger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: BTreeMap<String, Acknowledged>,
    /// All ids that this key was ever told, by lists and webhooks too.
    told: BTreeSet<String>,
    trespasses: u64,
    violations: Vec<String>,
    observations: u64,
    resubmits: u64,
}

/// One acknowledged job.
#[derive(Clone)]
struct Acknowledged {
    at: Instant,
    webhook: bool,
    cancelled_by_us: bool,
    /// The first terminal state that was seen, and when.
    end: Option<(End, Instant)>,
}

/// A terminal state.
#[derive(Clone, Debug, PartialEq)]
struct End {
    status: String,
    error: String,
    outputs: Vec<String>,
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The server answered a submit with 200.
    pub fn acknowledged(&self, id: &str, webhook: bool) {
        let job = Acknowledged { at: Instant::now(), webhook, cancelled_by_us: false, end: None };
        self.state().jobs.entry(id.to_owned()).or_insert(job);
    }

    /// An idempotency key was sent again; both answers should name the same job.
    pub fn repeated(&self, first: &str, second: &str) {
        self.state().resubmits += 1;
        if first != second {
            self.violation(first, &format!("the same idempotency key also made {second}"));
        }
    }

    /// We ask for its end, whether or not the request arrives.
    pub fn to_be_cancelled(&self, id: &str) {
        if let Some(job) = self.state().jobs.get_mut(id) {
            job.cancelled_by_us = true;
        }
    }

    /// A job as the server showed it when it was asked at `asked`. Jobs whose acknowledgement was lost are passed over.
    pub fn observe(&self, asked: Instant, prediction: &Value) {
        let id = prediction["id"].as_str().unwrap().to_owned();
        let status = prediction["status"].as_str().unwrap().to_owned();
        let outputs = prediction["outputs"].as_array().unwrap();
        let outputs = outputs.iter().map(|output| output.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let error = prediction["error"].as_str().unwrap_or_default().to_owned();
        let terminal = ["completed", "failed", "cancelled"].contains(&status.as_str());
        let mut state = self.state();
        state.observations += 1;
        state.told.insert(id.clone());
        let Some(job) = state.jobs.get_mut(&id) else { return };
        let now = terminal.then_some(End { status, error, outputs });
        let problem = match (&job.end, &now) {
            // The answer may be older than what another client was told meanwhile.
            (Some((_, seen)), None) if asked < *seen => return,
            (Some((before, _)), now) if now.as_ref() != Some(before) => format!("was {before:?} and is {now:?}"),
            (Some(_), _) => return,
            (None, Some(end)) if (end.status == "completed") != (end.outputs.len() == 1) => {
                format!("ended with the wrong number of results: {end:?}")
            }
            (None, Some(end)) if end.status == "cancelled" && !job.cancelled_by_us => {
                "was cancelled, which nobody asked for".to_owned()
            }
            (None, _) => {
                job.end = now.map(|end| (end, Instant::now()));
                return;
            }
        };
        state.violations.push(format!("{id}: {problem}"));
    }

    /// This key was told about a job.
    pub fn told(&self, id: &str) {
        self.state().told.insert(id.to_owned());
    }

    /// Somebody else laid hands on a job of this key.
    pub fn trespassed(&self) {
        self.state().trespasses += 1;
    }

    /// What this key was told that is `other`'s.
    pub fn told_of(&self, other: &Self) -> Vec<String> {
        let told = self.state().told.clone();
        let theirs = other.ids();
        theirs
            .into_iter()
            .filter(|id| told.contains(id))
            .map(|id| format!("{id}: another key was told of it"))
            .collect()
    }

    /// Notes what should not be.
    pub fn violation(&self, id: &str, problem: &str) {
        self.state().violations.push(format!("{id}: {problem}"));
    }

    /// Everything that should not have been, and the jobs that have not ended.
    pub fn violations(&self) -> Vec<String> {
        let state = self.state();
        let open = state.jobs.iter().filter(|(_, job)| job.end.is_none()).map(|(id, _)| format!("{id}: has not ended"));
        state.violations.iter().cloned().chain(open).collect()
    }

    /// Jobs not seen in a terminal state yet.
    pub fn open(&self) -> usize {
        self.state().jobs.values().filter(|job| job.end.is_none()).count()
    }

    /// Ids of the jobs acknowledged last.
    pub fn newest(&self, count: usize) -> Vec<String> {
        let state = self.state();
        let mut jobs: Vec<_> = state.jobs.iter().map(|(id, job)| (job.at, id)).collect();
        jobs.sort_unstable_by(|one, other| other.cmp(one));
        jobs.into_iter().take(count).map(|(_, id)| id.clone()).collect()
    }

    /// Ids of all acknowledged jobs.
    pub fn ids(&self) -> Vec<String> {
        self.state().jobs.keys().cloned().collect()
    }

    /// Jobs with a webhook and how they ended.
    pub fn webhooks(&self) -> Vec<(String, Option<String>)> {
        let end = |job: &Acknowledged| job.end.as_ref().map(|(end, _)| end.status.clone());
        let state = self.state();
        state.jobs.iter().filter(|(_, job)| job.webhook).map(|(id, job)| (id.clone(), end(job))).collect()
    }

    /// Addresses of all results.
    pub fn results(&self) -> Vec<(String, Vec<String>)> {
        let state = self.state();
        state.jobs.iter().filter_map(|(id, job)| Some((id.clone(), job.end.as_ref()?.0.outputs.clone()))).collect()
    }

    /// Jobs that were seen completed.
    pub fn succeeded(&self) -> usize {
        self.count("completed")
    }

    fn count(&self, status: &str) -> usize {
        let state = self.state();
        state.jobs.values().filter(|job| job.end.as_ref().is_some_and(|(end, _)| end.status == status)).count()
    }

    /// Figures.
    pub fn summary(&self) -> Value {
        let ends = [self.succeeded(), self.count("cancelled"), self.count("failed")];
        let state = self.state();
        let mut failures: BTreeMap<&str, u64> = BTreeMap::new();
        for (end, _) in state.jobs.values().filter_map(|job| job.end.as_ref()).filter(|(end, _)| end.status == "failed")
        {
            *failures.entry(&end.error).or_default() += 1;
        }
        json!({
            "acknowledged": state.jobs.len(),
            "completed": ends[0],
            "cancelled": ends[1],
            "failed": ends[2],
            "failures": failures,
            "observations": state.observations,
            "attempts_of_the_other_key": state.trespasses,
            "repeated_submits": state.resubmits,
        })
    }
}
