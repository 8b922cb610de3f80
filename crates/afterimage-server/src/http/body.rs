//! Reading request bodies: bounded in bytes, in time, and in memory over all requests, with a share for each key.
//!
//! A body's largest size is promised out of its key's own share at once, so that bodies of one key never wait for each
//! other half read. The common memory is taken in pieces as bytes come: one who declares much and sends little holds
//! little. Who has to wait for memory is told to come again, instead of being called slow.

use super::body_error::BodyError;
use super::coding::{Coding, Unpacking};
use crate::shares::{Share, Shares};
use afterimage_jobs::KeyId;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

const MEBIBYTE: usize = 1 << 20;

/// Bytes of JSON and multipart bodies.
pub const JSON_LIMIT: usize = 80 * MEBIBYTE;

/// Bytes of JSON that holds no picture.
pub const SMALL_JSON_LIMIT: usize = MEBIBYTE;

/// Bytes of an upload.
pub const UPLOAD_LIMIT: usize = 300 * MEBIBYTE;

/// A body up to this size needs no share of the common budget: that many bytes a connection are affordable.
const FREE: usize = MEBIBYTE;

/// Body bytes that all requests together may hold above [`FREE`]. Two of the largest uploads fit.
const BUDGET: usize = 640 * MEBIBYTE;

/// Of these, what bodies of one key may come to. One that is larger comes alone.
const BUDGET_OF_A_KEY: usize = BUDGET / 4;

/// What is taken of the budget at once.
const PIECE: usize = 4 * MEBIBYTE;

/// How fast a body has to come, and how long it waits for memory.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Time for a body of any size, on top of which a slow line gets [`SLOWEST_BYTES_PER_SECOND`].
    base: Duration,
    /// Time for the next [`LEAST_BYTES`] of a body that holds memory.
    stalled: Duration,
    /// For earlier bodies of the same key.
    own: Duration,
    /// For memory that others hold.
    others: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { base: seconds(20), stalled: seconds(5), own: seconds(20), others: seconds(5) }
    }
}

/// A sender slower than this on the whole is refused.
const SLOWEST_BYTES_PER_SECOND: usize = 128 * 1024;

/// A sender of fewer bytes within [`Patience::stalled`] is refused.
const LEAST_BYTES: usize = 64 * 1024;

/// Reads bodies; clones share one memory budget.
#[derive(Clone, Debug)]
pub struct BodyReader {
    /// What bodies may come to, within the shares of their keys. As a whole it has no bound.
    promised: Shares<KeyId>,
    /// What bodies hold.
    memory: Shares<KeyId>,
    patience: Patience,
}

impl Default for BodyReader {
    fn default() -> Self {
        Self {
            promised: Shares::new(u64::MAX, BUDGET_OF_A_KEY as u64),
            memory: Shares::new(BUDGET as u64, BUDGET as u64),
            patience: Patience::default(),
        }
    }
}

impl BodyReader {
    /// Reads `body`, which `key` sends, to its end, and unpacks it where `headers` say that it is packed. A
    /// `Content-Length` above `limit` is refused before a byte is read; what unpacking makes has the same limit. What is
    /// returned has its share of the budget until all of it is dropped; [`holding`] passes that on to what was made
    /// from it.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn read(&self, key: &KeyId, headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, BodyError> {
        let coding = match Coding::of(headers) {
            Ok(coding) => coding,
            Err(error) => {
                drain(headers, body).await;
                return Err(error);
            }
        };
        let declared = content_length(headers);
        if declared.is_some_and(|length| length > limit as u64) {
            return Err(BodyError::TooLarge { limit });
        }
        let declared = declared.map(|length| length as usize);
        let most = declared.unwrap_or(limit) + if coding.is_some() { limit } else { 0 };
        let mut account = Account { reader: self, key, most, promised: None, memory: None };
        let sent = receive(&mut account, body, declared, limit).await?;
        let read = match coding {
            Some(coding) if !sent.is_empty() => unpack(&mut account, coding, sent, limit).await?,
            _ => sent,
        };
        Ok(account.settle(read))
    }
}

/// What one body holds of the budget.
struct Account<'a> {
    reader: &'a BodyReader,
    key: &'a KeyId,
    /// Bytes that the body can come to.
    most: usize,
    promised: Option<Share<KeyId>>,
    memory: Option<Share<KeyId>>,
}

