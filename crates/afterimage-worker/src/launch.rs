//! How an engine process is started: the program, its arguments, and an environment without secrets.

use super::child::ChildSettings;
use afterimage_engine::{CheckerChoice, DeviceChoice, EngineOptions, LoraFile};
use clap::ValueEnum;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Name of the hidden command.
pub const COMMAND: &str = "engine-process";

/// `--safety`'s word for the embedded checker.
pub const BUILTIN_CHECKER: &str = "builtin";

/// `--safety`'s word for checkers that every picture has to pass.
pub const REQUIRED_CHECKER: &str = "required";

/// Parts of the names of variables that hold secrets, ours and those of databases and object stores.
const SECRET_PARTS: [&str; 8] =
    ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "_KEY", "DATABASE_URL"];

/// How to start an engine process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineCommand {
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The device among them, for people.
    pub device: DeviceChoice,
}

impl EngineCommand {
    /// This very program with the hidden command. Everything it should know is in the arguments: the server's
    /// environment variables and configuration file may have changed by the time that a process is started again.
    ///
    /// # Errors
    /// When the operating system cannot tell where the program is.
    pub fn this_program(options: &EngineOptions, settings: &ChildSettings) -> std::io::Result<Self> {
        // On Linux this names the running program even after an upgrade has replaced its file, so that both sides of
        // the pipe stay of one version.
        let running = Path::new("/proc/self/exe");
        let program = if cfg!(target_os = "linux") && running.exists() {
            running.to_path_buf()
        } else {
            std::env::current_exe()?
        };
        Ok(Self { program, arguments: arguments(options, settings), device: options.device })
    }

    pub(super) fn build(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if is_withheld(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// Whether a variable stays with the server. Its own settings would override the arguments' defaults.
fn is_withheld(name: &str) -> bool {
    let name = name.to_uppercase();
    name.starts_with("AFTERIMAGE_") || SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// The value as its flag takes it.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn arguments(options: &EngineOptions, settings: &ChildSettings) -> Vec<OsString> {
    let flag = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
        let mut argument = OsString::from(format!("--{name}="));
        argument.push(value);
        argument
    };
    let mut arguments = vec![OsString::from(COMMAND)];
    for (name, path) in options.paths() {
        arguments.extend(path.as_ref().map(|path| flag(name, path)));
    }
    for LoraFile { path, scale } in &options.loras {
        // Always with its scale, so that a colon in the name is not taken for one.
        let mut value = path.clone().into_os_string();
        value.push(format!(":{scale}"));
        arguments.push(flag("lora", &value));
    }
    arguments.extend(options.lora_dir.as_ref().map(|folder| flag("lora-dir", folder)));
    arguments.push(flag("device", &options.device.to_string()));
    arguments.push(flag("dtype", &word(&options.dtype)));
    if let Some(threshold) = options.cache_threshold.get() {
        arguments.push(flag("cache-threshold", &threshold.to_string()));
    }
    arguments.extend(options.threads.map(|threads| flag("threads", &threads.to_string())));
    arguments.extend(options.memory_budget.map(|bytes| flag("memory-budget", &bytes.to_string())));
    arguments.extend(options.memory_shares.map(|shares| flag("memory-shares", &shares.to_string())));
    let safety = &options.safety;
    arguments.extend(safety.checkers.iter().map(|checker| match checker {
        CheckerChoice::Builtin => flag("safety", &BUILTIN_CHECKER),
        CheckerChoice::Path(path) => flag("safety", path),
    }));
    if safety.required {
        arguments.push(flag("safety", &REQUIRED_CHECKER));
    }
    arguments.push(flag("safety-threshold", &safety.threshold.to_string()));
    arguments.push(flag("on-flag", &word(&safety.on_flag)));
    arguments.push(flag("safety-previews", &word(&safety.previews)));
    if safety.check_inputs {
        arguments.push("--check-inputs".into());
    }
    arguments.push(flag("metadata", &word(&settings.metadata)));
    arguments.push(flag("alive-interval", &settings.alive_interval.as_secs_f64().to_string()));
    arguments.push(flag("stall-limit", &settings.stall_limit.as_secs_f64().to_string()));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::OnFlag;
    use afterimage_engine::{CacheThreshold, DtypeChoice, MetadataLevel, SafetyOptions, SafetyPreviews};

    #[test]
    fn secrets_and_settings_stay_with_the_server() {
        for name in [
            "AFTERIMAGE_API_KEY",
            "AFTERIMAGE_BASE",
            "AWS_SECRET_ACCESS_KEY",
            "aws_session_token",
            "PGPASSWORD",
            "DATABASE_URL",
        ] {
            assert!(is_withheld(name), "{name}");
        }
        for name in ["PATH", "HOME", "RAYON_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "LANG"] {
            assert!(!is_withheld(name), "{name}");
        }
    }

    #[test]
    fn every_option_is_an_argument() {
        let options = EngineOptions {
            base: Some("-odd name".into()),
            t5: Some("t5.gguf".into()),
            image_encoder: Some("siglip".into()),
            loras: vec![LoraFile { path: "a:1".into(), scale: 0.5 }, LoraFile { path: "b".into(), scale: 1.0 }],
            lora_dir: Some("loras".into()),
            device: DeviceChoice::Cuda(1),
            dtype: DtypeChoice::Bf16,
            cache_threshold: CacheThreshold::try_from(0.1).unwrap(),
            threads: std::num::NonZeroUsize::new(3),
            memory_budget: Some(16_000_000_000),
            memory_shares: std::num::NonZeroUsize::new(2),
            safety: SafetyOptions {
                checkers: vec![CheckerChoice::Builtin, CheckerChoice::Path("a, b".into())],
                required: true,
                threshold: 0.25,
                on_flag: OnFlag::Blur,
                previews: SafetyPreviews::Off,
                check_inputs: true,
            },
            ..EngineOptions::default()
        };
        assert_eq!(
            arguments(&options, &ChildSettings { metadata: MetadataLevel::Minimal, ..ChildSettings::default() }),
            [
                "engine-process",
                "--base=-odd name",
                "--t5=t5.gguf",
                "--image-encoder=siglip",
                "--lora=a:1:0.5",
                "--lora=b:1",
                "--lora-dir=loras",
                "--device=cuda:1",
                "--dtype=bf16",
                "--cache-threshold=0.1",
                "--threads=3",
                "--memory-budget=16000000000",
                "--memory-shares=2",
                "--safety=builtin",
                "--safety=a, b",
                "--safety=required",
                "--safety-threshold=0.25",
                "--on-flag=blur",
                "--safety-previews=off",
                "--check-inputs",
                "--metadata=minimal",
                "--alive-interval=1",
                "--stall-limit=600"
            ]
        );
    }
}
