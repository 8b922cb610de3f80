//! The time until a connection has said which HTTP it speaks.
//!
//! HTTP/2 begins with 24 fixed bytes. Until something else or all of them have come, nobody knows which limits apply,
//! and the library that waits for them waits for ever.

use axum_server::accept::Accept;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts as `inner` does, TLS handshake included, and gives the connection `within` to open.
#[derive(Clone, Debug)]
pub struct Opening<A> {
    inner: A,
    within: Duration,
}

impl<A> Opening<A> {
    /// See [`Opening`].
    pub const fn new(inner: A, within: Duration) -> Self {
        Self { inner, within }
    }
}

impl<A, S> Accept<TcpStream, S> for Opening<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
{
    type Stream = OpeningStream<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (accepting, within) = (self.inner.accept(stream, service), self.within);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            Ok((OpeningStream::new(stream, within), service))
        })
    }
}

/// A connection that fails to read when it does not open in time.
#[derive(Debug)]
pub struct OpeningStream<T> {
    stream: T,
    /// Bytes of [`PREFACE`] that have come, and when the rest must have; `None` once it is clear what is spoken.
    waiting: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<T> OpeningStream<T> {
    fn new(stream: T, within: Duration) -> Self {
        Self { stream, waiting: Some((0, Box::pin(sleep(within)))) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for OpeningStream<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        let Some((seen, deadline)) = &mut this.waiting else { return read };
        let new = into.filled().get(before..).unwrap_or_default();
        let rest = &PREFACE[*seen..];
        if new.len() < rest.len() && rest.starts_with(new) {
            *seen += new.len();
            if deadline.as_mut().poll(context).is_ready() {
                let late = io::Error::new(io::ErrorKind::TimedOut, "the connection was opened and not used");
                return Poll::Ready(Err(late));
            }
        } else {
            this.waiting = None;
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for OpeningStream<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Sends `first`, waits longer than a connection may take to open, sends `later`; what was read.
    async fn opened(first: &[u8], later: &[u8]) -> io::Result<Vec<u8>> {
        let (stream, mut peer) = tokio::io::duplex(1024);
        let mut stream = OpeningStream::new(stream, Duration::from_millis(40));
        let (first, later) = (first.to_vec(), later.to_vec());
        let sender = tokio::spawn(async move {
            peer.write_all(&first).await?;
            // In paused time.
            sleep(Duration::from_millis(120)).await;
            peer.write_all(&later).await
        });
        let mut read = Vec::new();
        let outcome = stream.read_to_end(&mut read).await;
        sender.abort();
        outcome.map(|_| read)
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_half_a_preface_end() {
        for first in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\n"] {
            let error = opened(first, b"more").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{first:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_opened_may_take_its_time() {
        for first in [&b"G"[..], b"PRI /", &PREFACE[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframe", b"POST "] {
            assert_eq!(opened(first, b"more").await.unwrap(), [first, b"more"].concat(), "{first:?}");
        }
    }
}
