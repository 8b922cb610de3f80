//! Parsers of flag values. Their messages follow `FLAG: `.

use crate::failure::shortened;
use afterimage_core::{Size, StrengthSpan, limits};
use afterimage_engine::{CacheThreshold, DeviceChoice, LoraFile};
use afterimage_jobs::{BucketUrl, KeyRole, Secret};
use afterimage_server::network::Cidr;
use afterimage_server::options::StoragePlace;
use bytesize::ByteSize;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use url::Url;

/// `--steps`.
pub fn steps(text: &str) -> Result<u32, String> {
    whole_number(text, &limits::STEPS)
}

/// `--num-images`.
pub fn num_images(text: &str) -> Result<u32, String> {
    whole_number(text, &limits::NUM_IMAGES)
}

/// `--repeat`.
pub fn repeat(text: &str) -> Result<u32, String> {
    whole_number(text, &(1..=100))
}

/// `--context-tokens` and `--repeated-tokens`.
pub fn tokens(text: &str) -> Result<u32, String> {
    whole_number(text, &(1..=16_384))
}

/// `--guidance`.
pub fn guidance(text: &str) -> Result<f64, String> {
    number(text, &limits::GUIDANCE)
}

/// `--strength`.
pub fn strength(text: &str) -> Result<f64, String> {
    number(text, &limits::STRENGTH)
}

/// `--redux-strength`: one for the whole run, and those of parts of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReduxStrength {
    /// Outside the parts.
    pub whole: f64,
    /// The parts.
    pub spans: Vec<StrengthSpan>,
}

/// `--redux-strength`: `F`, and `F@START:END` for parts of the run.
pub fn redux_strength(text: &str) -> Result<ReduxStrength, String> {
    let (mut whole, mut spans) = (None, Vec::new());
    for part in text.split(',') {
        if part.contains('@') {
            spans.push(part.parse()?);
        } else if whole.is_some() {
            return Err("two strengths for the whole run; name one".to_owned());
        } else {
            whole = Some(number(part, &limits::REDUX_STRENGTH)?);
        }
    }
    Ok(ReduxStrength { whole: whole.unwrap_or(1.0), spans })
}

/// `--mask-blur`.
pub fn mask_blur(text: &str) -> Result<f64, String> {
    number(text, &limits::MASK_BLUR)
}

/// `--mask-crop`.
pub fn crop_padding(text: &str) -> Result<u32, String> {
    whole_number(text, &limits::CROP_PADDING)
}

/// `--variation-strength`.
pub fn variation_strength(text: &str) -> Result<f64, String> {
    number(text, &limits::VARIATION_STRENGTH)
}

/// `--redux-downsample`.
pub fn downsample(text: &str) -> Result<f64, String> {
    number(text, &limits::REDUX_DOWNSAMPLE)
}

/// One number of `--image-weight`.
pub fn image_weight(text: &str) -> Result<f64, String> {
    number(text, &limits::IMAGE_WEIGHT)
}

/// `--alive-interval` and `--stall-limit`.
pub fn seconds(text: &str) -> Result<Duration, String> {
    number(text, &(0.01..=86_400.0)).map(Duration::from_secs_f64)
}

/// `--retention-days`.
pub fn days(text: &str) -> Result<Duration, String> {
    number(text, &(0.001..=3650.0)).map(|days| Duration::from_secs_f64(days * 86_400.0))
}

/// `--memory-budget`; bytes.
pub fn memory(text: &str) -> Result<u64, String> {
    match text.trim().parse::<ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
        Ok(_) => Err("0 is out of range; expected a size such as 16GB".to_owned()),
        Err(_) => Err(format!("{} is not a size; expected one such as 16GB, 12.5GiB or 800MB", quoted(text))),
    }
}

/// `--quota-gb`; bytes.
pub fn gigabytes(text: &str) -> Result<u64, String> {
    number(text, &(0.001..=1_000_000.0)).map(|gigabytes| (gigabytes * 1e9) as u64)
}

/// `--cost-rate`.
pub fn rate(text: &str) -> Result<f64, String> {
    number(text, &(0.0..=1000.0))
}

/// `--workers`.
pub fn workers(text: &str) -> Result<usize, String> {
    whole_number(text, &(0..=64)).map(|count| count as usize)
}

/// `--safety-threshold`.
pub fn threshold(text: &str) -> Result<f64, String> {
    number(text, &(0.0..=1.0))
}

