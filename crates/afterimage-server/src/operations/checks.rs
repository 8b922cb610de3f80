//! What safety checkers said, for those who have to account for it: counters by model and key, and a line in the log. Neither
//! tells what a picture shows or what was asked for.

use afterimage_core::ModelName;
use afterimage_jobs::worker::RecordedEnd;
use afterimage_jobs::{FailureKind, Job, JobResult};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Name of the set of models that has none, as in the other metrics and the status.
pub(super) const DEFAULT: &str = "default";

/// What checkers said, by model and key.
#[derive(Debug, Default)]
pub struct CheckCounters {
    checked: Family<CheckLabels, Counter>,
    flagged: Family<CheckLabels, Counter>,
    unknown: Family<CheckLabels, Counter>,
    rejected: Family<CheckLabels, Counter>,
}

/// Keys are made by operators, so there is an end of them.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckLabels {
    /// Name of the set of models.
    model: String,
    /// The key's id.
    key: String,
}

impl CheckLabels {
    fn of(job: &Job) -> Self {
        let model = job.spec.request.model.as_ref().map_or(DEFAULT, ModelName::as_str);
        Self { model: model.to_owned(), key: job.key.to_string() }
    }
}

impl CheckCounters {
    /// Counters that `registry` tells.
    pub fn registered(registry: &mut Registry) -> Self {
        let counters = Self::default();
        for (name, help, family) in [
            ("safety_checked_pictures", "Pictures that safety checkers looked at", &counters.checked),
            ("safety_flagged_pictures", "Pictures of those that they flagged", &counters.flagged),
            ("safety_unknown_pictures", "Pictures that should have been looked at and could not", &counters.unknown),
            ("safety_rejected_inputs", "Requests that failed because an input picture was flagged", &counters.rejected),
        ] {
            registry.register(name, format!("{help}, by model and key"), family.clone());
        }
        counters
    }

    /// Counts what was said about the pictures of `job`, and logs it.
    pub fn note(&self, job: &Job, end: RecordedEnd<'_>) {
        let labels = CheckLabels::of(job);
        match end {
            RecordedEnd::Succeeded(result) => self.note_result(job, &labels, result),
            RecordedEnd::Failed(failure) => match failure.kind {
                FailureKind::SafetyChecker => {
                    let pictures = job.spec.request.num_images;
                    self.unknown.get_or_create(&labels).inc_by(pictures.into());
                    let CheckLabels { model, key } = &labels;
                    tracing::warn!(job_id = %job.id, model, key, pictures, "the pictures could not be checked; the job failed");
                }
                FailureKind::ContentRejected => {
                    self.rejected.get_or_create(&labels).inc();
                    let CheckLabels { model, key } = &labels;
                    tracing::info!(job_id = %job.id, model, key, "an input picture was flagged; the job failed");
                }
                FailureKind::BadInput
                | FailureKind::SourceUnavailable
                | FailureKind::Model
                | FailureKind::Engine
                | FailureKind::Crashed
                | FailureKind::Storage
                | FailureKind::StartTimeout
                | FailureKind::Internal => {}
            },
        }
    }

    fn note_result(&self, job: &Job, labels: &CheckLabels, result: &JobResult) {
        let Some(safety) = &result.facts.safety else { return };
        let flags: Vec<Option<bool>> = result.facts.pictures.iter().map(|picture| picture.flagged).collect();
        let flagged = flags.iter().filter(|flag| **flag == Some(true)).count() as u64;
        let unknown = flags.iter().filter(|flag| flag.is_none()).count() as u64;
        let checked = flags.len() as u64 - unknown;
        for (family, count) in [(&self.checked, checked), (&self.flagged, flagged), (&self.unknown, unknown)] {
            family.get_or_create(labels).inc_by(count);
        }
        let CheckLabels { model, key } = labels;
        let (checkers, scores) = (&result.facts.model.checkers, rounded(&safety.scores));
        if unknown == 0 {
            tracing::info!(job_id = %job.id, model, key, ?checkers, ?scores, flagged, checked, "pictures checked");
        } else {
            let reason = safety.failure.as_deref();
            tracing::warn!(
                job_id = %job.id, model, key, ?checkers, ?scores, flagged, checked, unknown, reason,
                "not all pictures could be checked"
            );
        }
    }
}

/// `scores` to four decimals, for the log.
fn rounded(scores: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let short = |score: &f64| (score * 1e4).round() / 1e4;
    scores.iter().map(|of_picture| of_picture.iter().map(short).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::testing::{checked_job, failed_job};
    use afterimage_core::OnFlag;
    use prometheus_client::encoding::text::encode;

    /// The samples that `registry` tells.
    fn samples(registry: &Registry) -> Vec<String> {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    fn note(counters: &CheckCounters, job: &Job) {
        let end = match (&job.result, &job.failure) {
            (Some(result), _) => RecordedEnd::Succeeded(result),
            (None, Some(failure)) => RecordedEnd::Failed(failure),
            (None, None) => panic!("no end"),
        };
        counters.note(job, end);
    }

    #[test]
    fn every_picture_counts_once_as_what_is_known_of_it() {
        let mut registry = Registry::default();
        let counters = CheckCounters::registered(&mut registry);
        note(&counters, &checked_job(OnFlag::Withhold, &[Some(false), Some(true), Some(true), Some(false)]));
        note(&counters, &checked_job(OnFlag::Keep, &[Some(true)]));
        note(&counters, &checked_job(OnFlag::Withhold, &[Some(false), None, None]));
        let mut unchecked = checked_job(OnFlag::Withhold, &[None, None]);
        unchecked.result.as_mut().unwrap().facts.safety = None;
        note(&counters, &unchecked);
        let mut failed = failed_job(FailureKind::SafetyChecker);
        failed.spec.request.num_images = 3;
        failed.spec.request.model = Some("dev".parse().unwrap());
        note(&counters, &failed);
        note(&counters, &failed_job(FailureKind::ContentRejected));
        note(&counters, &failed_job(FailureKind::Engine));
        let key = &failed.key;
        let told = samples(&registry);
        for expected in [
            format!("safety_checked_pictures_total{{model=\"default\",key=\"{key}\"}} 6"),
            format!("safety_flagged_pictures_total{{model=\"default\",key=\"{key}\"}} 3"),
            format!("safety_unknown_pictures_total{{model=\"default\",key=\"{key}\"}} 2"),
            format!("safety_unknown_pictures_total{{model=\"dev\",key=\"{key}\"}} 3"),
            format!("safety_rejected_inputs_total{{model=\"default\",key=\"{key}\"}} 1"),
        ] {
            assert!(told.contains(&expected), "{expected} is not in {told:?}");
        }
        assert_eq!(told.len(), 5, "{told:?}");
    }

    #[test]
    fn scores_are_short() {
        assert_eq!(rounded(&[vec![0.123_456], vec![], vec![0.999_99, 0.5]]), [vec![0.1235], vec![], vec![1.0, 0.5]]);
    }
}
