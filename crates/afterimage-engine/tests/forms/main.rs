//! The same weights in every form in which people have them give the same picture.

#![allow(clippy::unwrap_used, reason = "helper functions of tests may panic as tests do")]

mod write;

use afterimage_core::{GenerationRequest, Picture, PictureLimits, Result, Size, Task, VariationSettings};
use afterimage_engine::config::FluxConfig;
use afterimage_engine::inspect::{shapes, wanted};
use afterimage_engine::weights::{Bundle, Component, LayoutSource, Wanted, layout};
use afterimage_engine::{DtypeChoice, Engine, EngineOptions, Silent};
use afterimage_imaging::{Filter, read_file, resize};
use afterimage_tensors::Element;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use write::{Weights, decoded, gguf, plain, random_blocks, renamed, safetensors, values};

fn parity() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity")
}

/// The folder `name` of the small dev-like model.
fn dev(name: &str) -> PathBuf {
    parity().join("bundles/dev").join(name)
}

/// A folder with a copy of the small model's base that has no weights, and room for files.
fn base_without_weights() -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten() {
            let (path, target) = (entry.path(), to.join(entry.file_name()));
            if path.is_dir() {
                copy(&path, &target);
            } else if path.extension().is_none_or(|ending| ending != "safetensors") {
                fs::copy(path, target).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&dev("base"), &folder.path().join("base"));
    folder
}

/// All tensors of a part under canonical names, in f32.
fn canonical(folder: &str, open: fn(Arc<Component>) -> Result<LayoutSource>) -> Weights {
    let source = open(Arc::new(Component::open(&Bundle::open(dev(folder)).unwrap()).unwrap())).unwrap();
    let (wanted, ended) = match folder {
        "base/transformer" => wanted::flux(&FluxConfig::read(&Bundle::open(dev(folder)).unwrap()).unwrap()),
        "base/vae" => wanted::vae(&shapes::vae(&source).unwrap()),
        "base/text_encoder" => wanted::clip(shapes::clip(&source).unwrap()),
        "base/text_encoder_2" => wanted::t5(shapes::t5(&source).unwrap()),
        "redux/image_encoder" => wanted::siglip(shapes::siglip(&source).unwrap()),
        _ => wanted::redux(shapes::redux(&source).unwrap()),
    };
    ended.unwrap();
    let scope = source.scope();
    wanted
        .into_iter()
        .map(|Wanted { name, shape }| {
            let values = scope.values(&name, &shape).unwrap();
            (name.clone(), plain(&name, &shape, Element::F32, &values))
        })
        .collect()
}

fn transformer() -> Weights {
    canonical("base/transformer", layout::flux)
}

/// The small model as it is.
fn options() -> EngineOptions {
    EngineOptions { base: Some(dev("base")), redux: Some(dev("redux")), ..EngineOptions::default() }
}

fn variation(options: &EngineOptions) -> Result<Picture> {
    let picture = read_file(&parity().join("cases/vary-plain/input.png"), &PictureLimits::default()).unwrap().picture;
    let size = Size::new(64, 64);
    let picture = resize(&picture, size, Filter::Lanczos).unwrap();
    let request = GenerationRequest {
        prompt: Some("a lake".to_owned()),
        size: Some(size),
        steps: 2,
        seed: Some(7),
        ..GenerationRequest::new(Task::Variation(VariationSettings::default()))
    };
    // Numbers are compared with what files hold: nothing else may round them.
    let options = EngineOptions { dtype: DtypeChoice::F32, ..options.clone() };
    let mut generation = Engine::open(&options)?.generate(&request, &[picture], &Silent)?;
    Ok(generation.pictures.remove(0))
}

/// Peak signal-to-noise ratio in dB.
fn psnr(one: &Picture, other: &Picture) -> f64 {
    let squares = one.rgb().iter().zip(other.rgb()).map(|(one, other)| f64::from(one.abs_diff(*other)).powi(2));
    10.0 * (255.0_f64.powi(2) / (squares.sum::<f64>() / one.rgb().len() as f64)).log10()
}

