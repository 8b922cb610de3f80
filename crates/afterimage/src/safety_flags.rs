//! `--safety` and what belongs to it: who looks at results, and what follows.

use crate::failure::CommandFailure;
use crate::origin::Origins;
use crate::values;
use afterimage_core::OnFlag;
use afterimage_engine::{CheckerChoice, SafetyOptions, SafetyPreviews};
use afterimage_worker::{BUILTIN_CHECKER, REQUIRED_CHECKER};
use clap::Args;

/// Who looks at results.
#[derive(Args, Debug)]
#[command(next_help_heading = "Safety")]
pub struct CheckerFlags {
    /// Safety checker that looks at every result: `builtin`, a FILE or FOLDER, `off`, or `required`
    ///
    /// Several have commas between, or a flag each; a picture is flagged when any checker objects. `builtin` is a small network against
    /// pornography, a filter and not a guarantee. A folder holds Falconsai's classifier or CompVis' checker as
    /// transformers saves them; a file is the weights of the builtin, or of one of these with its configuration beside it. `required` forbids requests to go
    /// without, and ends those whose results cannot be checked; alone it means the builtin. Default: `builtin` for `serve`
    /// and `check`, `off` for `vary` and `img2img`.
    #[arg(
        long = "safety",
        env = "AFTERIMAGE_SAFETY",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "CHECKER",
        value_delimiter = ',',
        value_parser = parse
    )]
    safety: Vec<CheckerWord>,

    /// Score from which a classifier's picture is flagged, 0 to 1
    ///
    /// 0 flags everything: the way to see what happens then. CompVis' checker brings thresholds of its own, which only 0
    /// overrides.
    #[arg(
        long,
        env = "AFTERIMAGE_SAFETY_THRESHOLD",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "F",
        default_value = "0.5",
        value_parser = values::threshold
    )]
    safety_threshold: f64,
}

/// Who looks at results, and what a server makes of it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Safety")]
pub struct SafetyFlags {
    #[command(flatten)]
    checkers: CheckerFlags,

    /// What becomes of a flagged picture: a black one in its place, a blurred one, or nothing
    ///
    /// The flag is set in each case. What was made is kept nowhere but with `keep`.
    #[arg(
        long,
        env = "AFTERIMAGE_ON_FLAG",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "WHAT",
        default_value = "withhold"
    )]
    on_flag: OnFlag,

    /// What previews show of a result that will be checked
    #[arg(
        long,
        env = "AFTERIMAGE_SAFETY_PREVIEWS",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "WHAT",
        default_value = "blur"
    )]
    safety_previews: SafetyPreviews,

    /// Look at input pictures, too; a request with a flagged one fails
    #[arg(
        long,
        env = "AFTERIMAGE_CHECK_INPUTS",
        hide_env_values = true,
        hide_short_help = true,
        value_parser = values::switch
    )]
    check_inputs: bool,
}

/// One value of `--safety`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckerWord {
    /// A checker.
    Checker(CheckerChoice),
    /// Every picture has to pass.
    Required,
    /// None.
    Off,
}

impl CheckerFlags {
    /// The engine's options; `default` where nobody said who looks.
    ///
    /// # Errors
    /// When `off` stands beside something else.
    pub fn options(&self, default: &[CheckerChoice], origins: &Origins) -> Result<SafetyOptions, CommandFailure> {
        let off = self.safety.contains(&CheckerWord::Off);
        if off && self.safety.iter().any(|word| *word != CheckerWord::Off) {
            let problem = "`off` cannot stand beside another value; leave it out";
            return Err(CommandFailure::bad_input(origins.subject("safety"), problem));
        }
        let mut checkers = Vec::new();
        for word in &self.safety {
            if let CheckerWord::Checker(checker) = word
                && !checkers.contains(checker)
            {
                checkers.push(checker.clone());
            }
        }
        let required = self.safety.contains(&CheckerWord::Required);
        if checkers.is_empty() && required {
            checkers.push(CheckerChoice::Builtin);
        }
        if self.safety.is_empty() {
            checkers = default.to_vec();
        }
        Ok(SafetyOptions { checkers, required, threshold: self.safety_threshold, ..SafetyOptions::default() })
    }
}

impl SafetyFlags {
    /// The engine's options; `default` where nobody said who looks.
    ///
    /// # Errors
    /// Those of [`CheckerFlags::options`].
    pub fn options(&self, default: &[CheckerChoice], origins: &Origins) -> Result<SafetyOptions, CommandFailure> {
        let options = self.checkers.options(default, origins)?;
        if self.check_inputs && options.checkers.is_empty() {
            let problem = "nobody looks at inputs with --safety off; leave one of the two out";
            return Err(CommandFailure::bad_input(origins.subject("check_inputs"), problem));
        }
        Ok(SafetyOptions {
            on_flag: self.on_flag,
            previews: self.safety_previews,
            check_inputs: self.check_inputs,
            ..options
        })
    }
}

/// One value of `--safety`.
pub fn parse(text: &str) -> Result<CheckerWord, String> {
    match text {
        "" => {
            Err(format!("a value is missing; expected {BUILTIN_CHECKER}, a file or folder, off or {REQUIRED_CHECKER}"))
        }
        "off" => Ok(CheckerWord::Off),
        REQUIRED_CHECKER => Ok(CheckerWord::Required),
        BUILTIN_CHECKER => Ok(CheckerWord::Checker(CheckerChoice::Builtin)),
        path => Ok(CheckerWord::Checker(CheckerChoice::Path(path.into()))),
    }
}
