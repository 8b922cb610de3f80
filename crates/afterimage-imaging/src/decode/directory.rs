//! Directories of TIFF files; an EXIF block is such a file too.
//!
//! Nothing is copied on reading: what it costs is bounded by the bytes that are there.

/// Order of the bytes in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// `II`, Intel.
    Little,
    /// `MM`, Motorola.
    Big,
}

impl ByteOrder {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// Header of a file: byte order, the size of its offsets, and where the first directory is.
#[derive(Clone, Copy)]
struct DirectoryHeader {
    order: ByteOrder,
    big: bool,
    first: u64,
}

/// One directory: a page, a preview, or the tags of an EXIF block.
pub(super) struct Directory<'a> {
    file: &'a [u8],
    header: DirectoryHeader,
    entries: Vec<DirectoryEntry<'a>>,
    /// Where the next directory is; 0 after the last.
    next: u64,
    /// All entries that were announced are there.
    complete: bool,
}

struct DirectoryEntry<'a> {
    tag: u16,
    kind: u16,
    /// The whole value, `None` when it lies outside of the file or is of an unknown kind.
    value: Option<&'a [u8]>,
}

/// Reads `N` bytes at `at`.
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Bytes of one number of a kind, `None` for kinds that nobody has defined.
fn bytes_of(kind: u16) -> Option<usize> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}

impl DirectoryHeader {
    fn read(file: &[u8]) -> Option<Self> {
        let order = match file.get(..2)? {
            b"II" => ByteOrder::Little,
            b"MM" => ByteOrder::Big,
            _ => return None,
        };
        match order.u16(chunk(file, 2)?) {
            // Some EXIF writers mix the orders up; Pillow takes the letters at their word.
            42 | 0x2a00 => Some(Self { order, big: false, first: order.u32(chunk(file, 4)?).into() }),
            43 => Some(Self { order, big: true, first: order.u64(chunk(file, 8)?) }),
            _ => None,
        }
    }
}

impl<'a> Directory<'a> {
    /// The first directory of a file; `None` when the header or the place of the directory makes no sense.
    ///
    /// Entries that are cut off by the end of the file are left out.
    pub(super) fn first(file: &'a [u8]) -> Option<Self> {
        let header = DirectoryHeader::read(file)?;
        Self::read(file, header, header.first)
    }

    /// The directory that follows this one in the file.
    pub(super) fn following(&self) -> Option<Self> {
        if self.next == 0 { None } else { self.at(self.next) }
    }

    /// The directory at `offset` of the same file.
    pub(super) fn at(&self, offset: u64) -> Option<Self> {
        Self::read(self.file, self.header, offset)
    }

    fn read(file: &'a [u8], header: DirectoryHeader, offset: u64) -> Option<Self> {
        let start = usize::try_from(offset).ok()?;
        let (count, entries_at, entry_bytes) = if header.big {
            (usize::try_from(header.order.u64(chunk(file, start)?)).ok()?, start.checked_add(8)?, 20)
        } else {
            (usize::from(header.order.u16(chunk(file, start)?)), start.checked_add(2)?, 12)
        };
        let body = file.get(entries_at..)?;
        let end = count.checked_mul(entry_bytes)?;
        let whole = &body[..end.min(body.len())];
        let entries =
            whole.chunks_exact(entry_bytes).filter_map(|bytes| DirectoryEntry::read(file, header, bytes)).collect();
        let next = if header.big {
            chunk(body, end).map(|bytes| header.order.u64(bytes))
        } else {
            chunk(body, end).map(|bytes| header.order.u32(bytes).into())
        };
        Some(Self { file, header, entries, next: next.unwrap_or(0), complete: end <= body.len() })
    }

    pub(super) fn order(&self) -> ByteOrder {
        self.header.order
    }

    fn entry(&self, tag: u16) -> Option<&DirectoryEntry<'a>> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    pub(super) fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// Whether the directory and the values of `tags` lie inside the file. Of other tags many a file has broken ones.
    pub(super) fn holds(&self, tags: &[u16]) -> bool {
        let whole = |entry: &DirectoryEntry| entry.value.is_some() || !tags.contains(&entry.tag);
        self.complete && self.entries.iter().all(whole)
    }

    /// The bytes of a tag, of whatever kind it is.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.entry(tag)?.value
    }

    /// The first `most` numbers of a tag that holds whole numbers from 0 on, of any width; `None` for any other value.
    pub(super) fn integers(&self, tag: u16, most: usize) -> Option<Vec<u64>> {
        let entry = self.entry(tag)?;
        let value = entry.value?;
        let size = bytes_of(entry.kind)?;
        value.chunks_exact(size).take(most).map(|bytes| self.integer_of(entry.kind, bytes)).collect()
    }

    /// The first number of a tag, see [`Directory::integers`].
    pub(super) fn integer(&self, tag: u16) -> Option<u64> {
        self.integers(tag, 1)?.first().copied()
    }

    fn integer_of(&self, kind: u16, bytes: &[u8]) -> Option<u64> {
        let order = self.header.order;
        match kind {
            1 | 7 => Some(u64::from(*bytes.first()?)),
            3 => Some(order.u16(chunk(bytes, 0)?).into()),
            4 | 13 => Some(order.u32(chunk(bytes, 0)?).into()),
            16 | 18 => Some(order.u64(chunk(bytes, 0)?)),
            6 => u64::try_from(i8::from_ne_bytes(chunk(bytes, 0)?)).ok(),
            8 => u64::try_from(order.u16(chunk(bytes, 0)?) as i16).ok(),
            9 => u64::try_from(order.u32(chunk(bytes, 0)?) as i32).ok(),
            17 => u64::try_from(order.u64(chunk(bytes, 0)?) as i64).ok(),
            5 | 10 => {
                // A fraction without remainder, as some programs write whole numbers.
                let (over, under) = (order.u32(chunk(bytes, 0)?), order.u32(chunk(bytes, 4)?));
                (under != 0 && over % under == 0).then(|| u64::from(over / under))
            }
            _ => None,
        }
    }
}

