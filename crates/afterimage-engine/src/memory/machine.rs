//! How much memory there is.

use std::fs;
use std::path::Path;

/// Bytes that this process may take without anything being written to swap: what the system calls available, or what
/// the process's control group may have where that is less. `None` where the system does not tell. Linux only.
pub fn usable_memory() -> Option<u64> {
    let available = available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| group_limit(&groups, &read));
    Some(group.map_or(available, |limit| limit.min(available)))
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// `MemAvailable` of `/proc/meminfo`: what is free, and what is only a copy of files.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The least limit of the control groups (version 2) around the process; `groups` is `/proc/self/cgroup`. Containers see
/// their own group as the root.
fn group_limit(groups: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let relative = Path::new(path.trim_start_matches('/'));
    let files = relative.ancestors().map(|group| Path::new("/sys/fs/cgroup").join(group).join("memory.max"));
    // `max` is no number and no limit.
    files.filter_map(|file| read(&file)?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_what_is_available() {
        let text = "MemTotal:       24000000 kB\nMemFree:          100 kB\nMemAvailable:   20000000 kB\n";
        assert_eq!(available(text), Some(20_480_000_000));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        #[cfg(target_os = "linux")]
        assert!(usable_memory().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn the_least_limit_of_all_groups_around_counts() {
        let files = |path: &Path| match path.to_str().unwrap() {
            "/sys/fs/cgroup/a/b/memory.max" => Some("max\n".to_owned()),
            "/sys/fs/cgroup/a/memory.max" => Some("1000\n".to_owned()),
            "/sys/fs/cgroup/memory.max" => Some("3000\n".to_owned()),
            _ => None,
        };
        assert_eq!(group_limit("1:name=systemd:/x\n0::/a/b\n", &files), Some(1000));
        assert_eq!(group_limit("0::/\n", &files), Some(3000));
        assert_eq!(group_limit("0::/other\n", &|_| None), None);
        assert_eq!(group_limit("1:name=systemd:/x\n", &files), None);
    }
}