impl Account<'_> {
    /// Makes sure that there is memory for `bytes` in all.
    async fn cover(&mut self, bytes: usize) -> Result<(), BodyError> {
        if bytes <= FREE {
            return Ok(());
        }
        let BodyReader { promised, memory, patience } = self.reader;
        if self.promised.is_none() {
            let promise = promised.acquire_within(self.key, self.most as u64, patience.own).await;
            self.promised = Some(promise.ok_or(BodyError::Busy)?);
        }
        let held = self.memory.as_ref().map_or(0, Share::amount);
        let missing = (bytes as u64).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let piece = (PIECE as u64).min((self.most as u64).saturating_sub(held)).max(missing);
        let share = memory.acquire_within(self.key, piece, patience.others).await.ok_or(BodyError::Busy)?;
        match &mut self.memory {
            Some(memory) => memory.absorb(share),
            None => self.memory = Some(share),
        }
        Ok(())
    }

    /// `read`, which holds as much as it is until it is dropped.
    fn settle(mut self, read: Bytes) -> Bytes {
        let Some(mut promised) = self.promised.take() else { return read };
        let mut memory = self.memory.take();
        promised.shrink_to(read.len() as u64);
        if let Some(memory) = &mut memory {
            memory.shrink_to(read.len() as u64);
        }
        holding(read, (promised, memory))
    }
}

/// Takes what is sent, as fast as senders have to be.
async fn receive(
    account: &mut Account<'_>,
    mut body: Body,
    declared: Option<usize>,
    limit: usize,
) -> Result<Bytes, BodyError> {
    let mut read = BytesMut::new();
    let mut pace = Pace::start(account.reader.patience);
    loop {
        let deadline = pace.deadline(account.promised.is_some());
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
        let Some(frame) = frame else { return Ok(read.freeze()) };
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let length = read.len() + data.len();
        if length > limit {
            return Err(BodyError::TooLarge { limit });
        }
        pace.came(data.len());
        let waiting = Instant::now();
        let was_free = account.promised.is_none();
        account.cover(length).await?;
        if was_free && account.promised.is_some() {
            // Address space only: pages are taken as they are written.
            read.reserve(declared.unwrap_or(0).saturating_sub(read.len()));
        }
        pace.pause(waiting.elapsed());
        read.extend_from_slice(&data);
    }
}

/// When the next bytes have to be there.
struct Pace {
    patience: Patience,
    started: Instant,
    bytes: usize,
    /// When the last [`LEAST_BYTES`] were complete, and what came since.
    counted: (Instant, usize),
}

impl Pace {
    fn start(patience: Patience) -> Self {
        let now = Instant::now();
        Self { patience, started: now, bytes: 0, counted: (now, 0) }
    }

    fn deadline(&self, holds_memory: bool) -> Instant {
        let on_the_whole = self.started + self.patience.base + transfer_time(self.bytes);
        if holds_memory { on_the_whole.min(self.counted.0 + self.patience.stalled) } else { on_the_whole }
    }

    fn came(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.counted.1 += bytes;
        if self.counted.1 >= LEAST_BYTES {
            self.counted = (Instant::now(), 0);
        }
    }

    /// Time for which the sender was not asked to send.
    fn pause(&mut self, time: Duration) {
        self.started += time;
        self.counted.0 += time;
    }
}

/// Unpacks `packed`, for which `account` has paid already.
async fn unpack(account: &mut Account<'_>, coding: Coding, packed: Bytes, limit: usize) -> Result<Bytes, BodyError> {
    let sent = packed.len();
    let mut unpacking = Unpacking::new(coding, packed);
    let mut read = BytesMut::new();
    loop {
        // Small bodies stay below what is free.
        let room = FREE.saturating_sub(sent + read.len());
        let piece = if room > 0 { room } else { PIECE };
        let most = piece.min(limit - read.len() + 1);
        account.cover((sent + read.len() + most).min(account.most)).await?;
        let work = tokio::task::spawn_blocking(move || unpacking.piece(most).map(|piece| (unpacking, piece)));
        // A decoder that panics does so because of what it was given.
        let piece;
        (unpacking, piece) = work.await.map_err(|_| BodyError::Damaged)?.map_err(|_| BodyError::Damaged)?;
        if piece.is_empty() {
            return Ok(read.freeze());
        }
        if read.len() + piece.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        read.extend_from_slice(&piece);
    }
}

