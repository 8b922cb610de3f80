//! What dialects say about what pictures show. All of them ask here, so that they agree on what is known.
//!
//! `true` and `false` are said after a check only, with one exception. fal's runtime says `false` for each picture of a
//! request that switched its checker off. `WaveSpeed` documents "array of boolean values indicating NSFW detection for each
//! output" without saying what a task that switched it off gets, so its clients may index the list, too: it gets the same.
//! `DeepInfra` has no switch. Where the check was wanted and nobody could look, lists stay empty in every dialect.

use afterimage_jobs::Job;

/// Whether each picture of `job` was flagged. Empty when there are no pictures, and when one of them should have been
/// checked and was not.
pub fn flags(job: &Job) -> Vec<bool> {
    let Some(facts) = job.result.as_ref().map(|result| &result.facts) else { return Vec::new() };
    let known: Option<Vec<bool>> = facts.pictures.iter().map(|picture| picture.flagged).collect();
    known.unwrap_or_else(|| {
        let went_without = !job.spec.request.check_safety && facts.safety.is_none();
        let unchecked = facts.pictures.iter().filter(|_| went_without);
        unchecked.map(|picture| picture.flagged.unwrap_or(false)).collect()
    })
}

/// Whether nothing of what `job` made can be seen: every picture was flagged, and something else stands in its place.
pub fn is_all_hidden(job: &Job) -> bool {
    job.result.as_ref().is_some_and(|result| {
        let pictures = result.facts.pictures.len();
        pictures > 0 && (0..pictures).all(|index| result.facts.is_hidden(index))
    })
}

#[cfg(test)]
mod tests;
