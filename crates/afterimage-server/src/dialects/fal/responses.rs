//! Headers of answers about a request.

use super::error::BILLABLE_UNITS;
use afterimage_jobs::Job;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

/// Carries the id of the request that an answer is about.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-fal-request-id");

/// Adds the headers about `job` to `response`.
pub fn with_job(mut response: Response, job: &Job) -> Response {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(job.id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    let pictures = job.result.iter().flat_map(|result| &result.facts.pictures);
    // As the service counts: started megapixels.
    let units: u64 = pictures.map(|picture| picture.size.pixels().div_ceil(1_000_000)).sum();
    if units > 0 {
        headers.insert(BILLABLE_UNITS, HeaderValue::from(units));
    }
    response
}
