//! Camera raw files, most of which are TIFF files whose first page is a small preview.

use super::super::directory::Directory;

const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const MAKE: u16 = 271;
const SUBDIRECTORIES: u16 = 330;
const DNG_VERSION: u16 = 50706;

/// The kind of camera raw file that a TIFF is, `None` for a picture.
pub(in super::super) fn camera_raw(bytes: &[u8]) -> Option<&'static str> {
    // Pages and subdirectories that are looked at; raw files have about five.
    const MOST_DIRECTORIES: usize = 16;
    if bytes.get(8..10) == Some(b"CR") {
        return Some("CR2");
    }
    let first = Directory::first(bytes)?;
    if first.has(DNG_VERSION) {
        return Some("DNG");
    }
    let make = first.bytes(MAKE).unwrap_or_default().to_ascii_uppercase();
    let mut pages = vec![first];
    let mut looked_at = 0;
    while let Some(page) = pages.pop() {
        looked_at += 1;
        if is_sensor_data(&page) {
            return Some(kind(&make));
        }
        if looked_at + pages.len() < MOST_DIRECTORIES {
            pages.extend(page.following());
            let below = page.integers(SUBDIRECTORIES, MOST_DIRECTORIES - looked_at).unwrap_or_default();
            pages.extend(below.iter().filter_map(|offset| page.at(*offset)));
        }
    }
    None
}

/// What a sensor saw through its colour filters, or a compression that only cameras write.
fn is_sensor_data(page: &Directory) -> bool {
    const FILTER_ARRAY: u64 = 32803;
    const LINEAR_RAW: u64 = 34892;
    // Sony ARW, Nikon NEF (packed and compressed), Kodak DCR and KDC, Samsung SRW, Pentax PEF, Epson ERF.
    const OF_CAMERAS: [u64; 7] = [32767, 32769, 32770, 34713, 65000, 65535, 32867];
    matches!(page.integer(PHOTOMETRIC), Some(FILTER_ARRAY | LINEAR_RAW))
        || page.integer(COMPRESSION).is_some_and(|compression| OF_CAMERAS.contains(&compression))
}

fn kind(make: &[u8]) -> &'static str {
    let makers: [(&[u8], &str); 9] = [
        (b"NIKON", "NEF"),
        (b"SONY", "ARW"),
        (b"PENTAX", "PEF"),
        (b"RICOH", "PEF"),
        (b"SAMSUNG", "SRW"),
        (b"HASSELBLAD", "3FR"),
        (b"EPSON", "ERF"),
        (b"KODAK", "DCR"),
        (b"CANON", "TIF"),
    ];
    makers.iter().find(|(name, _)| make.starts_with(name)).map_or("raw TIFF", |(_, kind)| kind)
}