impl<'a> DirectoryEntry<'a> {
    fn read(file: &'a [u8], header: DirectoryHeader, bytes: &'a [u8]) -> Option<Self> {
        let order = header.order;
        let (tag, kind) = (order.u16(chunk(bytes, 0)?), order.u16(chunk(bytes, 2)?));
        let (count, place) = if header.big {
            (order.u64(chunk(bytes, 4)?), bytes.get(12..20)?)
        } else {
            (order.u32(chunk(bytes, 4)?).into(), bytes.get(8..12)?)
        };
        let length = bytes_of(kind)
            .and_then(|size| (size as u64).checked_mul(count))
            .and_then(|length| usize::try_from(length).ok());
        let value = length.and_then(|length| {
            if length <= place.len() {
                return place.get(..length);
            }
            let offset = if header.big { order.u64(chunk(place, 0)?) } else { order.u32(chunk(place, 0)?).into() };
            let start = usize::try_from(offset).ok()?;
            file.get(start..start.checked_add(length)?)
        });
        Some(Self { tag, kind, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file of one directory; values longer than four bytes follow it.
    fn file(order: ByteOrder, entries: &[(u16, u16, u32, Vec<u8>)]) -> Vec<u8> {
        let two = |number: u16| if order == ByteOrder::Little { number.to_le_bytes() } else { number.to_be_bytes() };
        let four = |number: u32| if order == ByteOrder::Little { number.to_le_bytes() } else { number.to_be_bytes() };
        let mut bytes = if order == ByteOrder::Little { b"II".to_vec() } else { b"MM".to_vec() };
        bytes.extend(two(42));
        bytes.extend(four(8));
        bytes.extend(two(entries.len() as u16));
        let mut behind: Vec<u8> = Vec::new();
        let end = bytes.len() + entries.len() * 12 + 4;
        for (tag, kind, count, value) in entries {
            bytes.extend(two(*tag));
            bytes.extend(two(*kind));
            bytes.extend(four(*count));
            if value.len() <= 4 {
                bytes.extend(value);
                bytes.resize(bytes.len() + 4 - value.len(), 0);
            } else {
                bytes.extend(four((end + behind.len()) as u32));
                behind.extend(value);
            }
        }
        bytes.extend(four(0));
        bytes.extend(behind);
        bytes
    }

    #[test]
    fn whole_numbers_of_every_kind_are_read() {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let pad = |number: u64, size: usize| {
                if order == ByteOrder::Little {
                    number.to_le_bytes()[..size].to_vec()
                } else {
                    number.to_be_bytes()[8 - size..].to_vec()
                }
            };
            for (kind, size) in [(1, 1), (3, 2), (4, 4), (6, 1), (7, 1), (8, 2), (9, 4), (13, 4), (16, 8), (17, 8)] {
                let bytes = file(order, &[(274, kind, 1, pad(6, size))]);
                assert_eq!(Directory::first(&bytes).unwrap().integer(274), Some(6), "kind {kind}, {order:?}");
            }
            let fraction = [pad(12, 4), pad(2, 4)].concat();
            let bytes = file(order, &[(274, 5, 1, fraction), (9, 2, 2, b"6\0".to_vec()), (10, 8, 1, pad(0xffff, 2))]);
            let directory = Directory::first(&bytes).unwrap();
            assert_eq!(directory.integer(274), Some(6));
            assert_eq!((directory.integer(9), directory.integer(10), directory.integer(11)), (None, None, None));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), big in any::<bool>()) {
            let magic: &[u8] = if big { b"MM\0\x2b\0\x08\0\0\0\0\0\0\0\0\0\x10" } else { b"II*\0\x08\0\0\0" };
            let bytes = [magic, &bytes].concat();
            if let Some(directory) = Directory::first(&bytes) {
                for tag in directory.entries.iter().map(|entry| entry.tag) {
                    prop_assert!(directory.bytes(tag).is_none_or(|value| value.len() <= bytes.len()));
                    let _ = directory.integers(tag, 10);
                }
                let _ = directory.following();
            }
        }

        #[test]
        fn numbers_come_back(tag in any::<u16>(), numbers in prop::collection::vec(any::<u16>(), 1..40), little in any::<bool>()) {
            let order = if little { ByteOrder::Little } else { ByteOrder::Big };
            let value = numbers.iter().flat_map(|number| if little { number.to_le_bytes() } else { number.to_be_bytes() }).collect();
            let bytes = file(order, &[(tag, 3, numbers.len() as u32, value)]);
            let read = Directory::first(&bytes).unwrap().integers(tag, 1000).unwrap();
            prop_assert_eq!(read, numbers.into_iter().map(u64::from).collect::<Vec<_>>());
        }
    }
}
