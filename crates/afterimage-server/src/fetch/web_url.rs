//! Reading an address so that nobody else would read another one out of it.

use url::Url;

/// Longest address that is looked at, in bytes. Signed addresses of object stores take about 2,000.
const LONGEST: usize = 8192;

/// Why a text is no usable address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlProblem {
    /// Another scheme or none.
    #[error("must start with http:// or https://")]
    Scheme,
    /// A user name or password.
    #[error("must not hold a user name or password")]
    Credentials,
    /// A control character or a backslash, or white space or a percent sign in front of the path.
    #[error("holds characters that an address must not hold")]
    Characters,
    /// Above the accepted length.
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    /// Anything else.
    #[error("is not a valid address")]
    Malformed,
}

/// Reads an `http` or `https` address as browsers do: spaces around it and the fragment are dropped, a host in other
/// scripts becomes punycode, spaces and other characters that have no place in a path or query are percent-encoded.
///
/// # Errors
/// [`UrlProblem`] for everything that the URL standard forgives but other parsers read differently in a way that leads to
/// another host: backslashes, control characters, missing slashes, white space or an `@` before the path, a host with
/// percent signs.
pub fn parse_web_url(text: &str) -> Result<Url, UrlProblem> {
    let text = text.trim_matches(' ');
    if text.len() > LONGEST {
        return Err(UrlProblem::TooLong);
    }
    if text.chars().any(|character| character.is_control() || character == '\\') {
        return Err(UrlProblem::Characters);
    }
    let after_scheme = strip_prefix_ignoring_case(text, "https://")
        .or_else(|| strip_prefix_ignoring_case(text, "http://"))
        .ok_or(UrlProblem::Scheme)?;
    let before_path = after_scheme.split('/').next().unwrap_or_default();
    // Parsers disagree on whether `?` and `#` end the host, so an `@` behind them may still be read as one of
    // credentials.
    if before_path.contains('@') {
        return Err(UrlProblem::Credentials);
    }
    // Nor on whether white space does.
    let host = before_path.split(['?', '#']).next().unwrap_or_default();
    if host.contains(|character: char| character == '%' || character.is_whitespace()) {
        return Err(UrlProblem::Characters);
    }
    if host.is_empty() || host.starts_with(':') {
        return Err(UrlProblem::Malformed);
    }
    let mut url = Url::parse(text).map_err(|_| UrlProblem::Malformed)?;
    let is_web = matches!(url.scheme(), "http" | "https");
    if !is_web || url.host().is_none() || url.port() == Some(0) {
        return Err(UrlProblem::Malformed);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlProblem::Credentials);
    }
    url.set_fragment(None);
    // Percent-encoding makes it longer, and what is read here may be read again.
    if url.as_str().len() > LONGEST {
        return Err(UrlProblem::TooLong);
    }
    Ok(url)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_addresses_are_read() {
        for (text, expected) in [
            ("http://example.com", "http://example.com/"),
            ("HTTPS://Example.COM:443/a%20b?c=%00@d#e", "https://example.com/a%20b?c=%00@d"),
            ("https://example.com/@user/picture.png", "https://example.com/@user/picture.png"),
            ("http://example.com.:8080/", "http://example.com.:8080/"),
            ("http://b\u{fc}cher.example/", "http://xn--bcher-kva.example/"),
            ("http://[2606:4700::1111]:81/x", "http://[2606:4700::1111]:81/x"),
            (" http://example.com/a ", "http://example.com/a"),
            ("http://example.com/a b c.png", "http://example.com/a%20b%20c.png"),
            ("http://example.com?a b", "http://example.com/?a%20b"),
            ("http://example.com/\u{a0}\u{2028}\u{e9}", "http://example.com/%C2%A0%E2%80%A8%C3%A9"),
            ("http://example.com/\"<>`{}", "http://example.com/%22%3C%3E%60%7B%7D"),
            ("http://example.com/a%20b%zz?%zz", "http://example.com/a%20b%zz?%zz"),
        ] {
            assert_eq!(parse_web_url(text).map(String::from), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn spellings_of_ipv4_addresses_are_seen_through() {
        for text in [
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
            "http://127\u{3002}0\u{3002}0\u{3002}1/",
        ] {
            let url = parse_web_url(text).unwrap();
            assert_eq!(url.host_str(), Some("127.0.0.1"), "{text}");
        }
    }

    #[test]
    fn texts_that_parsers_read_differently_are_refused() {
        for (text, problem) in [
            ("http://good.com\\@10.0.0.1/", UrlProblem::Characters),
            ("http://good.com#@10.0.0.1", UrlProblem::Credentials),
            ("http://good.com#@10.0.0.1/", UrlProblem::Credentials),
            ("http://good.com?@10.0.0.1/", UrlProblem::Credentials),
            ("http://user@good.com@10.0.0.1", UrlProblem::Credentials),
            ("http://user:secret@good.com/", UrlProblem::Credentials),
            ("http://@good.com/", UrlProblem::Credentials),
            ("http://go\tod.com/", UrlProblem::Characters),
            ("http://good.com\n/", UrlProblem::Characters),
            ("http://good.com/a\r\nX: y", UrlProblem::Characters),
            ("http://good.com\0.evil.com/", UrlProblem::Characters),
            ("http://good.com%00.evil.com/", UrlProblem::Characters),
            ("http://%31%32%37.0.0.1/", UrlProblem::Characters),
            ("\thttp://good.com/", UrlProblem::Characters),
            ("http://good.com/a\tb", UrlProblem::Characters),
            ("http://good.com/a\u{85}b", UrlProblem::Characters),
            ("http://good.com/a b\\@10.0.0.1/", UrlProblem::Characters),
            ("http://good .com/", UrlProblem::Characters),
            ("http:// good.com/", UrlProblem::Characters),
            ("http://good.com /", UrlProblem::Characters),
            ("http://good.com 10.0.0.1/", UrlProblem::Characters),
            ("http://good.com\u{a0}/", UrlProblem::Characters),
            ("http://good.com\u{3000}@10.0.0.1/", UrlProblem::Credentials),
            ("http://good.com ?@10.0.0.1/", UrlProblem::Credentials),
            ("http ://good.com/", UrlProblem::Scheme),
            ("http:good.com", UrlProblem::Scheme),
            ("http:/good.com", UrlProblem::Scheme),
            ("http:///good.com", UrlProblem::Malformed),
            ("//good.com/", UrlProblem::Scheme),
            ("good.com", UrlProblem::Scheme),
            ("", UrlProblem::Scheme),
            ("http://", UrlProblem::Malformed),
            ("http://:80/", UrlProblem::Malformed),
            ("http://good.com:0/", UrlProblem::Malformed),
            ("http://good.com:65536/", UrlProblem::Malformed),
            ("http://1.2.3.256/", UrlProblem::Malformed),
            ("http://[::1/", UrlProblem::Malformed),
            ("http://[fe80::1%25eth0]/", UrlProblem::Characters),
            ("file:///etc/passwd", UrlProblem::Scheme),
            ("gopher://good.com/", UrlProblem::Scheme),
            ("ftp://good.com/", UrlProblem::Scheme),
            ("data:image/png;base64,AAAA", UrlProblem::Scheme),
            ("javascript:alert(1)", UrlProblem::Scheme),
        ] {
            assert_eq!(parse_web_url(text), Err(problem), "{text:?}");
        }
        let long = format!("http://good.com/{}", "a".repeat(LONGEST));
        assert_eq!(parse_web_url(&long), Err(UrlProblem::TooLong));
        let spaces = format!("http://good.com/{}a", " ".repeat(LONGEST / 2));
        assert_eq!(parse_web_url(&spaces), Err(UrlProblem::TooLong), "three bytes each once they are encoded");
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_stable(text in "(?i:https?)://[ -~\u{80}-\u{2ff}]{0,60}") {
            if let Ok(url) = parse_web_url(&text) {
                prop_assert!(url.username().is_empty() && url.password().is_none());
                prop_assert!(url.fragment().is_none());
                prop_assert_eq!(parse_web_url(url.as_str()), Ok(url));
            }
        }
    }
}
