//! Fetching what a request names: every address is resolved, checked and pinned first.
