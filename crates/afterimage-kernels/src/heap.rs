//! The layout of the process's heap.

/// Lets the C library spread allocations over at most `count` arenas. By default glibc opens one for each thread, up to
/// eight for each core, and memory that was freed in one is not used by the others: a server that holds thousands of
/// short-lived buffers in a few dozen threads grows for as long as new mixtures of them occur.
///
/// Call it before the first thread starts. Returns whether the library took it; without glibc there is nothing to set.
pub fn limit_arenas(count: u16) -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` takes plain numbers, has no requirement on its caller, and locks what it changes.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, i32::from(count)) == 1 }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        let _ = count;
        false
    }
}

/// Gives whole pages that nothing lies on back to the system, also between others that are in use; by itself glibc does
/// so only at the heap's end. Takes milliseconds, in which other threads may wait for an allocation. Returns whether there
/// were any; without glibc nothing is done.
pub fn release_free_pages() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `malloc_trim` has no requirement on its caller; it locks each arena while it looks at it and touches
        // free memory only.
        unsafe { libc::malloc_trim(0) == 1 }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn the_library_takes_a_limit() {
        assert!(super::limit_arenas(2));
        // Allocations go on from as many threads as before.
        let threads: Vec<_> = (0..8).map(|byte| std::thread::spawn(move || vec![byte; 100_000])).collect();
        for (byte, thread) in threads.into_iter().enumerate() {
            assert_eq!(thread.join().unwrap(), vec![byte; 100_000]);
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn pages_between_used_ones_are_released() {
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
            line.trim_end_matches("kB").trim().parse::<usize>().unwrap()
        };
        // Below the size from which an allocation is a mapping of its own; every fourth one stays.
        let mut blocks: Vec<Vec<u8>> = (0..1024).map(|_| vec![1; 64 * 1024]).collect();
        let mut number = 0;
        blocks.retain(|_| {
            number += 1;
            number % 4 == 0
        });
        let before = resident();
        super::release_free_pages();
        assert!(resident() + 32 * 1024 < before, "{} of {before} KiB are left", resident());
        assert!(blocks.iter().flatten().all(|&byte| byte == 1));
    }
}
