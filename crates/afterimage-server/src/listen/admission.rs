//! How many connections there may be, in all and from one address, and for how long a peer may refuse to read.
//!
//! Every connection takes a file descriptor, also one that says nothing. When they run out, SQLite, results and the
//! engine's pipes have none either; so connections end before descriptors do.

use super::limits::ConnectionLimits;
use crate::fetch::is_public;
use crate::http::TrustedProxies;
use crate::network::counted_address;
use axum_server::accept::Accept;
use std::collections::HashMap;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready as when_ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How often a full server says so.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Counts connections. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Admission {
    counts: Arc<Mutex<ConnectionCounts>>,
    limits: ConnectionLimits,
    proxies: TrustedProxies,
}

#[derive(Debug, Default)]
struct ConnectionCounts {
    all: usize,
    of: HashMap<IpAddr, usize>,
    told: Option<Instant>,
}

impl Admission {
    /// Lets connections in within `limits`; ends those whose peer takes nothing of an answer. A connection has one
    /// address, however many clients a proxy sends through it, so those of `proxies` are not told apart.
    pub fn new(limits: ConnectionLimits, proxies: TrustedProxies) -> Self {
        Self { counts: Arc::default(), limits, proxies }
    }

    /// A place for a connection from `address`, unless there is none.
    fn enter(&self, address: IpAddr) -> Option<ConnectionSlot> {
        let counted = self.counted(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = counted.map_or(0, |address| counts.of.get(&address).copied().unwrap_or_default());
        if counts.all >= self.limits.total || from_there >= self.limits.per_address {
            if counts.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                counts.told = Some(Instant::now());
                tracing::warn!(
                    connections = counts.all,
                    from_there,
                    %address,
                    "refused a connection: there are too many, in all or from that address"
                );
            }
            return None;
        }
        counts.all += 1;
        if let Some(address) = counted {
            counts.of.insert(address, from_there + 1);
        }
        drop(counts);
        Some(ConnectionSlot { counts: Arc::clone(&self.counts), counted })
    }

    /// The address as it counts. Loopback and private addresses are not told apart, like proxies: everybody who comes
    /// through one has its address.
    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        (is_public(address.to_canonical()) && !self.proxies.contains(address)).then(|| counted_address(address))
    }
}

/// One counted connection, until it is dropped.
#[derive(Debug)]
struct ConnectionSlot {
    counts: Arc<Mutex<ConnectionCounts>>,
    counted: Option<IpAddr>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        let Some(address) = self.counted else { return };
        match counts.of.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.of.remove(&address);
            }
        }
    }
}

impl<S> Accept<TcpStream, S> for Admission {
    type Stream = Admitted<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let admitted = stream.peer_addr().and_then(|peer| {
            // Closed without a word: an answer would have to wait for a peer that may not read.
            let place = self.enter(peer.ip()).ok_or_else(|| io::Error::other("too many connections"))?;
            Ok((Admitted { stream, stalled_time: self.limits.stalled_time, stalled: None, _place: place }, service))
        });
        ready(admitted)
    }
}

/// The connection of a [`ConnectionSlot`]. Writing fails when the peer takes nothing for too long.
#[derive(Debug)]
pub struct Admitted<T> {
    stream: T,
    stalled_time: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    _place: ConnectionSlot,
}

impl<T> Admitted<T> {
    /// Passes `written` on, or fails when nothing has been written for too long.
    fn watch<R>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.stalled_time)));
        when_ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answer")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Admitted<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Admitted<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn admission(total: usize, per_address: usize) -> Admission {
        let stalled_time = Duration::from_millis(50);
        let limits = ConnectionLimits { total, per_address, stalled_time, ..ConnectionLimits::default() };
        Admission::new(limits, TrustedProxies::from(vec!["9.9.9.0/24".parse().unwrap()]))
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let admission = admission(2, 2);
        let first = admission.enter(address("127.0.0.1")).unwrap();
        let second = admission.enter(address("192.0.2.1")).unwrap();
        assert!(admission.enter(address("8.8.8.8")).is_none());
        drop(first);
        let third = admission.enter(address("8.8.8.8")).unwrap();
        assert!(admission.enter(address("127.0.0.1")).is_none());
        drop((second, third));
        let counts = admission.counts.lock().unwrap();
        assert_eq!((counts.all, counts.of.len()), (0, 0));
    }

    #[test]
    fn one_public_address_does_not_take_every_place() {
        let admission = admission(100, 2);
        for (one, other) in [("8.8.8.8", "8.8.4.4"), ("2600::1", "2600:0:0:1::1"), ("::ffff:1.1.1.1", "1.0.0.1")] {
            let places: Vec<ConnectionSlot> = (0..2).map(|_| admission.enter(address(one)).unwrap()).collect();
            assert!(admission.enter(address(one)).is_none(), "{one}");
            let other = admission.enter(address(other));
            assert!(other.is_some());
            drop(places);
            assert!(admission.enter(address(one)).is_some(), "{one}");
        }
        // Another address of the same network counts as the same.
        let _places = [admission.enter(address("2600::1")), admission.enter(address("2600::2"))].map(Option::unwrap);
        assert!(admission.enter(address("2600::3")).is_none());
        for proxy in ["127.0.0.1", "9.9.9.1"] {
            let behind_it: Vec<_> = (0..50).filter_map(|_| admission.enter(address(proxy))).collect();
            assert_eq!(behind_it.len(), 50, "{proxy}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_given_up() {
        let admission = admission(1, 1);
        let (stream, mut peer) = tokio::io::duplex(8);
        let place = admission.enter(address("127.0.0.1")).unwrap();
        let mut admitted =
            Admitted { stream, stalled_time: admission.limits.stalled_time, stalled: None, _place: place };
        admitted.write_all(b"12345678").await.unwrap();
        let error = admitted.write_all(b"9").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // One that reads now and then is not.
        let mut bytes = [0; 8];
        tokio::io::AsyncReadExt::read_exact(&mut peer, &mut bytes).await.unwrap();
        let writing = tokio::spawn(async move { admitted.write_all(&[7; 40]).await });
        for _ in 0..5 {
            sleep(Duration::from_millis(20)).await;
            tokio::io::AsyncReadExt::read_exact(&mut peer, &mut bytes).await.unwrap();
        }
        writing.await.unwrap().unwrap();
    }
}
