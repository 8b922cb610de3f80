//! What a result's file says of how it was made.

use afterimage_core::{Error, Result};
use std::io::Cursor;

/// The keyword below which PNG files hold the parameters.
pub(crate) const KEYWORD: &str = "afterimage";

/// Bytes of parameters, at most: the longest prompt, escaped, fits several times.
const MOST_BYTES: usize = 4 << 20;

/// The parameters, JSON, in a file that [`crate::encode`] wrote; `None` for any other PNG or JPEG file.
///
/// # Errors
/// [`Error::Picture`], for `source_name`, when it is neither, or damaged before the pixels.
pub fn read_parameters(bytes: &[u8], source_name: &str) -> Result<Option<String>> {
    let refuse = |problem: &str| Error::picture(source_name, problem);
    let text = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        in_png(bytes).map_err(|error| refuse(&format!("not a PNG file that can be read: {error}")))?
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        let comment = comment_of_jpeg(bytes);
        String::from_utf8(
            comment.ok_or_else(|| refuse("not a JPEG file that can be read: it ends before its picture"))?,
        )
        .ok()
    } else {
        return Err(refuse("neither PNG nor JPEG, which results are"));
    };
    Ok(text.filter(|text| text.starts_with('{') && text.len() <= MOST_BYTES))
}

fn in_png(bytes: &[u8]) -> std::result::Result<Option<String>, png::DecodingError> {
    let limits = png::Limits { bytes: 4 * MOST_BYTES };
    let reader = png::Decoder::new_with_limits(Cursor::new(bytes), limits).read_info()?;
    let info = reader.info();
    let latin =
        info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == KEYWORD).map(|chunk| chunk.text.clone());
    let unicode = info.utf8_text.iter().find(|chunk| chunk.keyword == KEYWORD);
    Ok(latin.or_else(|| unicode.and_then(|chunk| chunk.get_text().ok())))
}

/// The comments before the picture, which hold the parameters in pieces, as one; `None` when the file ends within them.
fn comment_of_jpeg(bytes: &[u8]) -> Option<Vec<u8>> {
    const COMMENT: u8 = 0xfe;
    const START_OF_SCAN: u8 = 0xda;
    let mut comment = Vec::new();
    let mut rest = bytes.get(2..)?;
    loop {
        let [0xff, marker, high, low, ..] = rest else { return None };
        if *marker == START_OF_SCAN {
            return Some(comment);
        }
        // The length counts its own two bytes.
        let end = 2 + usize::from(u16::from_be_bytes([*high, *low]));
        let data = rest.get(4..end)?;
        if *marker == COMMENT && comment.len() + data.len() <= MOST_BYTES {
            comment.extend_from_slice(data);
        }
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OutputFormat, OutputMetadata, Picture, encode};
    use proptest::prelude::*;

    const FORMATS: [OutputFormat; 2] = [OutputFormat::Png, OutputFormat::Jpeg];

    fn file(format: OutputFormat, parameters: Option<&str>) -> Vec<u8> {
        let picture = Picture::from_rgb(2, 2, vec![90; 12]).unwrap();
        let metadata = parameters.map_or_else(OutputMetadata::minimal, OutputMetadata::new);
        encode(&picture, format, &metadata).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let long = format!("{{\"prompt\": \"{}\"}}", "a lake ".repeat(30_000));
        for text in ["{}", "{\"prompt\": \"雪山, ä\"}", &long] {
            for format in FORMATS {
                let found = read_parameters(&file(format, Some(text)), "a").unwrap();
                assert_eq!(found.as_deref(), Some(text), "{format:?}");
            }
        }
        for format in FORMATS {
            assert_eq!(read_parameters(&file(format, None), "a").unwrap(), None);
        }
    }

    #[test]
    fn other_files_are_refused() {
        let png = file(OutputFormat::Png, Some("{}"));
        for bad in [&b""[..], b"GIF89a", b"\xff\xd8\xff", &png[..20], b"\xff\xd8\xff\xfe\xff\xff{}"] {
            assert!(matches!(read_parameters(bad, "a"), Err(Error::Picture { .. })), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(place: prop::sample::Index, byte: u8, is_png: bool) {
            let mut bytes = file(FORMATS[usize::from(!is_png)], Some("{\"seed\": 1}"));
            let index = place.index(bytes.len());
            bytes[index] = byte;
            let _ = read_parameters(&bytes, "a");
            let _ = read_parameters(&bytes[..index], "a");
        }
    }
}
