//! A whole repository, or parts of it, from the hub into the cache.

use crate::cache::HubCache;
use crate::client::{HubClient, RequestFailure};
use crate::error::HubError;
use crate::facts::FileFacts;
use crate::file_path::FilePath;
use crate::licence::Licence;
use crate::listing::RepositoryListing;
use crate::observer::PullObserver;
use crate::reference::HubReference;
use crate::refusal::page;
use crate::room::check_room;
use crate::selection::select;
use crate::transfer::{Wish, fetch, is_there};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

/// Files that are asked about, and fetched, at once.
const AT_ONCE: usize = 4;

/// How often the observer is asked whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What to fetch.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// The repository; a file in it counts like a part.
    pub reference: HubReference,
    /// Parts, folders, files or patterns; all that is needed when there are none.
    pub only: Vec<String>,
    /// Whether the licence is accepted.
    pub licence_accepted: bool,
}

/// What there is afterwards.
#[derive(Debug)]
pub struct Pulled {
    /// The folder with the files.
    pub snapshot: PathBuf,
    /// How many files are wanted, and how many of them were fetched now.
    pub files: usize,
    /// Those that were not there before.
    pub fetched: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The repository's licence.
    pub licence: Licence,
}

/// Fetches what `request` asks for and is not there. A name in the snapshot, and what a revision stands for, are written
/// down when the bytes are complete and checked.
///
/// # Errors
/// [`HubError`]; what has arrived stays and is not fetched again.
pub async fn pull(
    client: &HubClient,
    cache: &HubCache,
    request: &PullRequest,
    observer: &dyn PullObserver,
) -> Result<Pulled, HubError> {
    let mut work = pin!(pull_all(client, cache, request, observer));
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            () = tokio::time::sleep(LOOK_EVERY) => if observer.is_cancelled() { return Err(HubError::Cancelled) },
        }
    }
}

async fn pull_all(
    client: &HubClient,
    cache: &HubCache,
    request: &PullRequest,
    observer: &dyn PullObserver,
) -> Result<Pulled, HubError> {
    let HubReference { repository, revision, file, known } = &request.reference;
    let name = repository.to_string();
    let listing = patiently(client, observer, &name, || RepositoryListing::fetch(client, repository, revision)).await?;
    let only: Vec<String> = request.only.iter().cloned().chain(file.as_ref().map(ToString::to_string)).collect();
    let files = select(repository, *known, &listing.files, &only)?;
    let commit = &listing.commit;
    let about = |file: &FilePath| {
        let file = file.clone();
        async move {
            let subject = format!("{repository}/{file}");
            let ask = || FileFacts::fetch(client, repository, commit, &file);
            let facts = patiently(client, observer, &subject, ask).await?;
            Ok::<_, HubError>((file, facts))
        }
    };
    let facts: Vec<(FilePath, FileFacts)> =
        stream::iter(files.iter().map(about)).buffered(AT_ONCE).try_collect().await?;
    let wishes: Vec<Wish<'_>> =
        facts.iter().map(|(file, facts)| Wish { repository, commit, file, facts: *facts }).collect();
    let missing: Vec<Wish<'_>> = wishes.iter().filter(|wish| !is_there(cache, wish)).copied().collect();
    let bytes = missing.iter().map(|wish| wish.facts.size).sum();
    if !missing.is_empty() {
        observer.licence(repository, &listing.licence);
        if listing.licence.needs_acceptance() && !request.licence_accepted {
            let terms = known.map(|known| format!(": {}", known.terms)).unwrap_or_default();
            let address = page(client.endpoint(), repository);
            let problem = format!(
                "its licence has to be accepted ({}){terms}. Read it at {address}, then add --accept-licence",
                listing.licence
            );
            return Err(HubError::Licence { repository: name, problem });
        }
        let arrived: u64 = missing.iter().map(|wish| arrived(cache, wish)).sum();
        check_room(cache.root(), bytes - arrived)?;
        observer.planned(repository, missing.len(), bytes);
    }
    stream::iter(missing.iter().map(|wish| fetch(client, cache, *wish, observer)))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    for wish in &wishes {
        cache.link(repository, commit, wish.file, wish.facts.checksum)?;
    }
    cache.remember(repository, revision, commit)?;
    let snapshot = cache.snapshot(repository, commit);
    Ok(Pulled { snapshot, files: wishes.len(), fetched: missing.len(), bytes, licence: listing.licence })
}

/// Bytes that an earlier try left.
fn arrived(cache: &HubCache, wish: &Wish<'_>) -> u64 {
    let partial = cache.partial(wish.repository, wish.facts.checksum);
    partial.metadata().map_or(0, |metadata| metadata.len().min(wish.facts.size))
}

/// Asks until there is an answer, as often as the client's patience allows.
async fn patiently<T, Asked: Future<Output = Result<T, RequestFailure>>>(
    client: &HubClient,
    observer: &dyn PullObserver,
    subject: &str,
    ask: impl Fn() -> Asked,
) -> Result<T, HubError> {
    let mut failures = 0;
    loop {
        let (problem, asked) = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(RequestFailure::Lasting(error)) => return Err(error),
            Err(RequestFailure::Passing { problem, pause }) => (problem, pause),
        };
        failures += 1;
        if failures >= client.patience().attempts {
            return Err(HubError::Transfer { subject: subject.to_owned(), problem });
        }
        let pause = client.patience().pause(failures, asked);
        observer.trying_again(&problem, pause);
        tokio::time::sleep(pause).await;
    }
}
