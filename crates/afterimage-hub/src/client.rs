//! Requests to the hub and the stores it sends on to.

use crate::environment::HubEnvironment;
use crate::error::HubError;
use crate::refusal::{Asked, refusal};
use crate::repository_name::RepositoryName;
use crate::token::AccessToken;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, LOCATION, RANGE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use std::time::Duration;
use url::{Host, Url};

/// Redirects of one request: a renamed repository, the hub's own cache, a store.
const MOST_REDIRECTS: usize = 8;

/// How long to wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Longest pause that a busy hub may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// How much trouble a transfer puts up with.
#[derive(Clone, Copy, Debug)]
pub struct TransferPatience {
    /// Tries in a row that bring nothing new.
    pub attempts: u32,
    /// Pause before the second try; each further one is twice as long.
    pub first_pause: Duration,
    /// Silence that counts as the end of a connection.
    pub silence: Duration,
}

impl Default for TransferPatience {
    fn default() -> Self {
        Self { attempts: 5, first_pause: Duration::from_secs(1), silence: Duration::from_secs(30) }
    }
}

impl TransferPatience {
    /// The pause after the `failures`th failure in a row, which the hub may have asked to be longer.
    pub(crate) fn pause(&self, failures: u32, asked: Option<Duration>) -> Duration {
        let own = self.first_pause * 2_u32.saturating_pow(failures.saturating_sub(1).min(6));
        asked.map_or(own, |asked| own.max(asked.min(LONGEST_PAUSE)))
    }
}

/// Talks to one hub in one person's name.
#[derive(Clone, Debug)]
pub struct HubClient {
    http: Client,
    endpoint: Url,
    token: Option<AccessToken>,
    patience: TransferPatience,
}

/// Why a request brought nothing.
pub(crate) enum RequestFailure {
    /// Another try may help.
    Passing { problem: String, pause: Option<Duration> },
    /// It will not.
    Lasting(HubError),
}

impl From<HubError> for RequestFailure {
    fn from(error: HubError) -> Self {
        Self::Lasting(error)
    }
}

/// What to do with a redirect to another host than the hub's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// Go there, without the token.
    Follow,
    /// Take the redirect as the answer: it has the headers that are wanted.
    Stop,
}

/// An answer, and what the hub said on the way to it.
pub(crate) struct HubAnswer {
    pub response: Response,
    /// Headers of the hub's own answers, the first of each name. A store's are not among them.
    pub hub: HeaderMap,
}

