//! Asks other processes over HTTP.

use super::pass::Passes;
use super::routes::BEAT;
use super::wire::{LONGEST_LINE, SaidBefore, event};
use afterimage_jobs::progress::{Event, Noted};
use afterimage_jobs::remote::{AskProcess, NoAnswer};
use afterimage_jobs::{JobId, RunPlace};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use std::io;
use std::time::Duration;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

/// How long a connection may take: the network between hosts of one service.
const CONNECT: Duration = Duration::from_millis(500);

/// Asks over HTTP, without encryption: the network between the hosts has to be private.
#[derive(Debug)]
pub struct HttpAsk {
    client: Client,
    passes: Passes,
}

impl HttpAsk {
    /// Asks by the passes of `passes`.
    ///
    /// # Errors
    /// When the platform has no TLS settings, which the client wants though it does not use them.
    pub fn new(passes: Passes) -> Result<Self, rustls::Error> {
        let client = Client::builder()
            .tls_backend_preconfigured(crate::fetch::platform_tls()?)
            .connect_timeout(CONNECT)
            .read_timeout(3 * BEAT)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self { client, passes })
    }

    async fn get(&self, place: &RunPlace, path: &str) -> Result<Response, NoAnswer> {
        let pass =
            self.passes.to(&place.process).ok_or_else(|| NoAnswer("the database's time is unknown".to_owned()))?;
        let request = self.client.get(format!("http://{}{path}", place.address)).bearer_auth(pass);
        let response = request.send().await.map_err(no_answer)?;
        response.error_for_status().map_err(no_answer)
    }
}

#[async_trait]
impl AskProcess for HttpAsk {
    async fn events(
        &self,
        place: &RunPlace,
        job: &JobId,
        attempt: u32,
        previews: bool,
    ) -> Result<BoxStream<'static, Event>, NoAnswer> {
        let path = format!("/internal/jobs/{job}/events?attempt={attempt}&previews={previews}");
        let response = self.get(place, &path).await?;
        let bytes = StreamReader::new(response.bytes_stream().map_err(io::Error::other));
        let lines = FramedRead::new(bytes, LinesCodec::new_with_max_length(LONGEST_LINE));
        // A line that cannot be read ends it: what follows is not known to be ours.
        let events =
            lines.take_while(|line| std::future::ready(line.is_ok())).filter_map(async |line| event(&line.ok()?));
        Ok(events.boxed())
    }

    async fn history(&self, place: &RunPlace, job: &JobId) -> Result<Vec<Noted>, NoAnswer> {
        let response = self.get(place, &format!("/internal/jobs/{job}/history")).await?;
        let bytes = response.bytes().await.map_err(no_answer)?;
        let history: Vec<SaidBefore> =
            serde_json::from_slice(&bytes).map_err(|error| NoAnswer(format!("its history cannot be read: {error}")))?;
        Ok(history.into_iter().filter_map(SaidBefore::into_noted).collect())
    }
}

fn no_answer(error: reqwest::Error) -> NoAnswer {
    // Without the address: it is in the place, and the path says nothing.
    NoAnswer(error.without_url().to_string())
}
