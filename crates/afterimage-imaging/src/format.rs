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
        } else if starts(b"\x89PNG\r\n\x1a\n") && !is_iphone_optimised(bytes) {
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
    const INFO_HEADER_SIZES: [u32; 8] = [12, 16, 40, 52, 56, 64, 108, 124];
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

/// Whether a PNG is of the kind that only Apple's programs read: colours swapped, without zlib's header.
fn is_iphone_optimised(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.get(12..16) == Some(b"CgBI")
}

/// The message that refuses a file that is not accepted: what it looks like and, where there is one, the way out.
pub(crate) fn refusal(bytes: &[u8]) -> String {
    let kind = describe_unknown(bytes);
    let advice = match kind {
        HEIC => {
            "; convert it first, for instance with `heif-convert photo.heic photo.jpg`, or set the iPhone to \
                 Settings, Camera, Formats, Most Compatible"
        }
        AVIF => "; convert it first, for instance with `avifdec picture.avif picture.png`",
        HEIF => "; convert it first, for instance with `heif-convert picture.heif picture.jpg`",
        JPEG_XL => "; convert it first, for instance with `djxl picture.jxl picture.png`",
        JPEG_2000 => "; convert it first, for instance with `opj_decompress -i picture.jp2 -o picture.png`",
        CGBI => "; convert it first with `pngcrush -revert-iphone-optimizations picture.png new.png`",
        RAW => return camera_raw_refusal("raw"),
        _ => "",
    };
    format!("looks like {kind}{advice}; {ACCEPTED}")
}

/// The message that refuses a camera raw file of a kind such as `DNG`.
pub(crate) fn camera_raw_refusal(kind: &str) -> String {
    let kind = if kind == "raw" { String::new() } else { format!(" ({kind})") };
    format!("looks like {RAW}{kind}; develop it first and save it as JPEG or TIFF; {ACCEPTED}")
}

const TARGA: &str = "a TGA picture";
const HEIC: &str = "a HEIC picture";
const HEIF: &str = "a HEIF picture";
const AVIF: &str = "an AVIF picture";
const JPEG_XL: &str = "a JPEG XL picture";
const JPEG_2000: &str = "a JPEG 2000 picture";
const CGBI: &str = "a PNG optimised for iPhones (CgBI)";
const RAW: &str = "a camera raw file";

/// What a file that is not accepted looks like, for the message that refuses it.
fn describe_unknown(bytes: &[u8]) -> &'static str {
    const SIGNATURES: [(&[u8], &str); 37] = [
        (b"%PDF-", "a PDF document"),
        (b"%!PS", "a PostScript document"),
        (b"8BPS", "a Photoshop document"),
        (b"\xff\x0a", JPEG_XL),
        (b"\0\0\0\x0cJXL ", JPEG_XL),
        (b"\0\0\0\x0cjP  ", JPEG_2000),
        (b"\xff\x4f\xff\x51", JPEG_2000),
        (b"\0\0\x01\0", "a Windows icon"),
        (b"\0\0\x02\0", "a Windows cursor"),
        (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
        (b"#?RADIANCE", "a Radiance HDR picture"),
        (b"qoif", "a QOI picture"),
        (b"DDS ", "a DirectDraw surface"),
        (b"farbfeld", "a farbfeld picture"),
        // CR2; Fujifilm RAF, Olympus ORF (three), Panasonic RW2, Sigma X3F, Minolta MRW, Canon CRW, Leaf and Phase One.
        (b"II*\0", RAW),
        (b"FUJIFILMCCD-RAW", RAW),
        (b"IIRO", RAW),
        (b"IIRS", RAW),
        (b"MMOR", RAW),
        (b"IIU\0", RAW),
        (b"FOVb", RAW),
        (b"\0MRM", RAW),
        (b"II\x1a\0\0\0HEAPCCDR", RAW),
        (b"IIII", RAW),
        (b"BA", "an OS/2 bitmap array"),
        (b"gimp xcf", "a GIMP document"),
        (b"BPG\xfb", "a BPG picture"),
        (b"AT&TFORM", "a DjVu document"),
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
    if is_iphone_optimised(bytes) {
        return CGBI;
    }
    if bytes.starts_with(b"BA") && !is_bitmap_array(bytes) {
        return describe_text(bytes);
    }
    // A cursor's file holds at least one, and says so in its next two bytes.
    if bytes.starts_with(b"\0\0\x02\0\0\0") && is_targa(bytes) {
        return TARGA;
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

/// An array of OS/2 bitmaps, the first of which follows behind 14 bytes.
fn is_bitmap_array(bytes: &[u8]) -> bool {
    bytes.get(14..16).is_some_and(|kind| matches!(kind, b"BM" | b"IC" | b"CI" | b"PT" | b"CP"))
}

/// ISO base media files (HEIF, AVIF, MP4) are told apart by their brands: the major one, or where that names only the
/// container those it is compatible with.
fn describe_iso_media(bytes: &[u8]) -> &'static str {
    const MOST_BRANDS: usize = 64;
    let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length)) as usize;
    let head = &bytes[..length.clamp(12, 16 + 4 * MOST_BRANDS).min(bytes.len())];
    let (compatible, _) = head.get(16..).unwrap_or_default().as_chunks::<4>();
    let major = head.get(8..12).and_then(|brand| brand.first_chunk()).copied().unwrap_or_default();
    let named = |brand: &[u8; 4]| match brand {
        b"avif" | b"avis" | b"avio" => Some(AVIF),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => Some(HEIC),
        b"crx " => Some(RAW),
        b"jxl " => Some(JPEG_XL),
        b"jp2 " | b"jpx " | b"j2ki" => Some(JPEG_2000),
        _ => None,
    };
    let is_heif = |brand: &[u8; 4]| matches!(brand, b"mif1" | b"mif2" | b"msf1" | b"miaf");
    if let Some(name) = named(&major) {
        name
    } else if is_heif(&major) || compatible.iter().any(is_heif) {
        compatible.iter().find_map(named).unwrap_or(HEIF)
    } else {
        "an MP4 or QuickTime video"
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
    } else if is_targa(bytes) {
        TARGA
    } else {
        "no known picture format"
    }
}

/// TGA has no signature at its beginning: newer files end with one, older ones are told by a header that makes sense.
fn is_targa(bytes: &[u8]) -> bool {
    let Some([_, map, kind, _, _, _, _, map_depth, _, _, _, _, width_low, width, height_low, height, depth, flags]) =
        bytes.first_chunk::<18>()
    else {
        return false;
    };
    if bytes.ends_with(b"TRUEVISION-XFILE.\0") {
        return true;
    }
    let mapped = matches!((map, kind, map_depth), (1, 1 | 9, 15 | 16 | 24 | 32));
    let plain = matches!((map, kind, map_depth), (0, 2 | 3 | 10 | 11, 0));
    let sized = (width_low | width) != 0 && (height_low | height) != 0;
    (mapped || plain) && sized && matches!(depth, 8 | 15 | 16 | 24 | 32) && flags & 0xc0 == 0
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
        let targa = [&[0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 45, 0, 37, 0, 24, 0x20][..], &[1; 20]].concat();
        // Begins as a cursor does, but for the number of cursors.
        let plain_targa = [&[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 45, 0, 37, 0, 24, 0][..], &[1; 20]].concat();
        let names: [(&[u8], &str); 26] = [
            (b"\xef\xbb\xbf  <svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
            (b"<?xml version='1.0'?><!-- x --><SVG/>", "an SVG drawing"),
            (b"\n<!DOCTYPE html><html><svg/></html>", "an HTML page"),
            (b"%PDF-1.7", "a PDF document"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", HEIC),
            (b"\0\0\0\x18ftypheix\0\0\0\0", HEIC),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", HEIC),
            (b"\0\0\0\x1cftypmif1\0\0\0\0miafMA1B", HEIF),
            (b"\0\0\0\x1cftypmif1\0\0\0\0avifmiaf", AVIF),
            (b"\0\0\0\x18ftypmsf1\0\0\0\0avis", AVIF),
            (b"\0\0\0\x18ftypavif\0\0\0\0", AVIF),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "an MP4 or QuickTime video"),
            (b"\0\0\0\x18ftypcrx \0\0\0\0", RAW),
            (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
            (b"\x89PNG\r\n\x1a\n\0\0\0\x04CgBI\x50\0\x20\x02", CGBI),
            (b"II*\0\x10\0\0\0CR\x02\0", RAW),
            (b"IIU\0\x18\0\0\0", RAW),
            (b"8BPS\0\x01", "a Photoshop document"),
            (b"BA\x28\0\0\0\0\0\0\0\0\0\0\0BM", "an OS/2 bitmap array"),
            (b"BARCELONA", "text"),
            (&targa, TARGA),
            (&plain_targa, TARGA),
            (b"\0\0\x02\0\x01\0\x20\x20\0\0\0\0\0\0\0\0\0\0\x16\0\0\0", "a Windows cursor"),
            (b"P6\n1 1\n255\n...", "a portable anymap (PNM)"),
            (b"hello", "text"),
            (b"\x01\x02\x03", "no known picture format"),
        ];
        for (bytes, name) in names {
            assert_eq!(describe_unknown(bytes), name, "{bytes:?}");
        }
    }

    #[test]
    fn refusals_say_the_way_out() {
        let heic = refusal(b"\0\0\0\x18ftypheic\0\0\0\0");
        assert!(
            heic.starts_with("looks like a HEIC picture; convert it first") && heic.contains("heif-convert"),
            "{heic}"
        );
        assert!(
            !refusal(b"IIRO").contains("raw file (") && camera_raw_refusal("NEF").contains("raw file (NEF); develop")
        );
    }
}