/// The pictures of two sets of files agree as far as sums in another order let them.
fn assert_same(one: &EngineOptions, other: &EngineOptions, what: &str) {
    let agreement = psnr(&variation(one).unwrap(), &variation(other).unwrap());
    assert!(agreement >= 60.0, "{what}: {agreement:.1} dB");
}

/// A matrix inside a block of the transformer or of T5, which is what gets quantised.
fn is_in_block(name: &str, shape: &[usize]) -> bool {
    shape.len() == 2
        && name.contains(".weight")
        && (name.contains("_blocks.") || name.contains("encoder.block."))
        && !name.contains("relative_attention_bias")
}

/// `weights` with random blocks of `elements` in turn where rows are whole blocks, and numbers of 16 and 32 bits elsewhere.
fn quantised(weights: &Weights, elements: &[Element]) -> Weights {
    let mut turn = 0;
    let change = |(name, tensor): (&String, &afterimage_tensors::StoredTensor)| {
        let shape = tensor.shape();
        turn += 1;
        let element = elements[turn % elements.len()];
        let whole = shape.last().is_some_and(|cols| cols.is_multiple_of(element.block()));
        let changed = if is_in_block(name, shape) && whole {
            random_blocks(name, shape, element, turn as u64)
        } else {
            let plain_elements = [Element::F32, Element::F16, Element::Bf16];
            plain(name, shape, plain_elements[turn % 3], &values(tensor))
        };
        (name.clone(), changed)
    };
    weights.iter().map(change).collect()
}

#[test]
fn gguf_files_of_every_type_are_worth_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (file, reference) = (folder.path().join("x.gguf"), folder.path().join("x.safetensors"));
    let small = [Element::Q8_0, Element::Q4_0, Element::Q4_1, Element::Q5_0, Element::Q5_1, Element::Iq4Nl];
    let large = [Element::Q2K, Element::Q3K, Element::Q4K, Element::Q5K, Element::Q6K];
    for (elements, prefix) in [(&small[..], ""), (&large[..], "model.diffusion_model.")] {
        let weights = quantised(&transformer(), elements);
        let used = |element: &Element| weights.values().any(|tensor| tensor.element() == *element);
        assert!(elements.iter().filter(|element| used(element)).count() >= 3, "types in use");
        gguf(&file, &renamed(&weights, |name| format!("{prefix}{name}")));
        safetensors(&reference, &decoded(&weights), None);
        let with = |path: &Path| EngineOptions { transformer: Some(path.to_owned()), ..options() };
        assert_same(&with(&file), &with(&reference), prefix);
    }
}

#[test]
fn a_t5_in_llama_cpps_names_is_read() {
    let weights = quantised(&canonical("base/text_encoder_2", layout::t5), &[Element::Q8_0]);
    assert!(weights.values().any(|tensor| tensor.element() == Element::Q8_0));
    let folder = tempfile::tempdir().unwrap();
    let (file, reference) = (folder.path().join("t5.gguf"), folder.path().join("t5.safetensors"));
    gguf(&file, &renamed(&weights, llama_name));
    safetensors(&reference, &decoded(&weights), None);
    let with = |path: &Path| EngineOptions { t5: Some(path.to_owned()), ..options() };
    assert_same(&with(&file), &with(&reference), "T5");
    assert!(psnr(&variation(&with(&file)).unwrap(), &variation(&options()).unwrap()) < 60.0, "T5 matters");
}

