//! What the variables of the Hugging Face tools say: where the hub is, who asks, where files are kept.
//!
//! The rules are those of `huggingface_hub`'s `constants.py`.

use crate::cache::HubCache;
use crate::error::HubError;
use crate::token::AccessToken;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use url::Url;

/// Where the hub is when nobody says otherwise.
const ENDPOINT: &str = "https://huggingface.co";

/// Settings that Python's tools read, too.
#[derive(Clone, Debug)]
pub struct HubEnvironment {
    /// Address of the hub, `HF_ENDPOINT`.
    pub endpoint: Url,
    /// Who asks: `HF_TOKEN`, else the file that the hub's login command wrote.
    pub token: Option<AccessToken>,
    /// Where files are kept: `HF_HUB_CACHE`, else `hub` in `HF_HOME`.
    pub cache: HubCache,
    /// Whether `HF_HUB_OFFLINE` forbids to ask the hub.
    pub offline: bool,
}

impl HubEnvironment {
    /// Reads the process's variables.
    ///
    /// # Errors
    /// [`HubError::Environment`] for an address or token that cannot be one, and when no home folder is known;
    /// [`HubError::Io`] when the token's file cannot be read.
    pub fn read() -> Result<Self, HubError> {
        Self::from_variables(&|name| std::env::var_os(name), std::env::home_dir().as_deref())
    }

    /// The same from any variables; empty ones count as absent.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(|value| expanded(value, home));
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")));
        let hugging_face = path("HF_HOME").or_else(|| Some(caches?.join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(hugging_face.as_ref()?.join("hub")))
            .ok_or_else(|| HubError::Environment {
                variable: "HF_HOME",
                problem: "the home folder is unknown; name the folder for the hub's files".to_owned(),
            })?;
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(hugging_face?.join("token")));
        Ok(Self {
            endpoint: endpoint(set("HF_ENDPOINT"))?,
            token: token(&set, token_file)?,
            cache: HubCache::new(cache),
            offline: set("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
        })
    }
}

/// `~/` at the start of a variable's path is the home folder, as in Python's `expanduser`.
fn expanded(value: OsString, home: Option<&Path>) -> PathBuf {
    let path = PathBuf::from(value);
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

/// What `huggingface_hub` takes for true.
fn is_true(value: &OsString) -> bool {
    ["1", "ON", "YES", "TRUE"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn endpoint(value: Option<OsString>) -> Result<Url, HubError> {
    let refuse = |problem: String| HubError::Environment { variable: "HF_ENDPOINT", problem };
    let text = match value {
        None => ENDPOINT.to_owned(),
        Some(value) => value.into_string().map_err(|_| refuse("is not valid UTF-8".to_owned()))?,
    };
    let expected =
        || format!("`{}` is no web address; expected one such as {ENDPOINT}", afterimage_core::shortened(&text));
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| refuse(expected()))?;
    let is_plain = url.query().is_none() && url.fragment().is_none();
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() || !is_plain {
        return Err(refuse(expected()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("holds a user's name or password; the token belongs into HF_TOKEN".to_owned()));
    }
    Ok(url)
}

fn token(set: &dyn Fn(&str) -> Option<OsString>, file: Option<PathBuf>) -> Result<Option<AccessToken>, HubError> {
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        if let Some(value) = set(name)
            && let Some(token) = AccessToken::new(&value.to_string_lossy(), "HF_TOKEN", name)?
        {
            return Ok(Some(token));
        }
    }
    let Some(file) = file else { return Ok(None) };
    match fs::read_to_string(&file) {
        Ok(text) => AccessToken::new(&text, "HF_TOKEN_PATH", file.display().to_string()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(HubError::io(&file, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<HubEnvironment, HubError> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        HubEnvironment::from_variables(&find, Some(Path::new("/home/me")))
    }

    #[test]
    fn folders_are_found_as_python_finds_them() {
        for (variables, expected) in [
            (&[][..], "/home/me/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/c")], "/c/huggingface/hub"),
            (&[("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/c")], "/home/me/hf/hub"),
            (&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/hf")], "/old"),
            (&[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/new"),
            (&[("HF_HUB_CACHE", ""), ("HF_HOME", "/hf")], "/hf/hub"),
        ] {
            assert_eq!(read(variables).unwrap().cache.root(), Path::new(expected), "{variables:?}");
        }
    }

    #[test]
    fn a_token_comes_from_the_variable_or_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        assert!(read(&[("HF_HOME", home)]).unwrap().token.is_none());
        fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let from_file = read(&[("HF_HOME", home)]).unwrap().token.unwrap();
        assert_eq!(from_file.secret(), "hf_file");
        assert!(from_file.origin().ends_with("token"));
        let from_variable = read(&[("HF_HOME", home), ("HF_TOKEN", "hf_variable")]).unwrap().token.unwrap();
        assert_eq!((from_variable.secret(), from_variable.origin()), ("hf_variable", "HF_TOKEN"));
        let named = folder.path().join("token").display().to_string();
        assert_eq!(read(&[("HF_TOKEN_PATH", &named)]).unwrap().token.unwrap().secret(), "hf_file");
    }

    #[test]
    fn an_address_of_the_hub_is_a_web_address() {
        assert_eq!(read(&[]).unwrap().endpoint.as_str(), "https://huggingface.co/");
        assert_eq!(read(&[("HF_ENDPOINT", "http://mirror/hf/")]).unwrap().endpoint.as_str(), "http://mirror/hf");
        for value in ["huggingface.co", "ftp://x", "file:///etc", "https://me:pass@x", "https://x/?a=b"] {
            let message = read(&[("HF_ENDPOINT", value)]).unwrap_err().to_string();
            assert!(message.starts_with("HF_ENDPOINT: ") && !message.contains("pass@"), "{message}");
        }
    }

    #[test]
    fn offline_is_what_python_takes_for_true() {
        for (value, expected) in [("1", true), ("true", true), ("Yes", true), ("0", false), ("no", false)] {
            assert_eq!(read(&[("HF_HUB_OFFLINE", value)]).unwrap().offline, expected, "{value}");
        }
    }
}
