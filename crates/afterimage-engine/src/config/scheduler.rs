//! The sampler's settings: `scheduler/scheduler_config.json`.

use super::check::{ConfigCheck, read_checked};
use crate::bundle::Bundle;
use afterimage_core::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Settings of diffusers' `FlowMatchEulerDiscreteScheduler`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of the configuration file")]
pub struct SchedulerConfig {
    /// diffusers' name of the class, checked when it is there.
    #[serde(rename = "_class_name", skip_serializing)]
    pub class_name: Option<String>,
    /// Length of the training schedule: the timestep of sigma 1.
    pub num_train_timesteps: usize,
    /// Constant shift of the sigmas; unused with dynamic shifting.
    pub shift: f64,
    /// Whether the shift follows the number of image tokens.
    pub use_dynamic_shifting: bool,
    /// `mu` at `base_image_seq_len` tokens.
    pub base_shift: f64,
    /// `mu` at `max_image_seq_len` tokens.
    pub max_shift: f64,
    /// See `base_shift`.
    pub base_image_seq_len: usize,
    /// See `max_shift`.
    pub max_image_seq_len: usize,
    /// Not supported.
    pub invert_sigmas: bool,
    /// Not supported.
    pub shift_terminal: Option<f64>,
    /// Not supported.
    pub use_karras_sigmas: bool,
    /// Not supported.
    pub use_exponential_sigmas: bool,
    /// Not supported.
    pub use_beta_sigmas: bool,
    /// Always `exponential`.
    pub time_shift_type: String,
    /// Not supported.
    pub stochastic_sampling: bool,
    /// Of other schedulers; what a FLUX model predicts is the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction_type: Option<String>,
}

impl Default for SchedulerConfig {
    /// diffusers' defaults; FLUX.1-schnell's settings.
    fn default() -> Self {
        Self {
            class_name: None,
            num_train_timesteps: 1000,
            shift: 1.0,
            use_dynamic_shifting: false,
            base_shift: 0.5,
            max_shift: 1.15,
            base_image_seq_len: 256,
            max_image_seq_len: 4096,
            invert_sigmas: false,
            shift_terminal: None,
            use_karras_sigmas: false,
            use_exponential_sigmas: false,
            use_beta_sigmas: false,
            time_shift_type: "exponential".to_owned(),
            stochastic_sampling: false,
            prediction_type: None,
        }
    }
}

impl SchedulerConfig {
    /// FLUX.1-dev's settings.
    pub fn flux_dev() -> Self {
        Self { shift: 3.0, use_dynamic_shifting: true, ..Self::default() }
    }

    /// Reads and checks `scheduler_config.json` of the folder `folder`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle) -> Result<Self> {
        read_checked(folder, "scheduler_config.json", Self::validate)
    }

    /// Checks every field; `path` is the file that messages name.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] for the first field that cannot be used.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let check = ConfigCheck::new(path);
        check.class(self.class_name.as_deref(), "FlowMatchEulerDiscreteScheduler")?;
        check.range("num_train_timesteps", self.num_train_timesteps, &(1..=1_000_000))?;
        check.positive("shift", self.shift)?;
        check.finite("base_shift", self.base_shift)?;
        check.finite("max_shift", self.max_shift)?;
        check.range("base_image_seq_len", self.base_image_seq_len, &(1..=1_000_000))?;
        check.range("max_image_seq_len", self.max_image_seq_len, &(1..=1_000_000))?;
        if self.base_image_seq_len >= self.max_image_seq_len {
            return Err(check.refuse(
                "max_image_seq_len",
                format!("{} is not above base_image_seq_len {}", self.max_image_seq_len, self.base_image_seq_len),
            ));
        }
        check.off("invert_sigmas", self.invert_sigmas)?;
        check.off("use_karras_sigmas", self.use_karras_sigmas)?;
        check.off("use_exponential_sigmas", self.use_exponential_sigmas)?;
        check.off("use_beta_sigmas", self.use_beta_sigmas)?;
        check.off("stochastic_sampling", self.stochastic_sampling)?;
        if let Some(terminal) = self.shift_terminal {
            return Err(check.refuse("shift_terminal", format!("{terminal} is not supported; expected null")));
        }
        if let Some(kind) = self.prediction_type.as_ref().filter(|kind| !kind.starts_with("flow")) {
            return Err(check.refuse("prediction_type", format!("{kind} is not supported; expected none")));
        }
        if self.time_shift_type != "exponential" {
            return Err(check.refuse(
                "time_shift_type",
                format!("{} is not supported; expected exponential", self.time_shift_type),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_settings_are_named() {
        SchedulerConfig::flux_dev().validate(Path::new("x")).unwrap();
        for (json, expected) in [
            (r#"{"use_karras_sigmas": true}"#, "x: use_karras_sigmas: true is not supported; expected false"),
            (r#"{"stochastic_sampling": true}"#, "stochastic_sampling: true"),
            (r#"{"shift": 0}"#, "shift: 0 is out of range"),
            (r#"{"base_image_seq_len": 4096}"#, "max_image_seq_len: 4096 is not above base_image_seq_len 4096"),
            (r#"{"shift_terminal": 0.1}"#, "shift_terminal: 0.1 is not supported; expected null"),
            (r#"{"time_shift_type": "linear"}"#, "time_shift_type: linear is not supported"),
            (r#"{"prediction_type": "epsilon"}"#, "prediction_type: epsilon is not supported"),
            (r#"{"num_train_timesteps": 0}"#, "num_train_timesteps: 0 is out of range"),
            (r#"{"_class_name": "DDIMScheduler"}"#, "_class_name: DDIMScheduler is not supported"),
        ] {
            let config: SchedulerConfig = serde_json::from_str(json).unwrap();
            let message = config.validate(Path::new("x")).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