/// `--cache-threshold`.
pub fn cache_threshold(text: &str) -> Result<CacheThreshold, String> {
    number(text, &(0.0..=1.0)).and_then(CacheThreshold::try_from)
}

/// `--threads`.
pub fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let count = whole_number(text, &(1..=1024))?;
    NonZeroUsize::new(count as usize).ok_or_else(|| "expected 1 to 1024".to_owned())
}

/// `--concurrency`.
pub fn concurrency(text: &str) -> Result<u32, String> {
    whole_number(text, &(1..=10_000))
}

/// `keys create --name`: what lists and charts show in a line.
pub fn key_name(text: &str) -> Result<String, String> {
    const LONGEST: usize = 100;
    if text.chars().any(char::is_control) {
        return Err(format!("{} has a line break or another control character; expected plain text", quoted(text)));
    }
    match text.chars().count() {
        0..=LONGEST => Ok(text.to_owned()),
        length => Err(format!("{} has {length} characters; at most {LONGEST} are taken", quoted(text))),
    }
}

/// `keys create --role`.
pub fn role(text: &str) -> Result<KeyRole, String> {
    text.parse().map_err(|problem: String| format!("{} {problem}", quoted(text)))
}

/// `--public-url`.
pub fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.host().is_some());
    url.filter(|url| url.query().is_none() && url.fragment().is_none())
        .ok_or_else(|| format!("{} is not an address such as https://pictures.example", quoted(text)))
}

/// An address, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(pub String);

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PostgresUrl(…)")
    }
}

/// What `--database-url` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedDatabase {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
}

/// `--database-url`: the file, or the address.
pub fn database_url(text: &str) -> Result<NamedDatabase, String> {
    if let Ok(url) = postgres_url(text) {
        return Ok(NamedDatabase::Postgres(url));
    }
    local_path(text, "sqlite:").map(NamedDatabase::File).ok_or_else(|| {
        // The rest may hold a password.
        let scheme = text.split_once("//").map_or(text, |(scheme, _)| scheme);
        format!(
            "{} is not a database of this version; expected sqlite:FILE, such as sqlite:/srv/afterimage.sqlite, or \
             postgres://USER@HOST/NAME",
            quoted(scheme)
        )
    })
}

/// A SQLite file.
pub fn sqlite_file(text: &str) -> Result<PathBuf, String> {
    local_path(text, "sqlite:")
        .ok_or_else(|| format!("{} is not sqlite:FILE, such as sqlite:/srv/afterimage.sqlite", quoted(text)))
}

/// `--database-direct-url`.
pub fn postgres_url(text: &str) -> Result<PostgresUrl, String> {
    let is_one = text.starts_with("postgres://") || text.starts_with("postgresql://");
    is_one.then(|| PostgresUrl(text.to_owned())).ok_or_else(|| "expected postgres://USER@HOST/NAME".to_owned())
}

/// `--storage-url`: the folder or the bucket.
pub fn storage_url(text: &str) -> Result<StoragePlace, String> {
    if BucketUrl::is_one(text) {
        return BucketUrl::parse(text).map(StoragePlace::Bucket);
    }
    local_path(text, "file:").map(StoragePlace::Folder).ok_or_else(|| {
        format!(
            "{} is not a storage of this version; expected file:FOLDER, such as file:/srv/afterimage, or s3://BUCKET/PREFIX",
            quoted(text)
        )
    })
}

/// The path after `scheme`, written as `file:/srv/a`, `file:///srv/a` or `file:a`.
fn local_path(text: &str, scheme: &str) -> Option<PathBuf> {
    let path = text.strip_prefix(scheme)?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// `--api-key`.
pub fn secret(text: &str) -> Result<Secret, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.len() < Secret::MIN_BYTES || !plain {
        // The text itself is a secret and is not repeated.
        return Err(format!("a key has at least {} printable characters and no spaces", Secret::MIN_BYTES));
    }
    Ok(Secret::new(text))
}

/// `--listen`.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{} is not an address such as 127.0.0.1:8080", quoted(text)))
}

/// `--trusted-proxy`.
pub fn cidr(text: &str) -> Result<Cidr, String> {
    text.trim().parse().map_err(|problem| format!("{} is {problem}", quoted(text)))
}

/// `--admin-listen`: `None` for `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionalAddress(pub Option<SocketAddr>);

