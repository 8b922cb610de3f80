//! Bodies that come packed (`Content-Encoding`), unpacked piece by piece so that the bounds hold for what they become.

use super::body_error::BodyError;
use axum::http::{HeaderMap, header};
use brotli_decompressor::Decompressor as BrotliDecoder;
use bytes::{Buf, Bytes};
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{self, Cursor, Read};

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`, also under its old name `x-gzip`.
    Gzip,
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
}

impl Coding {
    /// What `headers` say about the body; `None` for one that is not packed.
    ///
    /// # Errors
    /// [`BodyError::Coding`] for a coding that is not known, and for several on top of each other.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, BodyError> {
        let mut codings = Vec::new();
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let text = value.to_str().map_err(|_| BodyError::Coding)?.to_ascii_lowercase();
            codings.extend(text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned));
        }
        codings.retain(|word| word != "identity");
        match codings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(None),
            ["gzip" | "x-gzip"] => Ok(Some(Self::Gzip)),
            ["br"] => Ok(Some(Self::Brotli)),
            ["zstd"] => Ok(Some(Self::Zstd)),
            _ => Err(BodyError::Coding),
        }
    }
}

/// Unpacks a body. What it holds besides the packed bytes does not grow with them: the largest window is 16 MiB.
pub struct Unpacking(Box<dyn Read + Send>);

impl Unpacking {
    /// Unpacks `packed`.
    pub fn new(coding: Coding, packed: Bytes) -> Self {
        const BUFFER: usize = 16 * 1024;
        Self(match coding {
            Coding::Gzip => Box::new(MultiGzDecoder::new(packed.reader())),
            Coding::Brotli => Box::new(BrotliDecoder::new(packed.reader(), BUFFER)),
            Coding::Zstd => Box::new(ZstdFrames::Between(Cursor::new(packed))),
        })
    }

    /// The next bytes, `most` of them unless the body ends before.
    ///
    /// # Errors
    /// When the packed bytes are damaged.
    pub fn piece(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        self.0.by_ref().take(most as u64).read_to_end(&mut piece)?;
        Ok(piece)
    }
}

/// One or more frames of zstd.
enum ZstdFrames {
    Between(Cursor<Bytes>),
    In(Box<StreamingDecoder<Cursor<Bytes>, FrameDecoder>>),
    Broken,
}

impl Read for ZstdFrames {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(self, Self::Broken) {
                Self::In(mut frame) => {
                    let read = frame.read(into)?;
                    if read > 0 {
                        *self = Self::In(frame);
                        return Ok(read);
                    }
                    *self = Self::Between(frame.into_inner());
                }
                Self::Between(mut source) => {
                    let Some(skipped) = skipped_bytes(rest(&source))? else {
                        *self = Self::Between(source);
                        return Ok(0);
                    };
                    if skipped > 0 {
                        source.set_position(source.position() + skipped);
                        *self = Self::Between(source);
                        continue;
                    }
                    let frame = StreamingDecoder::new(source).map_err(io::Error::other)?;
                    *self = Self::In(Box::new(frame));
                }
                Self::Broken => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

fn rest(source: &Cursor<Bytes>) -> &[u8] {
    source.get_ref().get(source.position() as usize..).unwrap_or_default()
}

/// Bytes up to the next frame's data: those of a frame to be skipped, 0 before a frame that can be unpacked within
/// bounds, `None` at the end.
fn skipped_bytes(bytes: &[u8]) -> io::Result<Option<u64>> {
    /// What everybody must be able to unpack, and nobody has to go beyond (RFC 9659).
    const WINDOW: u64 = 8 << 20;
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    if bytes.is_empty() {
        return Ok(None);
    }
    let number = |start: usize| -> io::Result<u32> {
        let four = bytes.get(start..start + 4).and_then(|four| four.try_into().ok()).ok_or_else(damaged)?;
        Ok(u32::from_le_bytes(four))
    };
    match number(0)? {
        0x184D_2A50..=0x184D_2A5F => {
            let frame = 8 + u64::from(number(4)?);
            if frame > bytes.len() as u64 { Err(damaged()) } else { Ok(Some(frame)) }
        }
        0xFD2F_B528 => {
            let descriptor = *bytes.get(4).ok_or_else(damaged)?;
            let is_one_segment = descriptor & 0x20 != 0;
            // The size of a frame in one segment is checked as it is unpacked.
            let window = bytes.get(5).filter(|_| !is_one_segment).map_or(0, |byte| {
                let base = 1_u64 << (10 + (byte >> 3));
                base + base / 8 * u64::from(byte & 7)
            });
            if window > WINDOW { Err(io::Error::other("a window of more than 8 MiB")) } else { Ok(Some(0)) }
        }
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn unpacked(coding: Coding, packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut unpacking = Unpacking::new(coding, Bytes::copy_from_slice(packed));
        let mut all = Vec::new();
        loop {
            let piece = unpacking.piece(1000)?;
            if piece.is_empty() {
                return Ok(all);
            }
            all.extend(piece);
        }
    }

    #[test]
    fn codings_are_named_in_any_case_and_others_are_refused() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
            }
            Coding::of(&headers).map_err(|error| error.to_string())
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["identity"]), Ok(None));
        assert_eq!(of(&[""]), Ok(None));
        assert_eq!(of(&["GZip"]), Ok(Some(Coding::Gzip)));
        assert_eq!(of(&["x-gzip, identity"]), Ok(Some(Coding::Gzip)));
        assert_eq!(of(&["br"]), Ok(Some(Coding::Brotli)));
        assert_eq!(of(&["zstd"]), Ok(Some(Coding::Zstd)));
        for bad in [&["deflate"][..], &["gzip, gzip"], &["gzip", "br"], &["utf-8"], &["*"], &["compress"]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }

    /// `hello hello hello hello ` by the tools of each format.
    #[test]
    fn what_other_tools_pack_is_unpacked() {
        let text = b"hello hello hello hello ";
        let brotli = hex::decode("1b1700f88d946ede445586966c206f314f1c8038").unwrap();
        assert_eq!(unpacked(Coding::Brotli, &brotli).unwrap(), text);
        // Stored, not packed: a frame of one raw block.
        let frame = [b"\x28\xb5\x2f\xfd\x20\x18\xc1\x00\x00", &text[..]].concat();
        assert_eq!(unpacked(Coding::Zstd, &frame).unwrap(), text);
        let skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
        let several = [&skipped[..], &frame, &skipped[..], &frame].concat();
        assert_eq!(unpacked(Coding::Zstd, &several).unwrap(), [&text[..], text].concat());
        let members = [gzip(text), gzip(b"more")].concat();
        assert_eq!(unpacked(Coding::Gzip, &members).unwrap(), [&text[..], b"more"].concat());
    }

    #[test]
    fn large_windows_and_damage_are_refused() {
        assert!(unpacked(Coding::Zstd, b"\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00").is_err(), "a window of 128 MiB");
        for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
            assert!(unpacked(coding, b"{\"a\": 1}").is_err(), "{coding:?}");
        }
        let packed = gzip(&[7; 5000]);
        assert!(unpacked(Coding::Gzip, &packed[..packed.len() - 9]).is_err());
        let packed = zstd(&[7; 5000]);
        assert!(unpacked(Coding::Zstd, &packed[..packed.len() - 2]).is_err());
    }

    proptest! {
        #[test]
        fn everything_comes_back(bytes: Vec<u8>, times in 1_usize..50) {
            let bytes = bytes.repeat(times);
            prop_assert_eq!(unpacked(Coding::Gzip, &gzip(&bytes)).unwrap(), bytes.clone());
            prop_assert_eq!(unpacked(Coding::Zstd, &zstd(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, start in 0_usize..3) {
            let starts: [&[u8]; 3] = [b"", b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"];
            let bytes = [starts[start], &bytes].concat();
            for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
                let mut unpacking = Unpacking::new(coding, Bytes::from(bytes.clone()));
                let _ = unpacking.piece(1 << 20);
            }
        }
    }
}
