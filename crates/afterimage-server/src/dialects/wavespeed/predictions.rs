//! Reading, listing and deleting tasks.

use super::error::Answer;
use super::prediction::{Envelope, Prediction, states};
use super::tasks::{own_task, render};
use crate::cancel;
use crate::files::{FileLinks, ResultFiles};
use crate::http::json::{Fields, read_object};
use crate::http::layers::note_job;
use crate::http::{BodyReader, PublicUrl};
use crate::parameters::{Kind, Parameter, json_schema, parse};
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use crate::submit::Submitter;
use afterimage_jobs::{ApiKey, JobId, ListFilter, Store, Timestamp};
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

/// One page of tasks, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct PredictionPage {
    /// From 1.
    page: u32,
    /// Tasks on all pages together.
    total: u64,
    /// The page's tasks.
    items: Vec<Prediction>,
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    /// How many of the ids there were.
    deleted_count: u64,
}

/// The task with its results
#[utoipa::path(get, path = "/api/v3/predictions/{id}/result", tag = "wavespeed", params(("id" = String, Path, description = "Id of the task")), responses((status = 200, description = "The task", body = Envelope<Prediction>)))]
pub async fn result(
    State(store): State<Arc<dyn Store>>,
    State(files): State<ResultFiles>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<Json<Envelope<Prediction>>> {
    let job = own_task(store.as_ref(), &key, &id).await?;
    note_job(job.id.as_str());
    let prediction = render(&files, &job, &public_url.for_request(&headers)).await?;
    Ok(Json(Envelope::success(prediction)))
}

/// The tasks of this key, newest first
#[utoipa::path(post, path = "/api/v3/predictions", tag = "wavespeed", responses((status = 200, description = "One page", body = Envelope<PredictionPage>)))]
pub async fn list(
    State(store): State<Arc<dyn Store>>,
    State(bodies): State<BodyReader>,
    State(links): State<FileLinks>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<Envelope<PredictionPage>>> {
    let (parts, body) = request.into_parts();
    let fields = Fields::of(&list_parameters());
    let (object, _) = read_object(&bodies, &key.id, &parts.headers, body, fields).await?;
    let filter = filter(&object)?;
    let base = public_url.for_request(&parts.headers);
    let page = store.list(&key.id, &filter).await?;
    let items = page.jobs.iter().map(|job| Prediction::new(job, &base, &links)).collect();
    Ok(Json(Envelope::success(PredictionPage { page: filter.page, total: page.total, items })))
}

/// Delete tasks and their results
///
/// Running ones are stopped.
#[utoipa::path(post, path = "/api/v3/predictions/delete", tag = "wavespeed", responses((status = 200, description = "How many there were", body = Envelope<Deleted>)))]
pub async fn delete(
    State(bodies): State<BodyReader>,
    State(submitter): State<Submitter>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<Envelope<Deleted>>> {
    let (parts, body) = request.into_parts();
    let (object, _) = read_object(&bodies, &key.id, &parts.headers, body, Fields::small(&["ids"])).await?;
    let ids = ids(&object)?;
    let deleted_count = cancel::delete(submitter.store.as_ref(), &submitter.hints, &key, &ids).await?;
    Ok(Json(Envelope::success(Deleted { deleted_count })))
}

/// Ids that one call may delete.
const MOST_IDS: usize = 1000;

fn ids(object: &Map<String, Value>) -> Result<Vec<JobId>, Refusal> {
    let problem = |kind, message: &str| Refusal::from(Problem::new("ids", kind, message));
    let Some(value) = object.get("ids").filter(|value| !value.is_null()) else {
        return Err(problem(ProblemKind::Missing, "missing; expected an array of prediction ids"));
    };
    let values =
        value.as_array().ok_or_else(|| problem(ProblemKind::WrongType, "expected an array of prediction ids"))?;
    if values.len() > MOST_IDS {
        return Err(problem(ProblemKind::TooLong, "at most 1000 ids are accepted at once"));
    }
    values
        .iter()
        .map(|value| value.as_str().ok_or_else(|| problem(ProblemKind::WrongType, "every id must be a text")))
        // What is no id of ours is no prediction either; it does not count.
        .filter_map(|text| text.map(JobId::parse).transpose())
        .collect()
}

/// JSON schema of a list's request.
pub fn list_schema() -> Value {
    json_schema(&list_parameters())
}

/// JSON schema of a deletion's request.
pub fn delete_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"ids": {"type": "array", "items": {"type": "string"}, "maxItems": MOST_IDS}},
        "required": ["ids"],
    })
}