/// `--admin-listen`.
pub fn address_or_off(text: &str) -> Result<OptionalAddress, String> {
    if text == "off" {
        return Ok(OptionalAddress(None));
    }
    address(text).map(|address| OptionalAddress(Some(address)))
}

/// `--size`.
pub fn size(text: &str) -> Result<Size, String> {
    let sides = limits::SIDE;
    let out_of_range = || {
        let text = shortened(text);
        format!("{text} is out of range; each side takes {} to {} pixels", sides.start(), sides.end())
    };
    let Ok(size) = text.parse::<Size>() else {
        // A side beyond 32 bits is well-formed and should not be told that it is not.
        let digits = |side: &str| !side.is_empty() && side.bytes().all(|byte| byte.is_ascii_digit());
        let well_formed =
            text.split_once(['x', 'X', '*']).is_some_and(|(width, height)| digits(width) && digits(height));
        return Err(if well_formed {
            out_of_range()
        } else {
            format!("{} is not a size; expected WIDTHxHEIGHT in pixels, such as 1024x768", quoted(text))
        });
    };
    if sides.contains(&size.width) && sides.contains(&size.height) { Ok(size) } else { Err(out_of_range()) }
}

/// `--seed`: `None` for -1, which draws one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub Option<u64>);

/// `--seed`.
pub fn seed(text: &str) -> Result<Seed, String> {
    match text.trim() {
        "-1" => Ok(Seed(None)),
        digits => match digits.parse::<u64>() {
            Ok(seed) => Ok(Seed(Some(seed))),
            Err(_) => Err(format!(
                "{} is not a seed; -1 (draws one) and whole numbers from 0 to {} are accepted",
                quoted(text),
                u64::MAX
            )),
        },
    }
}

/// `--lora`: a file, and how much of it. A colon may be part of the name: what stands behind the last one is the scale
/// when it is a number and the whole is no file.
pub fn lora(text: &str) -> Result<LoraFile, String> {
    let with_scale = text.rsplit_once(':').filter(|(_, scale)| scale.trim().parse::<f64>().is_ok());
    let (path, scale) = match with_scale.filter(|_| !Path::new(text).is_file()) {
        Some((path, scale)) => (path, number(scale, &limits::LORA_SCALE)?),
        None => (text, 1.0),
    };
    if path.is_empty() {
        return Err(format!("{} names no file; expected FILE or FILE:SCALE", quoted(text)));
    }
    Ok(LoraFile { path: PathBuf::from(path), scale })
}

/// `--device`.
pub fn device(text: &str) -> Result<DeviceChoice, String> {
    DeviceChoice::from_str(text).map_err(|problem| format!("{} is not a device; {problem}", quoted(text)))
}

/// Flags without a value, as environment and file spell them.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{} is not known; true and false are accepted", quoted(text))),
    }
}

fn whole_number(text: &str, range: &RangeInclusive<u32>) -> Result<u32, String> {
    let text = text.trim();
    match text.parse::<u32>() {
        Ok(value) if range.contains(&value) => Ok(value),
        Ok(_) => Err(out_of_range(text, range)),
        Err(_) if is_whole(text) => Err(out_of_range(text, range)),
        Err(_) => {
            Err(format!("{} is not a whole number; {} to {} are accepted", quoted(text), range.start(), range.end()))
        }
    }
}

fn number(text: &str, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let text = text.trim();
    match text.parse::<f64>() {
        // NaN is in no range.
        Ok(value) if range.contains(&value) => Ok(value),
        Ok(_) => Err(out_of_range(text, range)),
        Err(_) => Err(format!("{} is not a number; {} to {} are accepted", quoted(text), range.start(), range.end())),
    }
}

/// An integer of any length, with a sign or without.
fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn out_of_range(text: &str, range: &RangeInclusive<impl Display>) -> String {
    format!("{} is out of range; {} to {} are accepted", shortened(text), range.start(), range.end())
}

