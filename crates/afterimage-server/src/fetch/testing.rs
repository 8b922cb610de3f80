//! Stand-ins for the internet: name servers that lie and servers that misbehave, on loopback.

use super::outbound::{Outbound, OutboundOptions};
use super::resolve::Resolve;
use afterimage_jobs::KeyId;
use async_trait::async_trait;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A name server. Each lookup of a name takes the next of its answers; the last one is repeated.
#[derive(Debug, Default)]
pub(crate) struct Names {
    answers: HashMap<String, Vec<Vec<IpAddr>>>,
    lookups: AtomicUsize,
}

impl Names {
    /// Names that always resolve to the same addresses.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = (&'a str, &'a [&'a str])>) -> Arc<Self> {
        let parsed = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        let answers = names.into_iter().map(|(name, addresses)| (name.to_owned(), vec![parsed(addresses)])).collect();
        Arc::new(Self { answers, lookups: AtomicUsize::new(0) })
    }

    /// A name that resolves to another address each time.
    pub(crate) fn rebinding(name: &str, addresses: &[&str]) -> Arc<Self> {
        let answers = addresses.iter().map(|address| vec![address.parse().unwrap()]).collect();
        Arc::new(Self { answers: HashMap::from([(name.to_owned(), answers)]), lookups: AtomicUsize::new(0) })
    }

    pub(crate) fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, _key: Option<&KeyId>, host: &str) -> io::Result<Vec<IpAddr>> {
        let count = self.lookups.fetch_add(1, Ordering::SeqCst);
        let answers = self.answers.get(host).ok_or(io::ErrorKind::NotFound)?;
        Ok(answers[count.min(answers.len() - 1)].clone())
    }
}

/// TLS settings that trust nobody.
pub(crate) fn no_tls() -> ClientConfig {
    trusting(RootCertStore::empty())
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// Connections to `permitted` addresses only, as if these were the public ones.
pub(crate) fn outbound_to(names: Arc<Names>, permitted: &[SocketAddr]) -> Outbound {
    let permitted = permitted.to_vec();
    Outbound::new(&OutboundOptions::default(), names, no_tls()).with_rule(move |address| permitted.contains(&address))
}

/// What a server does with a request.
pub(crate) enum Answer {
    /// Sends this and closes.
    Bytes(Vec<u8>),
    /// Sends the head, then this piece again and again, with a pause in between.
    Endless { head: Vec<u8>, piece: Vec<u8>, pause: Duration },
    /// Says nothing for a long time.
    Hang,
}

/// A response with a length and a body.
pub(crate) fn response(status: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    Answer::Bytes([head.as_bytes(), body].concat())
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A server on loopback; it goes when this is dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

type Handler = dyn Fn(usize, &Received) -> Answer + Send + Sync;

impl TestServer {
    /// Answers requests by `handler`, which gets the number of earlier requests.
    pub(crate) async fn start(handler: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(Arc::new(handler), None).await
    }

    /// The same over TLS with a certificate for `name`; the client settings trust it.
    pub(crate) async fn start_tls(
        name: &str,
        handler: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static,
    ) -> (Self, ClientConfig) {
        let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let certificate: CertificateDer<'static> = certified.cert.der().clone();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let server = Self::listen(Arc::new(handler), Some(TlsAcceptor::from(Arc::new(config)))).await;
        (server, trusting(roots))
    }

    async fn listen(handler: Arc<Handler>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (handler, log, tls) = (Arc::clone(&handler), Arc::clone(&log), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => drop(converse(stream, &*handler, &log).await),
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                drop(converse(stream, &*handler, &log).await);
                            }
                        }
                    }
                });
            }
        });
        Self { address, received, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: &Handler,
    log: &Mutex<Vec<Received>>,
) -> io::Result<()> {
    let request = read_request(&mut stream).await?;
    let earlier = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    match handler(earlier, &request) {
        Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
        Answer::Endless { head, piece, pause } => {
            stream.write_all(&head).await?;
            loop {
                stream.write_all(&piece).await?;
                stream.flush().await?;
                // Real time: the pace of a peer behind a socket.
                tokio::time::sleep(pause).await;
            }
        }
        Answer::Hang => std::future::pending().await,
    }
    stream.shutdown().await
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Received> {
    const END: &[u8] = b"\r\n\r\n";
    let mut bytes = Vec::new();
    let head_length = loop {
        if let Some(at) = bytes.windows(END.len()).position(|window| window == END) {
            break at + END.len();
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = bytes.split_off(head_length);
    let request = Received { head: String::from_utf8_lossy(&bytes).into_owned(), body: Vec::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Received { body, ..request })
}
