//! The address that URLs in answers start with.

use axum::http::{HeaderMap, header};
use url::Url;

/// Where clients reach this server: configured, else taken from the request, else the listen address.
#[derive(Clone, Debug)]
pub struct PublicUrl {
    configured: Option<String>,
    scheme: &'static str,
    listen: String,
}

impl PublicUrl {
    /// `configured` is `--public-url`; `listen` the address actually bound; `tls` whether it speaks HTTPS.
    pub fn new(configured: Option<&Url>, listen: String, tls: bool) -> Self {
        let configured = configured.map(|url| url.as_str().trim_end_matches('/').to_owned());
        Self { configured, scheme: if tls { "https" } else { "http" }, listen }
    }

    /// Scheme, host and port without a slash at the end, for a request with `headers`.
    ///
    /// A configured address always wins, since the `Host` header is what the client says. Without one the header is
    /// used when it is a plain host and port; it only ever decides what that client itself gets back.
    pub fn for_request(&self, headers: &HeaderMap) -> String {
        if let Some(configured) = &self.configured {
            return configured.clone();
        }
        let text = |name: header::HeaderName| headers.get(name)?.to_str().ok();
        let host = text(header::HeaderName::from_static("x-forwarded-host")).or_else(|| text(header::HOST));
        let scheme = match text(header::HeaderName::from_static("x-forwarded-proto")) {
            Some("https") => "https",
            Some("http") => "http",
            _ => self.scheme,
        };
        match host.filter(|host| is_host_and_port(host)) {
            Some(host) => format!("{scheme}://{host}"),
            None => self.without_request(),
        }
    }

    /// The address when no request is at hand (webhooks, start message).
    pub fn without_request(&self) -> String {
        self.configured.clone().unwrap_or_else(|| format!("{}://{}", self.scheme, self.listen))
    }
}

/// Whether `text` is a host name or address with an optional port and nothing else.
fn is_host_and_port(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    if text.is_empty() || text.len() > 255 || !text.bytes().all(allowed) {
        return false;
    }
    Url::parse(&format!("http://{text}/")).is_ok_and(|url| url.path() == "/" && url.host().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_configured_address_wins_over_the_host_header() {
        let url = Url::parse("https://pictures.example/base/").unwrap();
        let public = PublicUrl::new(Some(&url), "127.0.0.1:8080".into(), false);
        assert_eq!(public.for_request(&headers(&[("host", "evil.example")])), "https://pictures.example/base");
    }

    #[test]
    fn the_request_decides_otherwise() {
        let public = PublicUrl::new(None, "127.0.0.1:8080".into(), false);
        assert_eq!(public.for_request(&headers(&[("host", "localhost:8080")])), "http://localhost:8080");
        assert_eq!(public.for_request(&headers(&[("host", "[::1]:8080")])), "http://[::1]:8080");
        let proxied =
            headers(&[("host", "inner:1"), ("x-forwarded-host", "a.example"), ("x-forwarded-proto", "https")]);
        assert_eq!(public.for_request(&proxied), "https://a.example");
    }

    #[test]
    fn a_host_that_is_none_is_not_echoed() {
        let public = PublicUrl::new(None, "127.0.0.1:8080".into(), true);
        for bad in ["", "a b", "a/b", "a@b", "a?b", "a#b", "a\\b", "\"><script>", "a:b:c", "host:99999"] {
            let headers = headers(&[("host", bad)]);
            assert_eq!(public.for_request(&headers), "https://127.0.0.1:8080", "{bad}");
        }
    }
}
