//! File descriptors: as many as the system grants, and what is left of them for connections.

/// Descriptors that everything but connections may need: database, blobs, pipes, fetches, webhooks.
const RESERVED: usize = 512;

/// How many of `wanted` connections there are descriptors for. The limit of this process is raised first: many systems
/// start programs with 1,024 and allow far more to those that ask.
pub fn connections(wanted: usize) -> usize {
    raise(wanted + RESERVED).map_or(wanted, |granted| wanted.min(left_of(granted)))
}

/// Connections for `granted` descriptors.
fn left_of(granted: usize) -> usize {
    granted - RESERVED.min(granted / 2)
}

/// Asks for `wanted` descriptors; how many there are, `None` without a limit.
#[cfg(unix)]
fn raise(wanted: usize) -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let now = limit.current?;
    let possible = limit.maximum.map_or(wanted as u64, |maximum| maximum.min(wanted as u64));
    if possible > now {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(possible), ..limit }) {
            Ok(()) => return usize::try_from(possible).ok(),
            Err(error) => tracing::warn!(%error, now, "cannot raise the number of open files"),
        }
    }
    usize::try_from(now).ok()
}

/// There is no such limit.
#[cfg(not(unix))]
const fn raise(_wanted: usize) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_left_for_files_and_for_connections() {
        assert_eq!(left_of(20_000), 20_000 - RESERVED);
        assert_eq!(left_of(1024), 512);
        assert_eq!(left_of(256), 128);
        assert!((1..=100).contains(&connections(100)));
    }
}
