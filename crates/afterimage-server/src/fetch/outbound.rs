//! Connections to addresses that clients named: checked, then pinned.

use super::address::is_public;
use super::error::FetchError;
use super::resolve::{Resolve, SystemResolver};
use super::web_url::parse_web_url;
use crate::network::sender_towards;
use afterimage_jobs::KeyId;
use reqwest::redirect::Policy;
use reqwest::{Client, header};
use rustls::ClientConfig;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// Addresses of one host that a connection tries; more are checked but not used.
const TRIED_ADDRESSES: usize = 8;

/// How connections are made.
#[derive(Clone, Debug)]
pub struct OutboundOptions {
    /// Accept private, loopback and every other address.
    pub allow_private_networks: bool,
    /// Time for looking up the name, and again for connecting, handshake included.
    pub connect_limit: Duration,
}

impl Default for OutboundOptions {
    /// Public addresses only, 5 seconds.
    fn default() -> Self {
        Self { allow_private_networks: false, connect_limit: Duration::from_secs(5) }
    }
}

/// Tells whether an address may be connected to.
type Rule = dyn Fn(SocketAddr) -> bool + Send + Sync;

/// Makes connections to addresses that clients named.
#[derive(Clone)]
pub struct Outbound {
    resolver: Arc<dyn Resolve>,
    permits: Arc<Rule>,
    tls: ClientConfig,
    connect_limit: Duration,
    key: Option<KeyId>,
}

impl Outbound {
    /// Connections with the given name lookup and TLS settings; see [`SystemResolver`] and [`super::platform_tls`].
    pub fn new(options: &OutboundOptions, resolver: Arc<dyn Resolve>, tls: ClientConfig) -> Self {
        let permits: Arc<Rule> =
            if options.allow_private_networks { Arc::new(|_| true) } else { Arc::new(is_elsewhere_and_public) };
        Self { resolver, permits, tls, connect_limit: options.connect_limit, key: None }
    }

    /// Connections with the operating system's name lookup and certificate authorities.
    ///
    /// # Errors
    /// As [`super::platform_tls`].
    pub fn system(options: &OutboundOptions) -> Result<Self, rustls::Error> {
        Ok(Self::new(options, Arc::new(SystemResolver::default()), super::platform_tls()?))
    }

    /// Replaces the rule of which addresses may be connected to: tests have nothing but loopback to play the internet.
    #[cfg(test)]
    pub(crate) fn with_rule(mut self, permits: impl Fn(SocketAddr) -> bool + Send + Sync + 'static) -> Self {
        self.permits = Arc::new(permits);
        self
    }

    /// The same for requests of `key`, whose share of name look-ups these then are. Without a key all share one place.
    #[must_use]
    pub fn on_behalf_of(&self, key: &KeyId) -> Self {
        Self { key: Some(key.clone()), ..self.clone() }
    }

    /// Checks an address without connecting to it, for refusing it when it is submitted. A name is looked up, which
    /// takes time. The answer may be another one later, so every connection checks again.
    ///
    /// # Errors
    /// [`FetchError::Url`] and [`FetchError::Unreachable`].
    pub async fn check_target(&self, text: &str) -> Result<(), FetchError> {
        self.admit(&parse_web_url(text)?).await.map(drop)
    }

    /// A client for one request to `url`, which can connect to nothing but the checked addresses of its host.
    ///
    /// It follows no redirects, uses no proxy, keeps no cookies and no connection, and unpacks no compression.
    /// `idle_limit` bounds each wait for more of the response.
    pub(crate) async fn client_for(&self, url: &Url, idle_limit: Duration) -> Result<Client, FetchError> {
        let addresses = self.admit(url).await?;
        let pinned = &addresses[..addresses.len().min(TRIED_ADDRESSES)];
        Client::builder()
            .resolve_to_addrs(url.host_str().unwrap_or_default(), pinned)
            .tls_backend_preconfigured(self.tls.clone())
            .connect_timeout(self.connect_limit)
            .read_timeout(idle_limit)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            // One request each: no need for HTTP/2, whose header compression and stream accounting are one more thing
            // for a hostile server to play with.
            .http1_only()
            .pool_max_idle_per_host(0)
            .user_agent(concat!("afterimage/", env!("CARGO_PKG_VERSION")))
            .default_headers(std::iter::once((header::ACCEPT_ENCODING, identity())).collect())
            .build()
            .map_err(|error| {
                tracing::error!(%error, "no client for outgoing requests");
                FetchError::Unreachable
            })
    }

