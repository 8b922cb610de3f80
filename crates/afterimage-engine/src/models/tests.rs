//! The encoders and the tiled autoencoder against the numbers that Python diffusers recorded.

use super::vae::{Autoencoder, Tensor3};
use super::*;
use crate::config::VaeConfig;
use crate::parity::{Case, Recorded, cases, component, relative_difference};
use crate::weights::layout;
use afterimage_core::Picture;
use afterimage_device::Cpu;
use safetensors::SafeTensors;
use std::path::PathBuf;
use std::sync::Arc;

/// What the project promises for every intermediate tensor.
const TOLERANCE: f32 = 1e-4;

fn check(case: &Case, name: &str, found: &[f32], expected: &Recorded) {
    let difference = relative_difference(found, &expected.values);
    println!("{} {name}: {difference:.1e}", case.name);
    assert!(difference <= TOLERANCE, "{} {name}: {difference:e}", case.name);
}

fn ids(recorded: &Recorded) -> Vec<u32> {
    recorded.values.iter().map(|value| *value as u32).collect()
}

fn cpu() -> Arc<Cpu> {
    Arc::new(Cpu::detect())
}

fn clip(case: &Case) -> ClipTextModel<Cpu> {
    let folder = case.folder("base").folder("text_encoder");
    let weights = layout::clip(component(&folder)).unwrap().scope();
    ClipTextModel::load(&cpu(), &weights, ClipTextConfig::read(&folder).unwrap()).unwrap()
}

fn t5(case: &Case) -> T5Encoder<Cpu> {
    let folder = case.folder("base").folder("text_encoder_2");
    let weights = layout::t5(component(&folder)).unwrap().scope();
    T5Encoder::load(&cpu(), &weights, T5Config::read(&folder).unwrap()).unwrap()
}

#[test]
fn clip_pools_what_diffusers_pools() {
    let mut compared = 0;
    for case in cases() {
        let (Some(recorded), Some(expected)) = (case.tensor("clip_ids"), case.tensor("clip_pooled")) else { continue };
        check(&case, "clip_pooled", &clip(&case).pooled(&ids(recorded)).unwrap(), expected);
        compared += 1;
    }
    assert!(compared >= 7);
}

#[test]
fn t5_encodes_what_diffusers_encodes() {
    let mut compared = 0;
    for case in cases() {
        let (Some(recorded), Some(expected)) = (case.tensor("t5_ids"), case.tensor("t5_out")) else { continue };
        check(&case, "t5_out", &t5(&case).encode(&ids(recorded)).unwrap(), expected);
        compared += 1;
    }
    assert!(compared >= 4);
}

#[test]
fn siglip_and_redux_give_diffusers_tokens() {
    let mut compared = 0;
    for case in cases() {
        let Some(pixels) = case.tensor("siglip_pixels_u8") else { continue };
        let redux = case.folder("redux");
        let folder = redux.folder("image_encoder");
        let config = SiglipConfig::read(&folder).unwrap();
        let preprocessor = SiglipPreprocessor::read(&redux.folder("feature_extractor"), config.image_size).unwrap();
        let weights = layout::siglip(component(&folder)).unwrap().scope();
        let siglip = SiglipVisionModel::load(&cpu(), &weights, config).unwrap();

        let side = pixels.shape[0] as u32;
        let bytes = pixels.values.iter().map(|value| *value as u8).collect();
        let picture = Picture::from_rgb(side, side, bytes).unwrap();
        let tokens = siglip.encode(&preprocessor.planes(&picture).unwrap()).unwrap();
        check(&case, "siglip_tokens", &tokens, case.tensor("siglip_tokens").unwrap());

        let folder = redux.folder("image_embedder");
        let weights = layout::redux(component(&folder)).unwrap().scope();
        let embedder = ReduxEmbedder::load(&cpu(), &weights, ReduxConfig::read(&folder).unwrap()).unwrap();
        check(&case, "redux_tokens", &embedder.embed(&tokens).unwrap(), case.tensor("redux_tokens").unwrap());
        compared += 1;
    }
    assert!(compared >= 2);
}

#[test]
fn foreign_ids_and_lengths_are_refused() {
    let case = cases().into_iter().find(|case| case.bundle == "dev").unwrap();
    let (clip, t5) = (clip(&case), t5(&case));
    let rows = clip.config().vocab_size as u32;
    let message = clip.pooled(&[0, rows, 0]).unwrap_err().to_string();
    assert!(message.contains("config.json: vocab_size: 814 is too small for token 814"), "{message}");
    assert!(clip.pooled(&[]).is_err());
    assert!(clip.pooled(&[1; 78]).is_err());
    assert!(t5.encode(&[u32::MAX]).is_err());
    assert_eq!(t5.encode(&[]).unwrap().len(), 0);
    assert_eq!(t5.encode(&[1]).unwrap().len(), t5.config().d_model);
}

#[test]
fn a_wrong_width_names_the_tensor() {
    let case = cases().into_iter().find(|case| case.bundle == "dev").unwrap();
    let folder = case.folder("base").folder("text_encoder_2");
    let weights = layout::t5(component(&folder)).unwrap().scope();
    let mut config = T5Config::read(&folder).unwrap();
    config.d_ff = 97;
    let message = T5Encoder::load(&cpu(), &weights, config).err().unwrap().to_string();
    assert!(message.contains("encoder.block.0.layer.1.DenseReluDense.wi_0.weight"), "{message}");
    assert!(message.contains("97") && message.contains("96"), "{message}");
}

#[test]
fn tiles_are_those_of_diffusers() {
    let case = cases().into_iter().find(|case| case.name == "vary-plain").unwrap();
    let folder = case.folder("base").folder("vae");
    let config = VaeConfig { sample_size: 64, ..VaeConfig::read(&folder).unwrap() };
    let scope = layout::vae(component(&folder)).unwrap().scope();
    let autoencoder = Autoencoder::load(&cpu(), &scope, config, true).unwrap().with_activation_budget(0);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiled_vae.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str| {
        let view = file.tensor(name).unwrap();
        let data = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let [channels, height, width] = view.shape().try_into().unwrap();
        Tensor3 { data, channels, height, width }
    };
    // The recorded latents are unscaled; `decode` takes scaled ones.
    let mut latents = tensor("latents");
    autoencoder.scale(&mut latents.data);
    let decoded = autoencoder.decode(&latents, &|| Ok(())).unwrap();
    let mean = autoencoder.encode(tensor("pixels"), &|| Ok(())).unwrap().mean;
    for (name, found) in [("decoded", decoded), ("mean", mean)] {
        let expected = tensor(name);
        assert_eq!((found.channels, found.height, found.width), (expected.channels, expected.height, expected.width));
        let difference = relative_difference(&found.data, &expected.data);
        println!("tiled {name}: {difference:.1e}");
        assert!(difference < TOLERANCE, "tiled {name}: {difference}");
    }
}
