//! Peak memory of the process, where the operating system tells.

/// The largest resident size since the start or the last [`reset_peak_memory`], in bytes. Linux only.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Starts the count anew, where that is allowed. Linux only.
pub fn reset_peak_memory() {
    // Without permission the peak counts from the process's start, which is only ever larger.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_shows_until_the_count_starts_anew() {
        const BYTES: u64 = 256 << 20;
        // The kernel counts pages for each processor and adds them up now and then: a reading is a few MB off.
        const ALMOST: u64 = BYTES - BYTES / 16;
        let buffer = std::hint::black_box(vec![1_u8; BYTES as usize]);
        assert!(peak_memory().unwrap() > ALMOST);
        drop(buffer);
        let peak = peak_memory().unwrap();
        assert!(peak > ALMOST, "{peak}: a peak stays until the count starts anew");
        // Containers may forbid it.
        let may_reset = std::fs::OpenOptions::new().write(true).open("/proc/self/clear_refs").is_ok();
        reset_peak_memory();
        if may_reset {
            let after = peak_memory().unwrap();
            assert!(after < peak - BYTES / 2, "{after} after {peak}");
        }
    }
}
