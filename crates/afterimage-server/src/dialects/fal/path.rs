//! What a path of this dialect names.

/// What stands in front of every model's path here, and of its id.
const OWNER: &str = "fal-ai";

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A model, by its id.
    Model(String),
    /// The stream of a model.
    Stream(String),
    /// A request of the queue. The model in front of it is not looked at: clients name all of it or its beginning.
    Request {
        /// Its id as the client spells it.
        id: String,
        /// What of it.
        part: Subresource,
    },
}

/// A part of a queued request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// Its result.
    Result,
    /// Its status.
    Status,
    /// Its status as it changes.
    StatusStream,
    /// Its end.
    Cancel,
}

/// Reads `path`, which follows `/fal-ai/`.
pub fn parse(path: &str) -> Option<Target> {
    let path = path.trim_end_matches('/');
    if let Some((_, rest)) = path.split_once("/requests/") {
        let (id, part) = rest.split_once('/').unwrap_or((rest, ""));
        let part = match part {
            "" => Subresource::Result,
            "status" => Subresource::Status,
            "status/stream" => Subresource::StatusStream,
            "cancel" => Subresource::Cancel,
            _ => return None,
        };
        return Some(Target::Request { id: id.to_owned(), part });
    }
    Some(match path.strip_suffix("/stream") {
        Some(model) => Target::Stream(format!("{OWNER}/{model}")),
        None => Target::Model(format!("{OWNER}/{path}")),
    })
}

/// The part of a model's id that addresses of its requests have.
pub fn app_of(model: &str) -> &str {
    match model.match_indices('/').nth(1) {
        Some((end, _)) => &model[..end],
        None => model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_is_read() {
        let request = |id: &str, part| Some(Target::Request { id: id.to_owned(), part });
        for (path, expected) in [
            ("flux-1/dev/redux", Some(Target::Model("fal-ai/flux-1/dev/redux".into()))),
            ("flux-1/dev/redux/", Some(Target::Model("fal-ai/flux-1/dev/redux".into()))),
            ("flux-1/dev/redux/stream", Some(Target::Stream("fal-ai/flux-1/dev/redux".into()))),
            ("flux-1/requests/a-b", request("a-b", Subresource::Result)),
            ("flux-1/dev/redux/requests/a-b/status", request("a-b", Subresource::Status)),
            ("flux-1/requests/a-b/status/stream", request("a-b", Subresource::StatusStream)),
            ("flux-1/requests/a-b/cancel", request("a-b", Subresource::Cancel)),
            ("flux-1/requests/a-b/other", None),
        ] {
            assert_eq!(parse(path), expected, "{path}");
        }
        assert_eq!(app_of("fal-ai/flux-1/dev/redux"), "fal-ai/flux-1");
        assert_eq!(app_of("fal-ai"), "fal-ai");
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path: String) {
            let _ = parse(&path);
            let _ = app_of(&path);
        }
    }
}
