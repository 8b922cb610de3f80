//! Processor time of the process, where the operating system tells.

/// Fields of `/proc/self/stat` count it in ticks of this length; Linux shows programs 100 a second on every architecture that
/// we build for (`USER_HZ`).
const SECONDS_PER_TICK: f64 = 0.01;
/// Time in user mode is field 14 of `/proc/self/stat`, in the kernel field 15 (proc(5)); the third follows the name.
const USER_AFTER_NAME: usize = 14 - 3;

/// Seconds that all threads of the process have computed so far, in steps of a hundredth. Linux only.
pub fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold spaces and parentheses.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(USER_AFTER_NAME);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some((f64::from(ticks()?) + f64::from(ticks()?)) * SECONDS_PER_TICK)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn work_is_counted() {
        let (before, start) = (processor_seconds().unwrap(), Instant::now());
        let mut sum = 0_u64;
        // Other threads of the test only add to it.
        while processor_seconds().unwrap() < before + 0.1 && start.elapsed() < Duration::from_mins(1) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(processor_seconds().unwrap() >= before + 0.1, "{before} at first");
    }
}
