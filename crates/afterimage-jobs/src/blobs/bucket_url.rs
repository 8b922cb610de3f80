//! `s3://bucket/prefix?endpoint=…&region=…&path_style=true&allow_http=true`: where a bucket is, and how it is asked.
//!
//! What proves that one may ask is never part of it: URLs stand in process lists, configuration files and logs.

use std::fmt;
use url::{Url, form_urlencoded};

/// A place in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    pub(super) bucket: String,
    /// Folder in the bucket, without a slash at either end; empty for the bucket's root.
    pub(super) prefix: String,
    /// Who has the bucket; `None`: what the environment says, or Amazon.
    pub(super) endpoint: Option<Url>,
    pub(super) region: Option<String>,
    /// Whether the bucket's name stands in the path of requests, or in the host.
    pub(super) path_style: bool,
    pub(super) allow_http: bool,
}

const SCHEME: &str = "s3://";

const EXPECTED: &str = "expected s3://BUCKET/PREFIX, and after a ? what of endpoint, region, path_style and allow_http is \
                        needed, such as s3://pictures/afterimage?endpoint=https://s3.example&region=eu-1";

const CREDENTIALS: &str = "credentials belong into the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the \
                           role of the machine or pod";

impl BucketUrl {
    /// Whether `text` names a bucket at all.
    pub fn is_one(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Reads the URL.
    ///
    /// # Errors
    /// What is wrong and what would be right. Nothing that could be a secret is repeated.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(SCHEME).ok_or(EXPECTED)?;
        if rest.contains('#') {
            return Err(format!("a # has no meaning here; {EXPECTED}"));
        }
        let (place, settings) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.contains('@') {
            return Err(format!("the URL holds credentials; {CREDENTIALS}"));
        }
        if !is_plain(bucket) {
            return Err(format!("the bucket's name has to be of letters, digits, `.`, `_` and `-`; {EXPECTED}"));
        }
        let prefix = prefix.trim_end_matches('/');
        if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
            return Err(format!(
                "the prefix has to be names of letters, digits, `.`, `_` and `-` with / between; {EXPECTED}"
            ));
        }
        let mut url = Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            path_style: true,
            allow_http: false,
        };
        for (name, value) in form_urlencoded::parse(settings.as_bytes()) {
            url.set(&name, &value)?;
        }
        if !url.allow_http && url.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http") {
            return Err(
                "endpoint: http is not encrypted; use https, or add allow_http=true if that is meant".to_owned()
            );
        }
        Ok(url)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "endpoint" => self.endpoint = Some(endpoint(value)?),
            "region" if is_plain(value) => self.region = Some(value.to_owned()),
            "region" => return Err("region: expected a name such as us-east-1".to_owned()),
            "path_style" => self.path_style = switch(name, value)?,
            "allow_http" => self.allow_http = switch(name, value)?,
            unknown => {
                let name: String = unknown.chars().filter(|character| !character.is_control()).take(40).collect();
                return Err(format!("{name}: not a setting of s3 URLs; {EXPECTED}; {CREDENTIALS}"));
            }
        }
        Ok(())
    }

    /// The address for requests when the bucket's name stands in the host: the endpoint's with the bucket in front.
    pub(super) fn endpoint_shared(&self) -> Option<String> {
        let endpoint = self.endpoint.as_ref()?;
        let (host, bucket) = (endpoint.host_str()?, &self.bucket);
        if self.path_style || host.starts_with(&format!("{bucket}.")) {
            return Some(endpoint.as_str().trim_end_matches('/').to_owned());
        }
        let port = endpoint.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{bucket}.{host}{port}", endpoint.scheme()))
    }
}

impl fmt::Display for BucketUrl {
    /// Bucket and prefix, as paths of files in it begin.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.prefix.is_empty() { "" } else { "/" };
        write!(formatter, "{SCHEME}{}{separator}{}", self.bucket, self.prefix)
    }
}

/// Neither a bucket's name nor a region nor a part of a prefix needs more; what would have to be escaped is refused.
fn is_plain(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(letter)
}

fn endpoint(value: &str) -> Result<Url, String> {
    let url = Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("endpoint: expected an address such as https://s3.example")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("endpoint: holds credentials; {CREDENTIALS}"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("endpoint: expected an address without a path, such as https://s3.example".to_owned());
    }
    Ok(url)
}

fn switch(name: &str, value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| format!("{name}: expected true or false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_its_settings_are_read() {
        let plain = BucketUrl::parse("s3://pictures").unwrap();
        assert_eq!((plain.bucket.as_str(), plain.prefix.as_str(), plain.path_style), ("pictures", "", true));
        assert_eq!(plain.to_string(), "s3://pictures");
        let full = "s3://pictures/a/b/?endpoint=http://10.0.0.1:9000&region=eu-1&path_style=false&allow_http=true";
        let full = BucketUrl::parse(full).unwrap();
        assert_eq!(full.to_string(), "s3://pictures/a/b");
        assert_eq!(full.region.as_deref(), Some("eu-1"));
        assert_eq!(full.endpoint_shared().as_deref(), Some("http://pictures.10.0.0.1:9000"));
        let escaped = BucketUrl::parse("s3://b?endpoint=https%3A%2F%2Fs3.example%2F").unwrap();
        assert_eq!(escaped.endpoint_shared().as_deref(), Some("https://s3.example"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_repeated() {
        for (text, named) in [
            ("s3:pictures", "expected s3://BUCKET"),
            ("s3://", "bucket's name"),
            ("s3:///prefix", "bucket's name"),
            ("s3://host:9000/bucket", "bucket's name"),
            ("s3://bucket/../other", "prefix"),
            ("s3://bucket/a//b", "prefix"),
            ("s3://bucket/a%2fb", "prefix"),
            ("s3://bucket#x", "#"),
            ("s3://id:hunter2@bucket/prefix", "AWS_SECRET_ACCESS_KEY"),
            ("s3://bucket?secret_access_key=hunter2", "secret_access_key: not a setting"),
            ("s3://bucket?Region=eu-1", "Region: not a setting"),
            ("s3://bucket?region=", "region"),
            ("s3://bucket?path_style=yes", "path_style: expected true or false"),
            ("s3://bucket?endpoint=s3.example", "endpoint: expected"),
            ("s3://bucket?endpoint=https://s3.example/bucket", "without a path"),
            ("s3://bucket?endpoint=https://id:hunter2@s3.example", "endpoint: holds credentials"),
            ("s3://bucket?endpoint=http://s3.example", "allow_http=true"),
        ] {
            let problem = BucketUrl::parse(text).unwrap_err();
            assert!(problem.contains(named) && !problem.contains("hunter2"), "{text}: {problem}");
        }
    }
}
