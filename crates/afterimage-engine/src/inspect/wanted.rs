//! The tensors that each model needs, in the order in which its constructor asks for them.

use crate::config::{FluxConfig, VaeConfig};
use crate::models::flux::FluxTransformer;
use crate::models::vae::Autoencoder;
use crate::models::{
    ClipTextConfig, ClipTextModel, ReduxConfig, ReduxEmbedder, SiglipConfig, SiglipVisionModel, T5Config, T5Encoder,
};
use crate::weights::{Wanted, record};
use afterimage_core::Result;
use afterimage_device::Cpu;
use std::sync::Arc;

/// What was asked for, and the error that ended the asking early: see [`record`].
pub type WantedTensors = (Vec<Wanted>, Result<()>);

/// Whoever asks for tensors needs a device; the processor leaves weights where they are.
fn device() -> Arc<Cpu> {
    Arc::new(Cpu::detect())
}

/// The FLUX transformer's tensors, by BFL's names.
pub fn flux(config: &FluxConfig) -> WantedTensors {
    record(|scope| FluxTransformer::load(&device(), scope, config.clone()))
}

/// The VAE's tensors, by diffusers' names.
pub fn vae(config: &VaeConfig) -> WantedTensors {
    record(|scope| Autoencoder::load(&device(), scope, config.clone(), true))
}

/// T5's tensors, by transformers' names.
pub fn t5(config: T5Config) -> WantedTensors {
    record(|scope| T5Encoder::load(&device(), scope, config))
}

/// CLIP's tensors, by transformers' names without `text_model.`.
pub fn clip(config: ClipTextConfig) -> WantedTensors {
    record(|scope| ClipTextModel::load(&device(), scope, config))
}

/// The tensors of SigLIP's tower, by transformers' names without `vision_model.`.
pub fn siglip(config: SiglipConfig) -> WantedTensors {
    record(|scope| SiglipVisionModel::load(&device(), scope, config))
}

/// Redux's tensors.
pub fn redux(config: ReduxConfig) -> WantedTensors {
    record(|scope| ReduxEmbedder::load(&device(), scope, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tensors and numbers in them.
    fn counts((wanted, result): WantedTensors) -> (usize, usize) {
        result.unwrap();
        (wanted.len(), wanted.iter().map(Wanted::numbers).sum())
    }

    fn config<T: serde::de::DeserializeOwned>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn full_size_counts_are_those_of_the_published_files() {
        let dev = FluxConfig { guidance_embeds: true, ..FluxConfig::default() };
        assert_eq!(counts(flux(&dev)), (780, 11_901_408_320));
        assert_eq!(counts(flux(&FluxConfig::default())), (776, 11_891_178_560));
        assert_eq!(counts(vae(&VaeConfig::flux())).1, 83_819_683);
        let large = r#"{"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}"#;
        assert_eq!(counts(t5(config(large))), (219, 4_762_310_656));
        let large = r#"{"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
            "num_attention_heads": 16, "image_size": 384, "patch_size": 14}"#;
        assert_eq!(counts(siglip(config(large))).1, 412_987_248);
        let large = r#"{"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}"#;
        assert_eq!(counts(clip(config(large))).1, 123_060_480);
        assert_eq!(counts(redux(ReduxConfig::default())), (4, 64_503_808));
    }

    #[test]
    fn the_largest_valid_configuration_is_refused_without_its_memory() {
        let axes = "[16, 56, 56]";
        let json = format!(
            r#"{{"num_layers": 256, "num_single_layers": 256, "num_attention_heads": 512, "axes_dims_rope": {axes}}}"#
        );
        let config: FluxConfig = config(&json);
        config.validate(std::path::Path::new("config.json")).unwrap();
        let (wanted, result) = flux(&config);
        assert!(wanted.len() > 500, "{}", wanted.len());
        assert!(result.unwrap_err().to_string().contains("is more than any known model needs"));
    }
}