/// `text` as it can stand in a sentence; an empty one would be invisible.
fn quoted(text: &str) -> String {
    if text.is_empty() { "an empty text".to_owned() } else { format!("`{}`", shortened(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_inclusive() {
        assert_eq!(steps("1"), Ok(1));
        assert_eq!(steps("50"), Ok(50));
        assert_eq!(guidance("20"), Ok(20.0));
        assert_eq!(strength("0"), Ok(0.0));
        assert_eq!(size("16x4096"), Ok(Size::new(16, 4096)));
    }

    #[test]
    fn a_strength_may_have_parts() {
        let parsed = redux_strength("0.8,0.2@0.5:1, 0@0:0.25").unwrap();
        let span = |start, end, strength| StrengthSpan { start, end, strength };
        let expected = ReduxStrength { whole: 0.8, spans: vec![span(0.5, 1.0, 0.2), span(0.0, 0.25, 0.0)] };
        assert_eq!(parsed, expected);
        let alone = ReduxStrength { whole: 1.0, spans: vec![span(0.0, 1.0, 0.5)] };
        assert_eq!(redux_strength("0.5@0:1"), Ok(alone));
        for text in ["", "0.5,0.6", "2", "0.5@1", "0.5@0:2", "0.5@a:b", "@0:1", "0.5@0:1@"] {
            assert!(redux_strength(text).is_err(), "{text}");
        }
    }

    #[test]
    fn messages_say_what_would_be_right() {
        assert_eq!(steps("51"), Err("51 is out of range; 1 to 50 are accepted".to_owned()));
        assert_eq!(steps("-3"), Err("-3 is out of range; 1 to 50 are accepted".to_owned()));
        assert_eq!(steps("99999999999"), Err("99999999999 is out of range; 1 to 50 are accepted".to_owned()));
        assert_eq!(steps("4.5"), Err("`4.5` is not a whole number; 1 to 50 are accepted".to_owned()));
        assert_eq!(steps(""), Err("an empty text is not a whole number; 1 to 50 are accepted".to_owned()));
        assert_eq!(guidance("NaN"), Err("NaN is out of range; 1 to 20 are accepted".to_owned()));
        assert_eq!(guidance("inf"), Err("inf is out of range; 1 to 20 are accepted".to_owned()));
        assert_eq!(strength("1e999"), Err("1e999 is out of range; 0 to 1 are accepted".to_owned()));
        assert!(size("0x512").is_err_and(|text| text.starts_with("0x512 is out of range")));
        assert!(size("99999999999x512").is_err_and(|text| text.contains("out of range")));
        assert!(size("512").is_err_and(|text| text.contains("1024x768")));
    }

    #[test]
    fn sizes_of_memory_have_units() {
        for (text, bytes) in
            [("16GB", 16_000_000_000), ("12.5 GiB", 13_421_772_800), ("800mb", 800_000_000), ("4096", 4096)]
        {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "0GB", "-1GB", "much", "16 parsecs", "NaN", "1e999GB"] {
            assert!(memory(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_lora_may_have_a_scale_and_a_colon_in_its_name() {
        let is = |text: &str, path: &str, scale| {
            assert_eq!(lora(text), Ok(LoraFile { path: path.into(), scale }), "{text}");
        };
        is("a.safetensors", "a.safetensors", 1.0);
        is("a.safetensors:0.8", "a.safetensors", 0.8);
        is("C:\\a.safetensors", "C:\\a.safetensors", 1.0);
        is("b:c.safetensors:-1", "b:c.safetensors", -1.0);
        is("a:b", "a:b", 1.0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x:2");
        std::fs::write(&path, "").unwrap();
        let path = path.to_str().unwrap();
        is(path, path, 1.0);
        is(&format!("{path}:2"), path, 2.0);
        assert_eq!(lora("a:4.5"), Err("4.5 is out of range; -4 to 4 are accepted".to_owned()));
        assert!(lora("a:nan").is_err() && lora("").is_err() && lora(":1").is_err());
    }

    #[test]
    fn minus_one_draws_a_seed() {
        assert_eq!(seed("-1"), Ok(Seed(None)));
        assert_eq!(seed("0"), Ok(Seed(Some(0))));
        assert_eq!(seed("18446744073709551615"), Ok(Seed(Some(u64::MAX))));
        for text in ["-2", "1.0", "1e3", "", "18446744073709551616"] {
            assert!(seed(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text: String) {
            let _ = (steps(&text), guidance(&text), size(&text), seed(&text), device(&text), redux_strength(&text));
        }

        #[test]
        fn what_is_accepted_is_in_range(text in "[-+0-9.eEnaif]{0,8}") {
            if let Ok(value) = guidance(&text) {
                prop_assert!((1.0..=20.0).contains(&value));
            }
            if let Ok(value) = steps(&text) {
                prop_assert!((1..=50).contains(&value));
            }
        }
    }
}
