//! Files mapped into memory. Here because it takes `unsafe`, which no other crate may use.

use afterimage_tensors::SharedBytes;
use std::fs::File;
use std::io;

/// Maps the whole of `file` into memory, read-only.
///
/// # Errors
/// Those of the operating system; an empty file is an error on some.
pub fn map_file(file: &File) -> io::Result<SharedBytes> {
    // SAFETY: the mapping is private to reads. Another process that truncates the file while it is mapped makes
    // later reads fail with SIGBUS; no safe interface can rule that out, so `docs/` tells operators to replace
    // weights by renaming, and the engine re-checks the length whenever it opens a component.
    let map = unsafe { memmap2::Mmap::map(file)? };
    Ok(SharedBytes::new(map))
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
}
