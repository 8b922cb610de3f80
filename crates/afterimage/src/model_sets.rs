//! `--model NAME=SPEC`: sets of models that one server has at once.

use crate::devices::{self, DeviceWord};
use crate::failure::{CommandFailure, shortened};
use crate::hub_files::{SCHEME, whole_model};
use crate::origin::Origins;
use crate::values;
use afterimage_core::{LoraFolder, ModelName};
use afterimage_engine::{CacheThreshold, DtypeChoice, EngineOptions, LoraFile};
use afterimage_server::dialects::model_ids;
use afterimage_server::loras::LoraFolders;
use afterimage_server::model_sets::{Ambiguous, ModelSets};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// What a set takes.
const KEYS: [&str; 15] = [
    "base",
    "redux",
    "transformer",
    "t5",
    "clip",
    "vae",
    "image-encoder",
    "lora",
    "lora-dir",
    "device",
    "dtype",
    "cache-threshold",
    "threads",
    "memory-budget",
    "serves",
];

/// The sets of models that have names.
#[derive(Args, Debug)]
#[command(next_help_heading = "Models")]
pub struct ModelSetFlags {
    /// A set of models with a name, for several at once: `dev=base=DIR,redux=DIR`, `dev=hub:flux-dev`
    ///
    /// May be given several times; NAME has 1 to 40 characters of a-z, 0-9, `.`, `_` and `-`. SPEC is a list of
    /// `key=value` with commas between: `base` (always), `redux`, `transformer`, `t5`, `clip`, `vae`, `image-encoder`, and
    /// `lora` (`FILE[:SCALE]`, may be given several times), `lora-dir`, `device`, `dtype`, `cache-threshold`, `threads` and `memory-budget`
    /// where they differ from the flags; several devices have a `+` between, `device=cuda:0+cuda:1`. In the TOML file each set is a table, `[model.NAME]`, with the same keys; there a path
    /// may hold a comma. A `hub:NAME` in front stands for `base=hub:NAME`, or SRPO's base and transformer. Each set has
    /// --workers processes of its own on each of its devices. Not together with --base and the other flags that name models.
    ///
    /// Requests name a service's model id. One that a set lists (`serves=ID+ID`) runs there, and that set serves nothing
    /// else. Among the other sets an id of Redux goes to `redux`, else to `dev`, one of SRPO to `srpo`, one of schnell to
    /// `schnell`, and everything else to the first. When all sets list ids, clients are told that others do not exist.
    #[arg(long, env = "AFTERIMAGE_MODEL", hide_env_values = true, value_name = "NAME=SPEC", value_parser = parse)]
    model: Vec<ModelSetSpec>,
}

/// One set.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSetSpec {
    name: ModelName,
    base: PathBuf,
    redux: Option<PathBuf>,
    transformer: Option<PathBuf>,
    t5: Option<PathBuf>,
    clip: Option<PathBuf>,
    vae: Option<PathBuf>,
    image_encoder: Option<PathBuf>,
    loras: Vec<LoraFile>,
    lora_dir: Option<PathBuf>,
    devices: Vec<DeviceWord>,
    dtype: Option<DtypeChoice>,
    cache_threshold: Option<CacheThreshold>,
    threads: Option<NonZeroUsize>,
    memory_budget: Option<u64>,
    serves: Vec<String>,
}

/// A set as the engine takes it.
pub struct NamedSet<'a> {
    /// Its name.
    pub name: ModelName,
    /// What its processes open; the device is left open.
    pub options: EngineOptions,
    /// The devices that it names; none: those of the flags.
    pub devices: &'a [DeviceWord],
}

