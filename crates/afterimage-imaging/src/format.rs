//! Telling file formats apart by their first bytes. Names and extensions are never trusted.

/// A picture format that [`crate::decode`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PictureFormat {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG; of an animated one the default image.
    Png,
    /// WebP; of an animated one the first frame.
    WebP,
    /// GIF, first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF, first page.
    Tiff,
}

/// The accepted formats as messages name them.
pub(crate) const ACCEPTED: &str = "JPEG, PNG, WebP, GIF, BMP and TIFF are accepted";

impl PictureFormat {
    /// The format that the content begins with, `None` when it is none of the accepted ones.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        if starts(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if starts(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Self::WebP)
        } else if starts(b"GIF87a") || starts(b"GIF89a") {
            Some(Self::Gif)
        } else if is_bitmap(bytes) {
            Some(Self::Bmp)
        } else if is_tiff(bytes) {
            Some(Self::Tiff)
        } else {
            None
        }
    }

    /// The name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        }
    }

    /// The media type, such as `image/png`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
        }
    }
}

/// `BM` alone opens many texts too: the size of the information header has to be one of the known ones.
fn is_bitmap(bytes: &[u8]) -> bool {
    const INFO_HEADER_SIZES: [u32; 7] = [12, 16, 40, 52, 56, 108, 124];
    let header_size = bytes.get(14..18).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
    bytes.starts_with(b"BM") && header_size.is_some_and(|size| INFO_HEADER_SIZES.contains(&size))
}

fn is_tiff(bytes: &[u8]) -> bool {
    // Canon's CR2 is a TIFF whose first page is a small preview: not the picture that its owner means.
    let camera_raw = bytes.get(8..10) == Some(b"CR");
    let classic = bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*");
    let big = bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+");
    (classic || big) && !camera_raw
}

/// What a file that is not accepted looks like, for the message that refuses it.
pub(crate) fn describe_unknown(bytes: &[u8]) -> &'static str {
    const SIGNATURES: [(&[u8], &str); 26] = [
        (b"%PDF-", "a PDF document"),
        (b"%!PS", "a PostScript document"),
        (b"8BPS", "a Photoshop document"),
        (b"\xff\x0a", "a JPEG XL picture"),
        (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
        (b"\0\0\x01\0", "a Windows icon"),
        (b"\0\0\x02\0", "a Windows cursor"),
        (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
        (b"#?RADIANCE", "a Radiance HDR picture"),
        (b"qoif", "a QOI picture"),
        (b"DDS ", "a DirectDraw surface"),
        (b"farbfeld", "a farbfeld picture"),
        (b"II*\0", "a camera raw file"),
        (b"FUJIFILM", "a camera raw file"),
        (b"IIRO", "a camera raw file"),
        (b"PK\x03\x04", "a ZIP archive or office document"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"7z\xbc\xaf", "a 7-Zip archive"),
        (b"Rar!", "a RAR archive"),
        (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
        (b"RIFF", "a RIFF sound or video file"),
        (b"GGUF", "a GGUF weights file"),
        (b"\x7fELF", "a program"),
        (b"MZ", "a program"),
    ];
    if bytes.get(4..8) == Some(b"ftyp") {
        return describe_iso_media(bytes);
    }
    if let Some((_, name)) = SIGNATURES.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return name;
    }
    if let [b'P', b'1'..=b'7', separator, ..] = bytes
        && separator.is_ascii_whitespace()
    {
        return "a portable anymap (PNM)";
    }
    describe_text(bytes)
}

/// ISO base media files (HEIF, AVIF, MP4) are told apart by the major brand.
fn describe_iso_media(bytes: &[u8]) -> &'static str {
    match bytes.get(8..12) {
        Some(b"avif" | b"avis") => "an AVIF picture",
        Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1") => "a HEIC picture",
        Some(b"crx ") => "a camera raw file",
        _ => "an MP4 or QuickTime video",
    }
}

fn describe_text(bytes: &[u8]) -> &'static str {
    const SNIFFED_BYTES: usize = 4096;
    let head = &bytes[..bytes.len().min(SNIFFED_BYTES)];
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start();
    if text.starts_with("<svg") || (text.starts_with('<') && text.contains("<svg") && !text.contains("<html")) {
        "an SVG drawing"
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") || text.contains("<html") {
        "an HTML page"
    } else if text.starts_with("<?xml") {
        "an XML document"
    } else if text.starts_with("data:") {
        "a data URI in text form"
    } else if !head.is_empty() && head.iter().all(|&byte| byte >= b' ' || byte.is_ascii_whitespace()) {
        "text"
    } else {
        "no known picture format"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        assert_eq!(PictureFormat::detect(b"\xff\xd8\xff\xe0"), Some(PictureFormat::Jpeg));
        assert_eq!(PictureFormat::detect(b"RIFF\0\0\0\0WEBPVP8 "), Some(PictureFormat::WebP));
        assert_eq!(PictureFormat::detect(b"RIFF\0\0\0\0WAVEfmt "), None);
        assert_eq!(PictureFormat::detect(b"MM\0*\0\0\0\x08"), Some(PictureFormat::Tiff));
        assert_eq!(PictureFormat::detect(b"II*\0\x10\0\0\0CR\x02\0"), None);
        assert_eq!(PictureFormat::detect(b"BM is also how a text may begin"), None);
        assert_eq!(PictureFormat::detect(b""), None);
    }

    #[test]
    fn refused_formats_are_named() {
        let names: [(&[u8], &str); 10] = [
            (b"\xef\xbb\xbf  <svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
            (b"<?xml version='1.0'?><!-- x --><SVG/>", "an SVG drawing"),
            (b"\n<!DOCTYPE html><html><svg/></html>", "an HTML page"),
            (b"%PDF-1.7", "a PDF document"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture"),
            (b"\0\0\0\x18ftypavif\0\0\0\0", "an AVIF picture"),
            (b"II*\0\x10\0\0\0CR\x02\0", "a camera raw file"),
            (b"P6\n1 1\n255\n...", "a portable anymap (PNM)"),
            (b"hello", "text"),
            (b"\x01\x02\x03", "no known picture format"),
        ];
        for (bytes, name) in names {
            assert_eq!(describe_unknown(bytes), name);
        }
    }
}
