//! Webhooks of this dialect: the result in a report, signed with a key whose public part everybody may read.

use super::error::Answer;
use super::output::report;
use crate::files::{FileLinks, Signer};
use crate::refusal::Refusal;
use crate::webhooks::ed25519::{BadSeed, PublicKey, SigningKey};
use crate::webhooks::{Message, Render, RenderError, Schedule};
use afterimage_jobs::{Delivery, Job, Timestamp};
use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::time::Duration;
use utoipa::ToSchema;

/// The keys that sign webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookKeys)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

/// The keys that sign webhooks
///
/// A JSON Web Key Set; needs no key.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "fal", responses((status = 200, description = "The keys", body = KeySet)))]
pub async fn keys(State(links): State<FileLinks>) -> Answer<Json<KeySet>> {
    Ok(Json(key_set(links.signer()).map_err(|_| Refusal::Internal)?))
}

/// The public keys of the server that has `signer`.
///
/// # Errors
/// Never in practice: a derived seed is one.
pub fn key_set(signer: &Signer) -> Result<KeySet, BadSeed> {
    Ok(KeySet { keys: vec![signing_key(signer)?.public()] })
}

/// The key: derived, so that it needs no storing and is the same on all servers of one database.
fn signing_key(signer: &Signer) -> Result<SigningKey, BadSeed> {
    SigningKey::from_seed(&signer.derive("fal-webhook"))
}

/// Renders this dialect's webhooks. Results are addressed by the links, whose signer also makes the signing key.
#[derive(Debug)]
pub struct WebhookRenderer(pub FileLinks);

#[async_trait]
impl Render for WebhookRenderer {
    async fn render(&self, job: &Job, _: &Delivery, sent_at: Timestamp) -> Result<Message, RenderError> {
        let failed = |error: &dyn std::fmt::Display| RenderError(error.to_string());
        let body = serde_json::to_vec(&report(job, &self.0)).map_err(|error| failed(&error))?;
        let (id, user) = (job.id.to_string(), job.key.to_string());
        let timestamp = (sent_at.unix_seconds()).to_string();
        let digest = hex::encode(Sha256::digest(&body));
        let key = signing_key(self.0.signer()).map_err(|error| failed(&error))?;
        let signature = key.sign(format!("{id}\n{user}\n{timestamp}\n{digest}").as_bytes());
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-fal-webhook-request-id", id),
            ("x-fal-webhook-user-id", user),
            ("x-fal-webhook-timestamp", timestamp),
            ("x-fal-webhook-signature", signature),
        ] {
            headers.insert(name, HeaderValue::from_str(&value).map_err(|error| failed(&error))?);
        }
        Ok(Message { body: body.into(), headers })
    }

    /// As the service does: ten attempts, with pauses that make about two hours together.
    fn schedule(&self) -> Schedule {
        Schedule { attempts: 10, first_pause: Duration::from_secs(14), response_limit: Duration::from_secs(15) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::testing::{checked_job, job};
    use afterimage_core::{Field, OnFlag};
    use afterimage_jobs::{Failure, FailureKind, JobState};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{ED25519, UnparsedPublicKey};
    use serde_json::{Value, json};

    const SENT_AT: Timestamp = Timestamp(1_750_000_000_500);

    fn links(secret: u8) -> FileLinks {
        FileLinks::new(Signer::new([secret; 32]), Duration::from_hours(1))
    }

    fn succeeded() -> Job {
        checked_job(OnFlag::Withhold, &[Some(false)])
    }

    async fn rendered(job: &Job) -> Message {
        let delivery = Delivery {
            id: 17,
            job: job.id.clone(),
            url: "http://receiver/".to_owned(),
            dialect: job.dialect.clone(),
            key: job.key.clone(),
            attempt: 1,
            failures: 0,
            created_at: SENT_AT,
        };
        WebhookRenderer(links(1)).render(job, &delivery, SENT_AT).await.unwrap()
    }

    fn text(message: &Message) -> String {
        let headers: Vec<String> =
            message.headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        format!("{}\n{}\n", headers.concat(), serde_json::to_string_pretty(&body).unwrap())
    }

    /// What a receiver does: it reads the key set and checks the headers and the raw body.
    fn verified(keys: &Value, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = |name: &str| headers[&format!("x-fal-webhook-{name}")].to_str().unwrap().to_owned();
        let lines = [header("request-id"), header("user-id"), header("timestamp"), hex::encode(Sha256::digest(body))];
        let signature = hex::decode(header("signature")).unwrap();
        keys["keys"].as_array().unwrap().iter().any(|key| {
            let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
            UnparsedPublicKey::new(&ED25519, public).verify(lines.join("\n").as_bytes(), &signature).is_ok()
        })
    }

    #[tokio::test]
    async fn a_result_is_reported() {
        insta::assert_snapshot!(text(&rendered(&succeeded()).await));
    }

    #[tokio::test]
    async fn a_failure_is_reported() {
        let failure = Failure {
            field: Some(Field::Image),
            ..Failure::new(FailureKind::SourceUnavailable, "the host answered with status 404")
        };
        let failed = Job { state: JobState::Failed, failure: Some(failure), ..job() };
        insta::assert_snapshot!(text(&rendered(&failed).await));
    }

    #[tokio::test]
    async fn a_cancelled_request_is_reported() {
        let cancelled = Job { state: JobState::Cancelled, ..job() };
        insta::assert_snapshot!(text(&rendered(&cancelled).await));
    }

    #[tokio::test]
    async fn the_shown_key_verifies_what_was_sent_and_nothing_else() {
        let message = rendered(&succeeded()).await;
        let keys = serde_json::to_value(key_set(&Signer::new([1; 32])).unwrap()).unwrap();
        assert_eq!(keys["keys"][0]["kty"], json!("OKP"));
        assert!(verified(&keys, &message.headers, &message.body));
        assert!(!verified(&keys, &message.headers, &message.body[1..]), "another body");
        for name in ["request-id", "user-id", "timestamp"] {
            let mut changed = message.headers.clone();
            changed.insert(format!("x-fal-webhook-{name}").parse::<axum::http::HeaderName>().unwrap(), 1.into());
            assert!(!verified(&keys, &changed, &message.body), "another {name}");
        }
        let foreign = serde_json::to_value(key_set(&Signer::new([2; 32])).unwrap()).unwrap();
        assert!(!verified(&foreign, &message.headers, &message.body), "another server's key");
    }

    #[test]
    fn ten_attempts_take_about_two_hours() {
        let schedule = WebhookRenderer(links(1)).schedule();
        let pauses: Vec<Duration> = (1..).map_while(|attempt| schedule.pause_after(attempt, 128)).collect();
        assert_eq!(pauses.len(), 9);
        let minutes = pauses.iter().sum::<Duration>().as_secs() / 60;
        assert!((110..130).contains(&minutes), "{minutes} minutes");
    }
}
