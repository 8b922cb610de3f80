//! A minimal EXIF block: `ImageDescription`, `Software` and `UserComment`.

use super::output_metadata::OutputMetadata;

const TYPE_ASCII: u16 = 2;
const TYPE_LONG: u16 = 4;
const TYPE_UNDEFINED: u16 = 7;
const TAG_IMAGE_DESCRIPTION: u16 = 0x010e;
const TAG_SOFTWARE: u16 = 0x0131;
const TAG_EXIF_FOLDER: u16 = 0x8769;
const TAG_EXIF_VERSION: u16 = 0x9000;
const TAG_USER_COMMENT: u16 = 0x9286;

const HEADER_BYTES: usize = 8;
const ENTRY_BYTES: usize = 12;

struct ExifEntry {
    tag: u16,
    kind: u16,
    /// As written, most significant byte first; up to four bytes lie in the entry itself.
    data: Vec<u8>,
}

impl ExifEntry {
    fn count(&self) -> u32 {
        let unit = if self.kind == TYPE_LONG { 4 } else { 1 };
        (self.data.len() / unit) as u32
    }
}

/// The block from its byte order mark on, big endian. `text` becomes the user comment.
pub(super) fn exif_block(metadata: &OutputMetadata, text: Option<&str>) -> Vec<u8> {
    let mut inner = vec![ExifEntry { tag: TAG_EXIF_VERSION, kind: TYPE_UNDEFINED, data: b"0232".to_vec() }];
    if let Some(text) = text {
        inner.push(ExifEntry { tag: TAG_USER_COMMENT, kind: TYPE_UNDEFINED, data: user_comment(text) });
    }
    let mut outer = vec![
        ExifEntry { tag: TAG_IMAGE_DESCRIPTION, kind: TYPE_ASCII, data: terminated(&metadata.description) },
        ExifEntry { tag: TAG_SOFTWARE, kind: TYPE_ASCII, data: terminated(&metadata.software) },
        ExifEntry { tag: TAG_EXIF_FOLDER, kind: TYPE_LONG, data: vec![0; 4] },
    ];
    let inner_start = HEADER_BYTES + folder_bytes(&outer);
    if let Some(pointer) = outer.last_mut() {
        pointer.data = (inner_start as u32).to_be_bytes().to_vec();
    }
    let mut block = b"MM\0*\0\0\0\x08".to_vec();
    write_folder(&mut block, &outer);
    write_folder(&mut block, &inner);
    block
}

/// Ends with a zero byte. UTF-8 although EXIF asks for ASCII: every reader accepts it.
fn terminated(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().filter(|&byte| byte != 0).collect();
    bytes.push(0);
    bytes
}

/// Eight bytes name the encoding. UTF-16, most significant byte first: what the standard asks for in a block of this byte
/// order, and what the readers of AUTOMATIC1111's `parameters` take whatever the block's order.
fn user_comment(text: &str) -> Vec<u8> {
    let mut data = b"UNICODE\0".to_vec();
    data.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
    data
}

/// Bytes of a folder with the values that follow it, each padded to an even length.
fn folder_bytes(entries: &[ExifEntry]) -> usize {
    let values = entries.iter().map(|entry| entry.data.len()).filter(|&length| length > 4);
    2 + ENTRY_BYTES * entries.len() + 4 + values.map(|length| length.next_multiple_of(2)).sum::<usize>()
}

fn write_folder(block: &mut Vec<u8>, entries: &[ExifEntry]) {
    let mut value_start = block.len() + 2 + ENTRY_BYTES * entries.len() + 4;
    block.extend((entries.len() as u16).to_be_bytes());
    for entry in entries {
        block.extend(entry.tag.to_be_bytes());
        block.extend(entry.kind.to_be_bytes());
        block.extend(entry.count().to_be_bytes());
        if entry.data.len() > 4 {
            block.extend((value_start as u32).to_be_bytes());
            value_start += entry.data.len().next_multiple_of(2);
        } else {
            let mut field = [0; 4];
            field[..entry.data.len()].copy_from_slice(&entry.data);
            block.extend(field);
        }
    }
    // No next folder.
    block.extend([0; 4]);
    for entry in entries.iter().filter(|entry| entry.data.len() > 4) {
        block.extend(&entry.data);
        if !entry.data.len().is_multiple_of(2) {
            block.push(0);
        }
    }
}