/// By plain replacement, in the order of llama.cpp's table.
fn llama_name(name: &str) -> String {
    name.replace("shared.", "token_embd.")
        .replace("encoder.final_layer_norm", "enc.output_norm")
        .replace("encoder.block.", "enc.blk.")
        .replace("layer.0.SelfAttention.relative_attention_bias", "attn_rel_b")
        .replace("layer.0.SelfAttention.", "attn_")
        .replace("layer.0.layer_norm", "attn_norm")
        .replace("layer.1.DenseReluDense.wi_0", "ffn_gate")
        .replace("layer.1.DenseReluDense.wi_1", "ffn_up")
        .replace("layer.1.DenseReluDense.wo", "ffn_down")
        .replace("layer.1.layer_norm", "ffn_norm")
}

#[test]
fn fp8_files_with_and_without_scales_are_worth_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (file, reference) = (folder.path().join("fp8.safetensors"), folder.path().join("f32.safetensors"));
    let weights = transformer();
    let with = |path: &Path| EngineOptions { transformer: Some(path.to_owned()), ..options() };
    for form in ["plain", "scale_weight", "weight_scale", "float8_data"] {
        let (mut stored, mut worth, mut layers) = (Weights::new(), Weights::new(), Vec::new());
        for (number, (name, tensor)) in weights.iter().enumerate() {
            let element = if number % 2 == 0 { Element::F8E4M3 } else { Element::F8E5M2 };
            if !is_in_block(name, tensor.shape()) {
                let tensor = plain(name, tensor.shape(), Element::Bf16, &values(tensor));
                worth.insert(name.clone(), tensor.clone());
                stored.insert(name.clone(), tensor);
                continue;
            }
            let layer = name.strip_suffix(".weight").unwrap();
            layers.push(format!("\"{layer}\": {{\"format\": \"float8_e4m3fn\"}}"));
            let scale = if form == "plain" { 1.0 } else { 0.5_f32.powi(7 + number as i32 % 3) };
            let divided: Vec<f32> = values(tensor).iter().map(|value| value / scale).collect();
            let eight = plain(name, tensor.shape(), element, &divided);
            worth.insert(name.clone(), eight.clone().with_scale(scale));
            let (data, beside) = match form {
                "plain" => (name.clone(), None),
                "float8_data" => (format!("{layer}.float8_data"), Some((format!("{layer}.scale"), 1.0 / scale))),
                _ => (name.clone(), Some((format!("{layer}.{form}"), scale))),
            };
            stored.insert(data, eight);
            stored.extend(beside.map(|(name, value)| (name.clone(), plain(&name, &[], Element::F32, &[value]))));
        }
        if form == "scale_weight" {
            stored.insert("scaled_fp8".to_owned(), plain("scaled_fp8", &[0], Element::F8E4M3, &[]));
        }
        let header = format!("{{\"format_version\": \"1.0\", \"layers\": {{{}}}}}", layers.join(", "));
        let metadata = HashMap::from([("_quantization_metadata".to_owned(), header)]);
        safetensors(&file, &stored, (form == "weight_scale").then_some(metadata));
        safetensors(&reference, &decoded(&worth), None);
        assert_same(&with(&file), &with(&reference), form);
    }
}

#[test]
fn an_all_in_one_checkpoint_fills_a_base_without_weights() {
    let folder = base_without_weights();
    let mut all = renamed(&transformer(), |name| format!("model.diffusion_model.{name}"));
    let mut add = |prefix: &str, weights: Weights| all.extend(renamed(&weights, |name| format!("{prefix}{name}")));
    add("vae.", canonical("base/vae", layout::vae));
    add("text_encoders.clip_l.transformer.text_model.", canonical("base/text_encoder", layout::clip));
    add("text_encoders.t5xxl.transformer.", canonical("base/text_encoder_2", layout::t5));
    let file = folder.path().join("all.safetensors");
    safetensors(&file, &all, None);
    let named = EngineOptions {
        base: Some(folder.path().join("base")),
        transformer: Some(file.clone()),
        redux: Some(dev("redux")),
        ..EngineOptions::default()
    };
    assert_same(&named, &options(), "all in one");

    // Named one by one, the parts need not be missing in the base.
    let [t5, clip, vae] = [(); 3].map(|()| Some(file.clone()));
    assert_same(&EngineOptions { t5, clip, vae, transformer: Some(file), ..options() }, &options(), "each by its flag");
}