impl ModelSetFlags {
    /// The engine's options of each set, and the devices that it names; what a set leaves out is that of `flags`, but for the
    /// devices.
    ///
    /// # Errors
    /// When the flags name models, too.
    pub fn engine_options(
        &self,
        flags: &EngineOptions,
        origins: &Origins,
    ) -> Result<Vec<NamedSet<'_>>, CommandFailure> {
        let named = flags.paths().into_iter().find(|(_, path)| path.is_some());
        if let (Some((field, _)), Some(first)) = (named, self.model.first()) {
            let problem =
                format!("cannot be used together with --model; name it in the sets, --model {}=…", first.name);
            return Err(CommandFailure::bad_input(origins.subject(&field.replace('-', "_")), problem));
        }
        let sets = self.model.iter();
        Ok(sets
            .map(|set| NamedSet { name: set.name.clone(), options: set.options(flags), devices: &set.devices })
            .collect())
    }

    /// Where requests for each set, or for the one without a name, find LoRAs: in the set's own folder, else in `shared`.
    ///
    /// # Errors
    /// When one is no folder that can be read.
    pub fn lora_folders(&self, shared: Option<&Path>, origins: &Origins) -> Result<LoraFolders, CommandFailure> {
        let refused = |problem| CommandFailure::bad_input(origins.subject("lora_dir"), problem);
        let shared = shared.map(lora_folder).transpose().map_err(refused)?;
        if self.model.is_empty() {
            return Ok(LoraFolders::new(shared.map(|folder| (None, folder))));
        }
        let mut folders = Vec::new();
        for set in &self.model {
            let own = set.lora_dir.as_deref().map(lora_folder).transpose();
            let own = own.map_err(|problem| about_set(&set.name, &format!("lora-dir: {problem}"), origins))?;
            folders.extend(own.or_else(|| shared.clone()).map(|folder| (Some(set.name.clone()), folder)));
        }
        Ok(LoraFolders::new(folders))
    }

    /// Which ids each set serves.
    ///
    /// # Errors
    /// When two sets have one name, or serve one id.
    pub fn served(&self, origins: &Origins) -> Result<ModelSets, CommandFailure> {
        let set = |set: &ModelSetSpec| afterimage_server::model_sets::ModelSet {
            name: set.name.clone(),
            serves: set.serves.clone(),
        };
        ModelSets::new(self.model.iter().map(set).collect()).map_err(|ambiguous| {
            let (Ambiguous::Name(name) | Ambiguous::Id { name, .. }) = &ambiguous;
            about_set(name, &ambiguous.to_string(), origins)
        })
    }
}

/// The folder at `path`.
fn lora_folder(path: &Path) -> Result<LoraFolder, String> {
    LoraFolder::open(path).map_err(|error| format!("{}: {error}; name a folder of NAME.safetensors", path.display()))
}

/// A failure that names the flag, where its value came from, and the set.
pub fn about_set(name: &ModelName, problem: &str, origins: &Origins) -> CommandFailure {
    CommandFailure::bad_input(origins.subject("model"), format_args!("{name}: {problem}"))
}

impl ModelSetSpec {
    fn options(&self, flags: &EngineOptions) -> EngineOptions {
        EngineOptions {
            base: Some(self.base.clone()),
            redux: self.redux.clone(),
            transformer: self.transformer.clone(),
            t5: self.t5.clone(),
            clip: self.clip.clone(),
            vae: self.vae.clone(),
            image_encoder: self.image_encoder.clone(),
            loras: if self.loras.is_empty() { flags.loras.clone() } else { self.loras.clone() },
            lora_dir: self.lora_dir.clone().or_else(|| flags.lora_dir.clone()),
            device: flags.device,
            dtype: self.dtype.unwrap_or(flags.dtype),
            cache_threshold: self.cache_threshold.unwrap_or(flags.cache_threshold),
            threads: self.threads.or(flags.threads),
            memory_budget: self.memory_budget.or(flags.memory_budget),
            memory_shares: flags.memory_shares,
            safety: flags.safety.clone(),
        }
    }
}

/// How the table `[model.NAME]` of the TOML file reaches [`parse`]: as a JSON object in place of the list.
pub fn from_table(name: &str, table: &toml::Table) -> Result<String, serde_json::Error> {
    Ok(format!("{name}={}", serde_json::to_string(table)?))
}

/// `--model`.
fn parse(text: &str) -> Result<ModelSetSpec, String> {
    let no_spec = || format!("`{}` has no SPEC; expected NAME=SPEC, such as dev=base=DIR,redux=DIR", shortened(text));
    let (name, spec) = text.split_once('=').ok_or_else(no_spec)?;
    let name = name.parse::<ModelName>().map_err(|problem| format!("`{}`: {problem}", shortened(name)))?;
    let values = if spec.starts_with('{') { in_object(spec) } else { in_list(spec, &name) };
    let set = values.and_then(|values| read(name.clone(), &values));
    set.map_err(|problem| format!("{name}: {problem}"))
}

