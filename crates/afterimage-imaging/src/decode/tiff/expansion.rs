//! Strips and tiles to the bytes that were packed into them.

use super::super::defect::Defect;
use super::compression::Compression;
use super::fax;
use super::layout::{PageLayout, Piece};
use flate2::{Decompress, FlushDecompress, Status};
use std::borrow::Cow;
use weezl::{BitOrder, LzwStatus, decode::Decoder};

/// The first `expected` bytes of a piece.
pub(super) fn expand<'a>(layout: &PageLayout<'a>, piece: &Piece<'a>, expected: usize) -> Result<Cow<'a, [u8]>, Defect> {
    let mut data = Cow::Borrowed(piece.data);
    if layout.compression == Compression::None {
        // Only what is used is turned around.
        data = Cow::Borrowed(piece.data.get(..expected).ok_or("truncated")?);
    }
    if layout.reversed_bits {
        data.to_mut().iter_mut().for_each(|byte| *byte = byte.reverse_bits());
    }
    let bytes = match layout.compression {
        Compression::None => return Ok(data),
        Compression::Lzw => unpack_lzw(&data, expected)?,
        Compression::Deflate => inflate(&data, expected)?,
        Compression::PackBits => unpack_bits(&data, expected),
        Compression::Fax(coding) => return fax::decode(&data, coding, layout, piece.rows as usize).map(Cow::Owned),
        Compression::Jpeg | Compression::OldJpeg => return Err("damaged".to_owned()),
    };
    if bytes.len() < expected {
        return Err("truncated or damaged (a strip or tile is too short)".to_owned());
    }
    Ok(Cow::Owned(bytes))
}

fn unpack_lzw(data: &[u8], expected: usize) -> Result<Vec<u8>, Defect> {
    // Files from before 1988 have the bits the other way around, which their first code shows: it is 256.
    let old = matches!(data, [0, second, ..] if second & 1 == 1);
    let mut decoder =
        if old { Decoder::new(BitOrder::Lsb, 8) } else { Decoder::with_tiff_size_switch(BitOrder::Msb, 8) };
    let mut bytes = vec![0; expected];
    let (mut read, mut written) = (0, 0);
    while written < expected {
        let step = decoder.decode_bytes(&data[read..], &mut bytes[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
            Ok(_) => break,
            Err(_) => return Err("damaged (LZW)".to_owned()),
        }
    }
    bytes.truncate(written);
    Ok(bytes)
}

fn inflate(data: &[u8], expected: usize) -> Result<Vec<u8>, Defect> {
    let mut decoder = Decompress::new(true);
    let mut bytes = vec![0; expected];
    while (decoder.total_out() as usize) < expected {
        let (read, written) = (decoder.total_in(), decoder.total_out());
        let status = decoder
            .decompress(&data[read as usize..], &mut bytes[written as usize..], FlushDecompress::None)
            .map_err(|error| format!("damaged ({error})"))?;
        let stands = (decoder.total_in(), decoder.total_out()) == (read, written);
        if status == Status::StreamEnd || stands {
            break;
        }
    }
    bytes.truncate(decoder.total_out() as usize);
    Ok(bytes)
}

/// A length and as many bytes, or a length and one byte to repeat.
fn unpack_bits(mut data: &[u8], expected: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(expected);
    while bytes.len() < expected
        && let Some((length, rest)) = data.split_first()
    {
        let room = expected - bytes.len();
        match *length as i8 {
            length @ 0.. => {
                let length = (length as usize + 1).min(rest.len());
                bytes.extend_from_slice(&rest[..length.min(room)]);
                data = &rest[length..];
            }
            i8::MIN => data = rest,
            length => {
                let Some((byte, rest)) = rest.split_first() else { break };
                let length = usize::from(length.unsigned_abs()) + 1;
                bytes.resize(bytes.len() + length.min(room), *byte);
                data = rest;
            }
        }
    }
    bytes
}