/// `bytes`, which keep `kept` until all of them are dropped: a share of the budget, or a body that has one.
pub fn holding(bytes: Bytes, kept: impl Send + 'static) -> Bytes {
    struct Holder<K>(Bytes, K);
    impl<K> AsRef<[u8]> for Holder<K> {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Holder(bytes, kept))
}

/// Reads and forgets what is left of a small body: some clients report a broken connection instead of the answer when
/// the server closes while they are still sending. Larger ones are cut off.
pub async fn drain(headers: &HeaderMap, mut body: Body) {
    const MOST: usize = 256 * 1024;
    if content_length(headers).is_some_and(|length| length > MOST as u64) {
        return;
    }
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut seen = 0;
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > MOST {
            return;
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Time that the slowest accepted sender needs.
fn transfer_time(bytes: usize) -> Duration {
    Duration::from_secs((bytes / SLOWEST_BYTES_PER_SECOND) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use std::io::{self, Write};

    fn chunks(count: usize, bytes: usize) -> Body {
        let chunk = Bytes::from(vec![7; bytes]);
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, io::Error>(chunk.clone()))))
    }

    /// `count` mebibytes, and then nothing.
    fn stalling(count: usize) -> Body {
        let chunk = Bytes::from(vec![7; MEBIBYTE]);
        let sent = stream::iter((0..count).map(move |_| Ok::<_, io::Error>(chunk.clone())));
        Body::from_stream(sent.chain(stream::pending()))
    }

    fn key(name: &str) -> KeyId {
        KeyId::from(name)
    }

    fn declaring(bytes: usize) -> HeaderMap {
        [(header::CONTENT_LENGTH, bytes.to_string().parse().unwrap())].into_iter().collect()
    }

    /// With less patience.
    fn hasty() -> BodyReader {
        let [base, others] = [60, 60].map(Duration::from_millis);
        let patience = Patience { base, others, stalled: Duration::from_millis(40), own: Duration::from_millis(500) };
        BodyReader { patience, ..BodyReader::default() }
    }

    #[tokio::test]
    async fn a_body_of_the_limit_is_read_and_one_more_byte_is_not() {
        let reader = BodyReader::default();
        let headers = HeaderMap::new();
        assert_eq!(reader.read(&key("a"), &headers, chunks(4, 25), 100).await.unwrap().len(), 100);
        let refused = reader.read(&key("a"), &headers, chunks(101, 1), 100).await;
        assert!(matches!(refused, Err(BodyError::TooLarge { limit: 100 })));
    }

    #[tokio::test]
    async fn a_declared_length_is_refused_without_reading() {
        let refused = BodyReader::default().read(&key("a"), &declaring(101), stalling(0), 100).await;
        assert!(matches!(refused, Err(BodyError::TooLarge { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_ends_whatever_it_declared() {
        for (sent, declared) in [(0, 100), (2, UPLOAD_LIMIT)] {
            let reader = hasty();
            let refused = reader.read(&key("a"), &declaring(declared), stalling(sent), UPLOAD_LIMIT).await;
            assert!(matches!(refused, Err(BodyError::TooSlow)), "{sent}");
            assert_eq!((reader.memory.free(), reader.promised.held_by(&key("a"))), (BUDGET as u64, 0));
        }
    }

    #[tokio::test]
    async fn memory_is_taken_as_bytes_come() {
        let reader = BodyReader::default();
        let reading = reader.clone();
        let slow =
            tokio::spawn(
                async move { reading.read(&key("a"), &declaring(UPLOAD_LIMIT), stalling(6), UPLOAD_LIMIT).await },
            );
        while reader.memory.held_by(&key("a")) < 6 * MEBIBYTE as u64 {
            tokio::task::yield_now().await;
        }
        assert_eq!(reader.memory.held_by(&key("a")), 2 * PIECE as u64);
        // Others do not notice.
        assert_eq!(
            reader.read(&key("b"), &declaring(MEBIBYTE * 3), chunks(3, MEBIBYTE), JSON_LIMIT).await.unwrap().len(),
            3 * MEBIBYTE
        );
        slow.abort();
        assert!(slow.await.is_err());
        assert_eq!(reader.memory.free(), BUDGET as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_of_one_key_wait_for_each_other_and_then_are_told_to_come_again() {
        let reader =
            BodyReader { patience: Patience { own: Duration::from_millis(60), ..Patience::default() }, ..hasty() };
        let size = 100 * MEBIBYTE;
        let first = reader.read(&key("a"), &declaring(size), chunks(2, MEBIBYTE), UPLOAD_LIMIT).await.unwrap();
        assert_eq!(reader.promised.held_by(&key("a")), 2 * MEBIBYTE as u64, "what did not come is promised no more");
        let held = reader.promised.acquire(&key("a"), size as u64).await;
        let second = reader.read(&key("a"), &declaring(size), chunks(2, MEBIBYTE), UPLOAD_LIMIT).await;
        assert!(matches!(second, Err(BodyError::Busy)));
        let other = reader.read(&key("b"), &declaring(size), chunks(2, MEBIBYTE), UPLOAD_LIMIT).await;
        assert!(other.is_ok());
        drop((held, first));
        assert!(reader.read(&key("a"), &declaring(size), chunks(2, MEBIBYTE), UPLOAD_LIMIT).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn without_memory_one_is_told_to_come_again() {
        let reader = hasty();
        let held = reader.memory.acquire(&key("b"), BUDGET as u64).await;
        let refused = reader.read(&key("a"), &HeaderMap::new(), chunks(3, MEBIBYTE), JSON_LIMIT).await;
        assert!(matches!(refused, Err(BodyError::Busy)));
        assert_eq!(
            reader.read(&key("a"), &HeaderMap::new(), chunks(1, MEBIBYTE), JSON_LIMIT).await.unwrap().len(),
            MEBIBYTE
        );
        drop(held);
        assert!(reader.read(&key("a"), &HeaderMap::new(), chunks(3, MEBIBYTE), JSON_LIMIT).await.is_ok());
    }

    #[tokio::test]
    async fn large_bodies_give_their_share_back() {
        let reader = BodyReader::default();
        for _ in 0..20 {
            let read = reader.read(&key("a"), &HeaderMap::new(), chunks(3, MEBIBYTE), JSON_LIMIT).await.unwrap();
            assert_eq!(read.len(), 3 * MEBIBYTE);
        }
        assert_eq!((reader.memory.free(), reader.promised.held_by(&key("a"))), (BUDGET as u64, 0));
    }

    #[tokio::test]
    async fn a_share_is_kept_as_long_as_anything_made_of_its_body() {
        let reader = BodyReader::default();
        let read = reader.read(&key("a"), &declaring(3 * MEBIBYTE), chunks(3, MEBIBYTE), JSON_LIMIT).await.unwrap();
        let made = holding(Bytes::from_static(b"picture"), read.slice(5..9));
        drop(read);
        assert_eq!(reader.memory.free(), (BUDGET - 3 * MEBIBYTE) as u64);
        assert_eq!(made, "picture");
        drop(made);
        assert_eq!(reader.memory.free(), BUDGET as u64);
    }

    fn gzip(bytes: usize) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b'a'; bytes]).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn packed_bodies_have_the_same_limit() {
        let headers: HeaderMap = [(header::CONTENT_ENCODING, "gzip".parse().unwrap())].into_iter().collect();
        let reader = BodyReader::default();
        let limit = 9 * MEBIBYTE;
        for bytes in [0, 5, MEBIBYTE, limit] {
            let read = reader.read(&key("a"), &headers, Body::from(gzip(bytes)), limit).await.unwrap();
            assert_eq!(read.len(), bytes);
            assert!(read.iter().all(|byte| *byte == b'a'));
            let held = if bytes > MEBIBYTE { bytes as u64 } else { 0 };
            assert!(reader.memory.held_by(&key("a")).abs_diff(held) <= MEBIBYTE as u64);
        }
        let bomb = reader.read(&key("a"), &headers, Body::from(gzip(limit + 1)), limit).await;
        assert!(matches!(bomb, Err(BodyError::TooLarge { .. })));
        let damaged = reader.read(&key("a"), &headers, Body::from("{}"), limit).await;
        assert!(matches!(damaged, Err(BodyError::Damaged)));
        assert!(reader.read(&key("a"), &headers, Body::empty(), limit).await.unwrap().is_empty());
        assert_eq!((reader.memory.free(), reader.promised.held_by(&key("a"))), (BUDGET as u64, 0));
    }
}