fn in_list(spec: &str, name: &ModelName) -> Result<Map<String, Value>, String> {
    let mut values = Map::new();
    for part in spec.split(',') {
        if part.starts_with(SCHEME) && values.is_empty() {
            let whole = whole_model(part).map_err(|error| error.to_string())?;
            values.extend(whole.into_iter().map(|(key, value)| (key.to_owned(), Value::String(value))));
            continue;
        }
        let (key, text) = part.split_once('=').ok_or_else(|| {
            let part = shortened(part);
            format!("`{part}` is no key=value (a path with a comma goes into the TOML file, as [model.{name}])")
        })?;
        let value = match key {
            "serves" => text.split('+').map(Value::from).collect(),
            "lora" => Value::Array(vec![Value::from(text)]),
            _ => Value::from(text),
        };
        match values.get_mut(key) {
            None => drop(values.insert(key.to_owned(), value)),
            Some(Value::Array(files)) if key == "lora" => files.push(Value::from(text)),
            Some(_) => return Err(format!("{}: given more than once", shortened(key))),
        }
    }
    Ok(values)
}

fn in_object(spec: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(spec).map_err(|error| format!("is no JSON object: {error}"))
}

fn read(name: ModelName, values: &Map<String, Value>) -> Result<ModelSetSpec, String> {
    if let Some(key) = values.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("`{}` is not known; {} are accepted", shortened(key), KEYS.join(", ")));
    }
    let text = |key: &str| match values.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Err(format!("{key}: a value is missing")),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(format!("{key}: expected a text or a number")),
    };
    let parsed = |key: &'static str, problem: String| format!("{key}: {problem}");
    let path = |key: &str| text(key).map(|text| text.map(PathBuf::from));
    Ok(ModelSetSpec {
        base: path("base")?.ok_or("base: missing; name a model folder, base=DIR")?,
        redux: path("redux")?,
        transformer: path("transformer")?,
        t5: path("t5")?,
        clip: path("clip")?,
        vae: path("vae")?,
        image_encoder: path("image-encoder")?,
        loras: loras(values.get("lora")).map_err(|it| parsed("lora", it))?,
        lora_dir: path("lora-dir")?,
        devices: device_words(values.get("device")).map_err(|it| parsed("device", it))?,
        dtype: text("dtype")?.map(|text| dtype(&text)).transpose().map_err(|it| parsed("dtype", it))?,
        cache_threshold: text("cache-threshold")?
            .map(|text| values::cache_threshold(&text))
            .transpose()
            .map_err(|it| parsed("cache-threshold", it))?,
        threads: text("threads")?.map(|text| values::threads(&text)).transpose().map_err(|it| parsed("threads", it))?,
        memory_budget: text("memory-budget")?
            .map(|text| values::memory(&text))
            .transpose()
            .map_err(|it| parsed("memory-budget", it))?,
        serves: served_ids(values.get("serves"))?,
        name,
    })
}

fn dtype(text: &str) -> Result<DtypeChoice, String> {
    let known: Vec<String> = DtypeChoice::value_variants()
        .iter()
        .filter_map(|known| Some(known.to_possible_value()?.get_name().to_owned()))
        .collect();
    let dtype = DtypeChoice::from_str(text, false);
    dtype.map_err(|_| format!("`{}` is not known; {} are accepted", shortened(text), known.join(", ")))
}

/// One device, several with `+` or a comma between, or a list of them.
fn device_words(value: Option<&Value>) -> Result<Vec<DeviceWord>, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("expected a device, as text");
    let texts = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) if !list.is_empty() => list.iter().map(text).collect::<Result<Vec<_>, _>>()?,
        Some(one) => vec![text(one)?],
    };
    texts.iter().flat_map(|text| text.split(['+', ','])).map(devices::word).collect()
}

/// One file, or a list of them, each with a scale or without.
fn loras(value: Option<&Value>) -> Result<Vec<LoraFile>, String> {
    let list = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let file = |value: &Value| values::lora(value.as_str().ok_or("expected FILE or FILE:SCALE, as text")?);
    list.iter().map(file).collect()
}

