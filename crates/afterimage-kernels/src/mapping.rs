//! Files mapped into memory. Here because it takes `unsafe`, which no other crate may use.

use afterimage_tensors::{ByteOwner, SharedBytes};
use std::fs::File;
use std::io;
use std::ops::Range;

/// Maps the whole of `file` into memory, read-only.
///
/// # Errors
/// Those of the operating system; an empty file is an error on some.
pub fn map_file(file: &File) -> io::Result<SharedBytes> {
    // SAFETY: the mapping is private to reads. Another process that truncates the file while it is mapped makes
    // later reads fail with SIGBUS; no safe interface can rule that out, so `docs/` tells operators to replace
    // weights by renaming, and the engine re-checks the length whenever it opens a component.
    let map = unsafe { memmap2::Mmap::map(file)? };
    Ok(SharedBytes::owned_by(MappedFile(map)))
}

struct MappedFile(memmap2::Mmap);

impl ByteOwner for MappedFile {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(target_os = "linux")]
    fn forget(&self, range: Range<usize>) {
        // SAFETY: the mapping is shared and read-only, and nothing is ever written through it. What MADV_DONTNEED drops of
        // such a mapping is read from the file again at the next access, with the same contents (madvise(2)).
        let advised =
            unsafe { self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
        // Memory that stays is no failure of whoever computes.
        let _ = advised;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_mapped() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"weights").unwrap();
        assert_eq!(&map_file(&file).unwrap()[..], b"weights");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_forgotten_takes_no_memory_and_is_read_again() {
        const BYTES: usize = 64 << 20;
        // Of the mapping at `address`, from the kernel's list of them.
        let resident = |address: *const u8| -> u64 {
            let list = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let start = format!("{:x}-", address as usize);
            let entry = list.lines().skip_while(|line| !line.starts_with(&start));
            let line = entry.skip(1).find_map(|line| line.strip_prefix("Rss:")).unwrap();
            line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
        };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; BYTES]).unwrap();
        let bytes = map_file(&file).unwrap();
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        assert_eq!(sum(&bytes), 7 * BYTES as u64);
        assert!(resident(bytes.as_ptr()) > BYTES as u64 * 9 / 10);
        bytes.slice(BYTES / 4 + 3..BYTES).unwrap().forget();
        let left = resident(bytes.as_ptr());
        assert!(left < BYTES as u64 * 3 / 10, "{left}");
        assert_eq!(sum(&bytes), 7 * BYTES as u64);
    }
}