/// What a list can be narrowed down to.
pub fn list_parameters() -> [Parameter; 6] {
    [
        Parameter::optional("page", Kind::Integer { range: 1..=1_000_000, default: Some(1) }, "Page, from 1."),
        Parameter::optional("page_size", Kind::Integer { range: 1..=100, default: Some(20) }, "Tasks on a page."),
        Parameter::optional("model", Kind::Text { max_bytes: 200 }, "Only this model."),
        Parameter::optional("status", Kind::Text { max_bytes: 20 }, "Only this status."),
        Parameter::optional("created_after", Kind::Text { max_bytes: 40 }, "RFC 3339."),
        Parameter::optional("created_before", Kind::Text { max_bytes: 40 }, "RFC 3339."),
    ]
}

/// What the fields of a list's request narrow it down to.
///
/// # Errors
/// [`Refusal::Field`] for one that cannot be used.
pub fn filter(object: &Map<String, Value>) -> Result<ListFilter, Refusal> {
    let values = parse(&list_parameters(), object)?;
    let number = |name: &str| values.integer(name).and_then(|value| u32::try_from(value).ok()).unwrap_or(1);
    let status = |text: &str| {
        states(text).ok_or_else(|| {
            let message = "expected created, processing, completed, failed or cancelled";
            Problem::new("status", ProblemKind::NotAnOption, message)
        })
    };
    let time = |name: &'static str| -> Result<Option<Timestamp>, Problem> {
        let Some(text) = values.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            Problem::new(name, ProblemKind::Malformed, "expected an RFC 3339 time such as 2026-01-31T12:00:00Z")
        })?;
        let milliseconds = parsed.unix_timestamp_nanos() / 1_000_000;
        Ok(i64::try_from(milliseconds).ok().map(Timestamp))
    };
    Ok(ListFilter {
        model: values.text("model").filter(|text| !text.is_empty()).map(str::to_owned),
        states: values.text("status").filter(|text| !text.is_empty()).map(status).transpose()?.into_iter().collect(),
        created_after: time("created_after")?,
        created_before: time("created_before")?,
        page: number("page"),
        page_size: number("page_size"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_jobs::JobState;

    fn filter_of(body: &Value) -> Result<ListFilter, Refusal> {
        filter(body.as_object().unwrap())
    }

    #[test]
    fn filters_are_read() {
        let filter = filter_of(&json!({
            "page": 2, "page_size": 5, "status": "completed", "created_after": "1970-01-01T00:00:01.5Z",
        }))
        .unwrap();
        assert_eq!((filter.page, filter.page_size, filter.states), (2, 5, vec![JobState::Succeeded]));
        assert_eq!(filter.created_after, Some(Timestamp(1500)));
        for bad in [
            json!({"page": 0}),
            json!({"page_size": 101}),
            json!({"status": "done"}),
            json!({"created_before": "yesterday"}),
        ] {
            assert!(matches!(filter_of(&bad), Err(Refusal::Field(_))), "{bad}");
        }
    }

    #[test]
    fn ids_that_are_none_do_not_count_and_wrong_types_are_refused() {
        let id = JobId::random();
        let body = json!({"ids": [id.as_str(), "x", "../../etc"]});
        assert_eq!(ids(body.as_object().unwrap()).unwrap(), vec![id]);
        for bad in [json!({}), json!({"ids": "x"}), json!({"ids": [1]}), json!({"ids": vec!["x"; 1001]})] {
            assert!(matches!(ids(bad.as_object().unwrap()), Err(Refusal::Field(_))));
        }
    }
}
