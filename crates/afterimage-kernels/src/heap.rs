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
}
