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
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;
    use std::sync::Barrier;

    /// Tells a child process its limit, 0 for none.
    const LIMIT: &str = "HEAP_TEST_LIMIT";

    const THREADS: usize = 8;

    /// Arenas of this process, as the C library counts them.
    fn arenas() -> usize {
        let file = tempfile::NamedTempFile::new().unwrap();
        let name = CString::new(file.path().as_os_str().as_bytes()).unwrap();
        // SAFETY: both texts end with a zero byte; the stream is open until it is closed here, once.
        unsafe {
            let stream = libc::fopen(name.as_ptr(), c"w".as_ptr());
            assert!(!stream.is_null());
            assert_eq!(libc::malloc_info(0, stream), 0);
            assert_eq!(libc::fclose(stream), 0);
        }
        std::fs::read_to_string(file.path()).unwrap().matches("<heap nr=").count()
    }

    /// What the test `name` prints behind `label` in a process of its own, with [`LIMIT`] set to `limit`: the heap belongs
    /// to the process, and other tests use it, too.
    fn alone(name: &str, label: &str, limit: u16) -> usize {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program);
        child.args(["--exact", &format!("heap::tests::{name}"), "--nocapture", "--test-threads", "1"]);
        let output = child.env(LIMIT, limit.to_string()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let number = text.split_once(label).and_then(|(_, rest)| rest.split_whitespace().next());
        number.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
    }

    #[test]
    fn a_limit_holds_for_many_threads() {
        if let Ok(limit) = std::env::var(LIMIT) {
            let limit = limit.parse().unwrap();
            assert!(limit == 0 || super::limit_arenas(limit));
            let barrier = Barrier::new(THREADS);
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        let held = std::hint::black_box(vec![1_u8; 10_000]);
                        barrier.wait();
                        drop(held);
                    });
                }
            });
            println!("arenas: {}", arenas());
            return;
        }
        // The limit is the process's own, so each case has one.
        let arenas = |limit| alone("a_limit_holds_for_many_threads", "arenas: ", limit);
        assert!(arenas(0) > 2);
        assert!(arenas(2) <= 2);
    }

    #[test]
    fn pages_between_used_ones_are_released() {
        if std::env::var(LIMIT).is_err() {
            assert!(alone("pages_between_used_ones_are_released", "released KiB: ", 0) > 32 * 1024);
            return;
        }
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
        println!("released KiB: {}", before.saturating_sub(resident()));
        assert!(blocks.iter().flatten().all(|&byte| byte == 1));
    }
}