/// The ids in a list; each must be one of the server's, since a wrong one would never be asked for.
fn served_ids(value: Option<&Value>) -> Result<Vec<String>, String> {
    let list = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(_) => return Err("serves: expected a list of at least one id".to_owned()),
    };
    let mut ids = Vec::new();
    for value in list {
        let id = value.as_str().unwrap_or_default();
        if !model_ids().any(|known| known == id) {
            let known: Vec<&str> = model_ids().collect();
            return Err(format!("serves: `{}` is no model id; there are {}", shortened(id), known.join(", ")));
        }
        ids.push(id.to_owned());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRPO: &str = "wavespeed-ai/flux-srpo/image-to-image";

    #[test]
    fn a_list_and_a_table_say_the_same() {
        let ids = format!("{SRPO}+fal-ai/flux-1/srpo/image-to-image");
        let listed =
            parse(&format!("srpo=base=/a=b,transformer=x.safetensors,device=cpu,dtype=bf16,threads=3,serves={ids}"));
        let table = format!(
            "base = '/a=b'\ntransformer = 'x.safetensors'\ndevice = 'cpu'\ndtype = 'bf16'\nthreads = 3\n\
             serves = ['{SRPO}', 'fal-ai/flux-1/srpo/image-to-image']"
        );
        let listed = listed.unwrap();
        assert_eq!(parse(&from_table("srpo", &table.parse().unwrap()).unwrap()), Ok(listed.clone()));
        let flags = EngineOptions { threads: NonZeroUsize::new(7), ..EngineOptions::default() };
        let options = listed.options(&flags);
        assert_eq!(options.base, Some("/a=b".into()));
        assert_eq!((options.dtype, options.threads, options.redux), (DtypeChoice::Bf16, NonZeroUsize::new(3), None));
        let plain = parse("dev=base=b").unwrap().options(&flags);
        assert_eq!(plain.threads, NonZeroUsize::new(7));
        let several = |spec: &str| parse(spec).unwrap().devices;
        let listed = several("dev=base=b,device=cuda:0+cuda:1");
        assert_eq!((listed.len(), several("dev=base=b").len()), (2, 0));
        for table in ["base = 'b'\ndevice = ['cuda:0', 'cuda:1']", "base = 'b'\ndevice = 'cuda,cuda:1'"] {
            assert_eq!(several(&from_table("dev", &table.parse().unwrap()).unwrap()), listed, "{table}");
        }
        assert!(parse("dev=base=b,device=gpu").unwrap_err().starts_with("dev: device: "));
        let flags = EngineOptions { lora_dir: Some("/loras".into()), ..flags };
        let flags = EngineOptions { cache_threshold: CacheThreshold::try_from(0.1).unwrap(), ..flags };
        let threshold = |spec| parse(spec).unwrap().options(&flags).cache_threshold.get();
        let specs = ["dev=base=b", "dev=base=b,cache-threshold=0.2", "dev=base=b,cache-threshold=0"];
        assert_eq!(specs.map(threshold), [Some(0.1), Some(0.2), None]);
        let lora_dir = |spec| parse(spec).unwrap().options(&flags).lora_dir;
        assert_eq!(lora_dir("dev=base=b"), Some("/loras".into()));
        assert_eq!(lora_dir("dev=base=b,lora-dir=/own"), Some("/own".into()));
        let listed = parse("dev=base=b,lora=a.safetensors,lora=b:c.safetensors:0.5").unwrap();
        let table = "base = 'b'\nlora = ['a.safetensors', 'b:c.safetensors:0.5']".parse().unwrap();
        assert_eq!(parse(&from_table("dev", &table).unwrap()), Ok(listed.clone()));
        let file = |path: &str, scale| LoraFile { path: path.into(), scale };
        let own = vec![file("a.safetensors", 1.0), file("b:c.safetensors", 0.5)];
        let flags = EngineOptions { loras: vec![file("shared", 2.0)], ..flags };
        assert_eq!(listed.options(&flags).loras, own);
        assert_eq!(parse("dev=base=b").unwrap().options(&flags).loras, flags.loras);
        for bad in ["dev=base=b,lora=", "dev=base=b,lora=a:9", "dev={\"base\": \"b\", \"lora\": [1]}"] {
            assert!(parse(bad).unwrap_err().starts_with("dev: lora: "), "{bad}");
        }
    }

    #[test]
    fn a_path_in_a_table_may_hold_a_comma() {
        let table = "base = '/a, b'".parse().unwrap();
        assert_eq!(parse(&from_table("dev", &table).unwrap()).unwrap().base, PathBuf::from("/a, b"));
    }
}
