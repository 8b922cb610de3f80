//! Doubled slashes and slashes at the end of a path: clients put bases and paths together in every way.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use std::borrow::Cow;

/// `request` with one slash where its path has several, and none at the end.
pub fn without_extra_slashes(mut request: Request) -> Request {
    if let Some(uri) = normal_uri(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// `uri` with a path in normal form; `None` when it has that already, or no such thing (`OPTIONS *`).
fn normal_uri(uri: &Uri) -> Option<Uri> {
    let Cow::Owned(path) = normal_path(uri.path()) else { return None };
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// `path` with one slash where it has several, and none at the end. Percent-encoded ones are part of a name.
pub fn normal_path(path: &str) -> Cow<'_, str> {
    let is_normal = !path.contains("//") && (path.len() < 2 || !path.ends_with('/'));
    if is_normal || !path.starts_with('/') {
        return Cow::Borrowed(path);
    }
    let mut normal = String::with_capacity(path.len());
    for name in path.split('/').filter(|name| !name.is_empty()) {
        normal.push('/');
        normal.push_str(name);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    Cow::Owned(normal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slashes_that_mean_nothing_go() {
        for (given, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b"),
            ("//a///b//", "/a/b"),
            ("/a%2F%2Fb/", "/a%2F%2Fb"),
            ("/a/./b/../", "/a/./b/.."),
            ("*", "*"),
        ] {
            assert_eq!(normal_path(given), expected, "{given}");
        }
        let of = |text: &str| normal_uri(&text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(of("//a//b/?x=//y/&z"), Some("/a/b?x=//y/&z".to_owned()));
        assert_eq!(of("http://host//a/?"), Some("http://host/a?".to_owned()));
        assert_eq!(of("/a?x=//"), None);
        assert_eq!(of("*"), None);
    }

    proptest! {
        #[test]
        fn names_stay_as_they_are(path in "/[a-z%/.]{0,20}") {
            let normal = normal_path(&path);
            let names = |path: &str| path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(names(&normal), names(&path));
            prop_assert!(!normal.contains("//") && (normal.len() == 1 || !normal.ends_with('/')));
            prop_assert_eq!(normal_path(&normal), normal.as_ref());
        }
    }
}