    async fn admit(&self, url: &Url) -> Result<Vec<SocketAddr>, FetchError> {
        let addresses = match literal_address(url) {
            Some(address) => vec![address],
            None => self.resolve(url.domain().unwrap_or_default()).await?,
        };
        self.permit(url, addresses)
    }

    /// The addresses with the port, every one of them permitted. One that is not spoils the others: nobody mixes public
    /// and private addresses with good intent.
    fn permit(&self, url: &Url, addresses: Vec<IpAddr>) -> Result<Vec<SocketAddr>, FetchError> {
        let port = url.port_or_known_default().ok_or(FetchError::Unreachable)?;
        let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        if let Some(address) = addresses.iter().find(|&&address| !(self.permits)(address)) {
            tracing::debug!(host = url.host_str(), %address, "an address that must not be reached was refused");
            return Err(FetchError::Unreachable);
        }
        if addresses.is_empty() {
            tracing::debug!(host = url.host_str(), "a name has no address");
            return Err(FetchError::Unreachable);
        }
        Ok(addresses)
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, FetchError> {
        match tokio::time::timeout(self.connect_limit, self.resolver.resolve(self.key.as_ref(), name)).await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => {
                tracing::debug!(host = name, %error, "a name did not resolve");
                Err(FetchError::Unreachable)
            }
            Err(_) => {
                tracing::debug!(host = name, "a name did not resolve in time");
                Err(FetchError::Unreachable)
            }
        }
    }
}

/// The address that stands in place of a name.
fn literal_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outbound").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

fn identity() -> header::HeaderValue {
    header::HeaderValue::from_static("identity")
}

fn is_elsewhere_and_public(address: SocketAddr) -> bool {
    is_public(address.ip()) && !is_this_machine(address)
}

/// Whether a public address is one of this machine's own, behind which services may trust the local sender: what is sent
/// to an own address comes from that same one.
fn is_this_machine(address: SocketAddr) -> bool {
    sender_towards(address).is_ok_and(|sender| sender == address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::testing::{Names, no_tls};

    fn outbound(allow_private_networks: bool) -> Outbound {
        let options = OutboundOptions { allow_private_networks, ..OutboundOptions::default() };
        let names = Names::new([
            ("localhost", &["127.0.0.1", "::1"][..]),
            ("localhost.", &["127.0.0.1"]),
            ("public.example", &["1.1.1.1"]),
            ("mixed.example", &["1.1.1.1", "10.0.0.1"]),
            ("nowhere.example", &[]),
        ]);
        Outbound::new(&options, names, no_tls())
    }

    /// Groups of addresses that must not be reached, in every spelling.
    const REFUSED: [&str; 37] = [
        "http://127.0.0.1/",
        "http://127.255.255.255/",
        "http://127.1/",
        "http://0.0.0.0/",
        "http://0/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://127.0.0.1./",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://224.0.0.1/",
        "http://[ff02::1]/",
        "http://255.255.255.255/",
        "http://100.64.0.1/",
        "http://100.127.255.254/",
        "http://[64:ff9b::a00:1]/",
        "http://[2002:a00:1::1]/",
        "http://[2001:0:4136:e378::1]/",
        "http://mixed.example/",
        "http://nowhere.example/",
        "http://unknown.example/",
        "https://10.0.0.1:8443/",
        "http://\u{2460}27.0.0.1/",
    ];

    #[tokio::test]
    async fn private_addresses_and_unknown_names_are_refused_in_the_same_words() {
        for text in REFUSED {
            assert_eq!(outbound(false).check_target(text).await, Err(FetchError::Unreachable), "{text}");
        }
    }

    #[tokio::test]
    async fn public_addresses_pass() {
        for text in [
            "http://public.example/",
            "https://1.1.1.1/",
            "http://100.63.255.254/",
            "http://100.128.0.1/",
            "http://[64:ff9c::1]/",
            "http://[64:ff9b::101:101]/",
        ] {
            assert_eq!(outbound(false).check_target(text).await, Ok(()), "{text}");
        }
    }

    #[tokio::test]
    async fn private_networks_can_be_allowed() {
        for text in ["http://127.0.0.1:8080/", "http://10.0.0.1/", "http://localhost/", "http://mixed.example/"] {
            assert_eq!(outbound(true).check_target(text).await, Ok(()), "{text}");
        }
        let answer = outbound(true).check_target("http://unknown.example/").await;
        assert_eq!(answer, Err(FetchError::Unreachable));
    }

    #[test]
    fn own_addresses_are_known() {
        assert!(is_this_machine(([127, 0, 0, 1], 80).into()));
        assert!(!is_this_machine(([1, 1, 1, 1], 80).into()));
    }
}