#[test]
fn redux_and_its_tower_may_be_single_files() {
    let folder = tempfile::tempdir().unwrap();
    let (redux, tower) = (folder.path().join("redux.safetensors"), folder.path().join("tower/siglip.safetensors"));
    safetensors(&redux, &canonical("redux/image_embedder", layout::redux), None);
    let weights = canonical("redux/image_encoder", layout::siglip);
    safetensors(&tower, &renamed(&weights, |name| format!("vision_model.{name}")), None);
    let base = options();
    let named = EngineOptions { redux: Some(redux.clone()), image_encoder: Some(tower.clone()), ..base.clone() };
    // The number of heads of a small tower is nowhere in its shapes.
    let message = variation(&named).unwrap_err().to_string();
    assert!(message.contains("siglip.safetensors: its shapes do not tell all of its sizes"), "{message}");
    fs::copy(dev("redux/image_encoder/config.json"), tower.with_file_name("config.json")).unwrap();
    assert_same(&named, &base, "Redux as files");
    let message = variation(&EngineOptions { redux: Some(redux), ..base }).unwrap_err().to_string();
    assert!(message.contains("is the adapter alone; name SigLIP's vision tower as well"), "{message}");
}

#[test]
fn a_transformer_may_have_another_depth_and_no_guidance() {
    let folder = tempfile::tempdir().unwrap();
    let mut weights = transformer();
    weights.retain(|name, _| !name.starts_with("guidance_in.") && !name.starts_with("single_blocks.1."));
    let file = folder.path().join("schnell.safetensors");
    safetensors(&file, &weights, None);
    // The same in a base of its own, whose configuration says so.
    let own = base_without_weights();
    let base = own.path().join("base");
    let config = base.join("transformer/config.json");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("\"guidance_embeds\": true", "\"guidance_embeds\": false");
    fs::write(&config, text.replace("\"num_single_layers\": 2", "\"num_single_layers\": 1")).unwrap();
    safetensors(&base.join("transformer/diffusion_pytorch_model.safetensors"), &weights, None);
    for part in ["vae", "text_encoder", "text_encoder_2"] {
        for entry in fs::read_dir(dev("base").join(part)).unwrap().flatten() {
            fs::copy(entry.path(), base.join(part).join(entry.file_name())).unwrap();
        }
    }
    let own = EngineOptions { base: Some(base), ..options() };
    assert_same(&EngineOptions { transformer: Some(file), ..options() }, &own, "another depth");
}

#[test]
fn a_folder_of_the_hubs_cache_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let cached = folder.path().join("models--owner--dev");
    fs::create_dir_all(cached.join("snapshots")).unwrap();
    fs::create_dir_all(cached.join("refs")).unwrap();
    fs::write(cached.join("refs/main"), "0123abc").unwrap();
    let snapshot = cached.join("snapshots/0123abc");
    copy_into_cache(&dev("base"), &snapshot, &cached.join("blobs"));
    assert_same(&EngineOptions { base: Some(cached.clone()), ..options() }, &options(), "the cache's folder");
    assert_same(&EngineOptions { base: Some(snapshot), ..options() }, &options(), "a snapshot");
}

/// Copies a folder as the hub's cache keeps it: files are links into a folder of blobs.
fn copy_into_cache(from: &Path, to: &Path, blobs: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::create_dir_all(blobs).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_into_cache(&entry.path(), &target, blobs);
            continue;
        }
        let blob = blobs.join(fs::read_dir(blobs).unwrap().count().to_string());
        fs::copy(entry.path(), &blob).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&blob, &target).unwrap();
        #[cfg(not(unix))]
        fs::copy(&blob, &target).unwrap();
    }
}
