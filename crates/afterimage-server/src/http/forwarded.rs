//! Who sent a request that came through a proxy.
//!
//! Anybody can write these headers, so only what the operator's own proxies add is believed: from the right, past their
//! own addresses, to the first that is none of theirs.

use crate::network::Cidr;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, header};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whose word about a request's sender is believed. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[Cidr]>);

impl From<Vec<Cidr>> for TrustedProxies {
    fn from(networks: Vec<Cidr>) -> Self {
        Self(networks.into())
    }
}

impl TrustedProxies {
    /// Whether `address` is one of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Where `request` comes from: the other end of its connection or, when that is a trusted proxy, what it says.
    pub fn client(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip());
        self.client_of(peer, request.headers())
    }

    /// `Forwarded` and `X-Forwarded-For` have to agree where both are there: a proxy that writes one of them may pass on
    /// the other as the client made it up.
    fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return peer;
        }
        let standard = self.last_untrusted(peer, &hops(headers, &header::FORWARDED, forwarded_hops));
        let usual = self.last_untrusted(peer, &hops(headers, &X_FORWARDED_FOR, listed_hops));
        match (standard, usual) {
            (Some(one), Some(other)) if one != other => peer,
            (Some(one), _) | (None, Some(one)) => one,
            (None, None) => peer,
        }
    }

    /// The rightmost of `hops` that is no trusted proxy; the last proxy that is known where one hides its sender;
    /// `None` without hops.
    fn last_untrusted(&self, peer: IpAddr, hops: &[Option<IpAddr>]) -> Option<IpAddr> {
        let mut known = peer;
        for hop in hops.iter().rev() {
            let Some(address) = hop else { return Some(known) };
            known = *address;
            if !self.contains(known) {
                return Some(known);
            }
        }
        (!hops.is_empty()).then_some(known)
    }
}

/// Hops of one request that are looked at, from the right.
const HOPS: usize = 32;

/// The hops of all lines of a header in order; `None` for one that names no address.
fn hops(headers: &HeaderMap, name: &HeaderName, read: fn(&str) -> Vec<Option<IpAddr>>) -> Vec<Option<IpAddr>> {
    let mut all = Vec::new();
    for value in headers.get_all(name) {
        match value.to_str() {
            Ok(text) => all.extend(read(text)),
            Err(_) => all.push(None),
        }
    }
    let first = all.len().saturating_sub(HOPS);
    all.split_off(first)
}

/// `X-Forwarded-For: 192.0.2.1, [2001:db8::1]:4711`
fn listed_hops(text: &str) -> Vec<Option<IpAddr>> {
    text.split(',').map(str::trim).filter(|hop| !hop.is_empty()).map(address).collect()
}

/// `Forwarded: for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"` (RFC 7239). An element without a `for` hides it.
fn forwarded_hops(text: &str) -> Vec<Option<IpAddr>> {
    let Some(elements) = split_unquoted(text, ',') else { return vec![None] };
    elements.into_iter().map(str::trim).filter(|element| !element.is_empty()).map(forwarded_for).collect()
}

fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut named = split_unquoted(element, ';')?.into_iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    });
    let (value, None) = (named.next()?, named.next()) else { return None };
    match value.strip_prefix('"') {
        // Nothing in an address needs a backslash.
        Some(quoted) => address(quoted.strip_suffix('"')?),
        None => address(value),
    }
}

/// The parts of `text` between `separator`s outside of quotes; `None` when a quote does not end.
fn split_unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (place, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if character == separator && !is_quoted => {
                parts.push(&text[start..place]);
                start = place + character.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!is_quoted).then_some(parts)
}

/// An address with or without a port; IPv6 in brackets where there is one.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let parsed = match bare {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip())),
    };
    parsed.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn client(peer: &str, pairs: &[(&'static str, &str)]) -> String {
        let proxies = vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        TrustedProxies::from(proxies).client_of(peer.parse().unwrap(), &headers(pairs)).to_string()
    }

    const FOR: &str = "x-forwarded-for";

    #[test]
    fn strangers_are_not_believed() {
        assert_eq!(client("8.8.8.8", &[(FOR, "1.1.1.1"), ("forwarded", "for=1.1.1.1")]), "8.8.8.8");
        assert_eq!(
            TrustedProxies::default().client_of("::1".parse().unwrap(), &headers(&[(FOR, "1.1.1.1")])).to_string(),
            "::1"
        );
    }

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        for (list, expected) in [
            ("1.1.1.1", "1.1.1.1"),
            ("6.6.6.6, 1.1.1.1", "1.1.1.1"),
            ("6.6.6.6, 1.1.1.1, 10.9.9.9", "1.1.1.1"),
            ("1.1.1.1:4711,10.0.0.2", "1.1.1.1"),
            ("[2600::1]:443", "2600::1"),
            ("::ffff:1.1.1.1", "1.1.1.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // Hidden or nonsense: no further than what is known.
            ("1.1.1.1, unknown", "10.0.0.1"),
            ("1.1.1.1, _hidden, 10.0.0.2", "10.0.0.2"),
            ("", "10.0.0.1"),
            (" , ,", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[(FOR, list)]), expected, "{list}");
        }
        assert_eq!(client("::ffff:10.0.0.1", &[(FOR, "6.6.6.6"), (FOR, "1.1.1.1")]), "1.1.1.1");
        assert_eq!(client("::1", &[]), "::1");
    }

    #[test]
    fn the_standard_header_is_read() {
        for (text, expected) in [
            ("for=1.1.1.1", "1.1.1.1"),
            ("For=\"1.1.1.1:80\"; proto=https", "1.1.1.1"),
            ("for=6.6.6.6, proto=http;by=10.0.0.2;for=1.1.1.1, for=10.0.0.2", "1.1.1.1"),
            ("for=\"[2600::1]:4711\"", "2600::1"),
            ("for=6.6.6.6, by=\"a,b\\\",c\";for=1.1.1.1", "1.1.1.1"),
            ("for=6.6.6.6, for=unknown", "10.0.0.1"),
            ("for=6.6.6.6, proto=https", "10.0.0.1"),
            ("for=6.6.6.6;for=1.1.1.1", "10.0.0.1"),
            ("for=\"1.1.1.1", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[("forwarded", text)]), expected, "{text}");
        }
    }

    #[test]
    fn headers_that_disagree_say_nothing() {
        assert_eq!(client("10.0.0.1", &[("forwarded", "for=6.6.6.6"), (FOR, "1.1.1.1")]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[("forwarded", "for=1.1.1.1"), (FOR, "1.1.1.1")]), "1.1.1.1");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"([fF]or|by|=|"|\\|;|,| |[0-9a-f:.\[\]]){0,40}|[ -~]{0,60}"#) {
            let _ = (client("10.0.0.1", &[(FOR, &text)]), client("10.0.0.1", &[("forwarded", &text)]));
        }

        /// Whatever a client writes, the proxy's own entry behind it decides.
        #[test]
        fn what_a_client_adds_in_front_changes_nothing(made_up in r"[ -~]{0,60}") {
            let list = format!("{made_up}, 1.1.1.1");
            prop_assert_eq!(client("10.0.0.1", &[(FOR, &list)]), "1.1.1.1");
            prop_assert_eq!(client("10.0.0.1", &[(FOR, &made_up), (FOR, "1.1.1.1, 10.0.0.2")]), "1.1.1.1");
            prop_assert_eq!(client("10.0.0.1", &[("forwarded", &made_up), ("forwarded", "for=1.1.1.1")]), "1.1.1.1");
        }
    }
}