impl HubClient {
    /// A client for the hub of `environment`. `tls` says whom to trust; proxies are those of the usual variables.
    ///
    /// # Errors
    /// [`HubError::Environment`] with `HF_HUB_OFFLINE`; [`HubError::Transfer`] when no client can be made.
    pub fn new(
        environment: &HubEnvironment,
        tls: rustls::ClientConfig,
        patience: TransferPatience,
    ) -> Result<Self, HubError> {
        if environment.offline {
            let problem = "forbids to ask the hub; unset it to fetch models".to_owned();
            return Err(HubError::Environment { variable: "HF_HUB_OFFLINE", problem });
        }
        let builder = Client::builder();
        // A mirror on this machine, which no proxy can reach.
        let builder = if is_loopback(&environment.endpoint) { builder.no_proxy() } else { builder };
        let http = builder
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(patience.silence)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("afterimage/", env!("CARGO_PKG_VERSION")))
            .build();
        let endpoint = environment.endpoint.clone();
        let http = http
            .map_err(|error| HubError::Transfer { subject: endpoint.to_string(), problem: without_address(error) })?;
        Ok(Self { http, endpoint, token: environment.token.clone(), patience })
    }

    /// How much trouble to put up with.
    pub(crate) fn patience(&self) -> &TransferPatience {
        &self.patience
    }

    /// Where the hub is.
    pub(crate) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// The address at the hub whose path ends with `names`, each a single segment.
    pub(crate) fn address<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Url {
        let mut address = self.endpoint.clone();
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty().extend(names);
        }
        address
    }

    /// Sends a request about `what` of `repository`; the answer is a success, or with [`Elsewhere::Stop`] a redirect.
    ///
    /// The token goes to the hub's own origin only: scheme, host and port.
    pub(crate) async fn send(
        &self,
        (method, address): (Method, Url),
        from: u64,
        elsewhere: Elsewhere,
        (repository, what): (&RepositoryName, &str),
    ) -> Result<HubAnswer, RequestFailure> {
        let mut address = address;
        let mut hub = HeaderMap::new();
        for _ in 0..=MOST_REDIRECTS {
            let is_hub = address.origin() == self.endpoint.origin();
            let mut request = self.http.request(method.clone(), address.clone()).header(ACCEPT_ENCODING, "identity");
            if let Some(token) = self.token.as_ref().filter(|_| is_hub) {
                request = request.bearer_auth(token.secret());
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let response = request.send().await.map_err(|error| passing(&without_address(error)))?;
            let status = response.status();
            if is_hub {
                for (name, value) in response.headers() {
                    if !hub.contains_key(name) {
                        hub.insert(name.clone(), value.clone());
                    }
                }
            }
            if status.is_redirection() {
                let next = self.next(&address, response.headers(), repository)?;
                if next.origin() != self.endpoint.origin() && elsewhere == Elsewhere::Stop {
                    return Ok(HubAnswer { response, hub });
                }
                address = next;
                continue;
            }
            if status.is_success() || status.as_u16() == 416 {
                return Ok(HubAnswer { response, hub });
            }
            if status.is_server_error() || [408, 429].contains(&status.as_u16()) {
                let pause = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                let problem = format!("{} answers {status}", host(&address));
                return Err(RequestFailure::Passing { problem, pause: pause.map(Duration::from_secs) });
            }
            if !is_hub {
                // Signed addresses of stores run out; the hub signs a new one for the next try.
                return Err(passing(&format!("{} answers {status}", host(&address))));
            }
            let asked = Asked { endpoint: &self.endpoint, token: self.token.as_ref(), repository, what };
            return Err(refusal(status, response.headers(), &asked).into());
        }
        Err(bad_redirect(repository, &format!("more than {MOST_REDIRECTS} redirects")))
    }

    /// Where a redirect leads.
    fn next(&self, from: &Url, headers: &HeaderMap, repository: &RepositoryName) -> Result<Url, RequestFailure> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let next = location.and_then(|location| from.join(location).ok());
        let Some(next) = next.filter(|next| ["http", "https"].contains(&next.scheme()) && next.has_host()) else {
            return Err(bad_redirect(repository, "a redirect to no web address"));
        };
        if self.endpoint.scheme() == "https" && next.scheme() != "https" {
            return Err(bad_redirect(repository, &format!("a redirect from https to http ({})", host(&next))));
        }
        Ok(next)
    }
}

fn bad_redirect(repository: &RepositoryName, problem: &str) -> RequestFailure {
    RequestFailure::Lasting(HubError::Transfer { subject: repository.to_string(), problem: problem.to_owned() })
}

/// A failure that another try may mend.
pub(crate) fn passing(problem: &str) -> RequestFailure {
    RequestFailure::Passing { problem: problem.to_owned(), pause: None }
}

fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The host for messages; the rest of a store's address is a signature that nobody else should see.
fn host(address: &Url) -> &str {
    address.host_str().unwrap_or_default()
}

/// reqwest's error and its innermost cause, without the address, which may be signed.
pub(crate) fn without_address(error: reqwest::Error) -> String {
    let address = error.url().map(|url| host(url).to_owned());
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let timeout = if error.is_timeout() { "no answer in time" } else { "" };
    let cause = if timeout.is_empty() { cause.to_string() } else { timeout.to_owned() };
    let cause = cause.find(" (os error").map_or(cause.clone(), |end| cause[..end].to_owned());
    address.map_or(cause.clone(), |address| format!("{address}: {cause}"))
}
