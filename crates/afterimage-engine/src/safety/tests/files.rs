//! Other types of numbers, and files that cannot be used.

use super::super::scaled_integers::ScaledIntegers;
use super::{check, open, picture, root, tiny};
use crate::safety::checkers::Checkers;
use crate::weights::{Component, SafetensorsFile, TensorFile, TensorSource, layout};
use afterimage_core::{Error, Picture, Result};
use afterimage_device::Cpu;
use afterimage_tensors::SharedBytes;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Tensors by name, as a file holds them.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn read(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    tensors.map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))).collect()
}

fn write(path: &Path, tensors: &Tensors) {
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// What is done to tensors.
type Spoil = Box<dyn Fn(&mut Tensors)>;

/// A copy of a tiny checker that can be spoilt.
struct Spoilt(TempDir);

impl Spoilt {
    fn copy(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "preprocessor_config.json", "model.safetensors"] {
            fs::copy(tiny(name).join(file), folder.path().join(file)).unwrap();
        }
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn json(self, file: &str, change: impl FnOnce(&mut Value)) -> Self {
        let mut value: Value = serde_json::from_slice(&fs::read(self.path(file)).unwrap()).unwrap();
        change(&mut value);
        fs::write(self.path(file), value.to_string()).unwrap();
        self
    }

    fn tensors(self, change: impl FnOnce(&mut Tensors)) -> Self {
        let path = self.path("model.safetensors");
        let mut tensors = read(&path);
        change(&mut tensors);
        write(&path, &tensors);
        self
    }

    /// The one line that it is refused with, the folder left out.
    fn refusal(&self) -> String {
        self.refusal_of(self.0.path())
    }

    fn refusal_of(&self, path: &Path) -> String {
        let error = open(Cpu::detect(), path).err().expect("refused");
        assert!(matches!(error, Error::ModelFile { .. } | Error::Tensor { .. }) && error.is_bad_input(), "{error:?}");
        let message = error.to_string();
        assert!(!message.contains('\n'), "{message}");
        message
            .replace(&format!("{}/", self.0.path().display()), "")
            .replace(&self.0.path().display().to_string(), "DIR")
    }
}

fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

#[test]
fn other_types_of_numbers_score_the_same() {
    for name in ["falconsai", "compvis"] {
        let picture = picture(&tiny("pictures").join("5.png"));
        let expected = check(&open(Cpu::detect(), &tiny(name)).unwrap(), &picture).unwrap();
        for dtype in [Dtype::F16, Dtype::BF16] {
            let smaller = Spoilt::copy(name).tensors(|tensors| {
                for (stored, _, bytes) in tensors.values_mut() {
                    let values = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                    *bytes = match dtype {
                        Dtype::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
                        _ => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
                    };
                    *stored = dtype;
                }
            });
            let found = check(&open(Cpu::detect(), smaller.0.path()).unwrap(), &picture).unwrap();
            let difference = (found.scores[0] - expected.scores[0]).abs();
            assert!(difference < if dtype == Dtype::F16 { 3e-3 } else { 3e-2 }, "{name} {dtype:?}: {difference:e}");
        }
    }
}

/// The embedded weights with all scales multiplied in.
fn expanded() -> Tensors {
    let bytes = SharedBytes::new(afterimage_open_nsfw::WEIGHTS);
    let file = SafetensorsFile::parse("x".into(), &bytes).unwrap();
    let shapes: Vec<(String, Vec<usize>)> =
        file.names().map(|name| (name.to_owned(), file.info(name).unwrap().shape.clone())).collect();
    let (_, source) = layout::checker(Arc::new(Component::single(Box::new(file)).unwrap())).unwrap();
    let source = ScaledIntegers(source);
    let tensors = shapes.into_iter().filter(|(name, _)| name.rsplit('.').next() != Some("scale"));
    tensors
        .map(|(name, shape)| {
            let values = source.values(&name, &shape).unwrap();
            (name, (Dtype::F32, shape, floats(values)))
        })
        .collect()
}

fn f16_of(bytes: &[u8]) -> Vec<u8> {
    let values = bytes.as_chunks::<4>().0.iter().map(|bytes| f16::from_f32(f32::from_le_bytes(*bytes)));
    values.flat_map(f16::to_le_bytes).collect()
}

#[test]
fn open_nsfw_files_of_every_type_score_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("i8.safetensors"), afterimage_open_nsfw::WEIGHTS).unwrap();
    let mut tensors = expanded();
    write(&path("f32.safetensors"), &tensors);
    for (dtype, _, bytes) in tensors.values_mut() {
        *dtype = Dtype::F16;
        *bytes = f16_of(bytes);
    }
    write(&path("f16.safetensors"), &tensors);
    let picture = picture(&root().join("cases/perturbed-middle.png"));
    let score = |name: &str| {
        let checkers = open(Cpu::detect(), &path(name)).unwrap();
        assert_eq!(checkers.names(), [format!("open_nsfw ({name})")]);
        check(&checkers, &picture).unwrap().scores[0]
    };
    let [i8, f32, f16] = ["i8.safetensors", "f32.safetensors", "f16.safetensors"].map(score);
    assert!((i8 - f32).abs() < 1e-12, "{i8} {f32}");
    assert!((i8 - f16).abs() < 2e-3, "{i8} {f16}");
}

#[test]
fn damaged_integers_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    fs::write(&path, afterimage_open_nsfw::WEIGHTS).unwrap();
    let whole = read(&path);
    let refusal = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = whole.clone();
        change(&mut tensors);
        write(&path, &tensors);
        open(Cpu::detect(), &path).err().expect("refused").to_string()
    };
    let scale = "stage3.block2.conv2.scale";
    let set = |value: f32| {
        move |tensors: &mut Tensors| tensors.get_mut(scale).unwrap().2[..4].copy_from_slice(&value.to_le_bytes())
    };
    let cases: [(Spoil, &str); 7] = [
        (Box::new(set(f32::NAN)), "stage3.block2.conv2.scale: expected finite numbers"),
        (Box::new(set(f32::MAX)), "stage3.block2.conv2.weight: expected finite numbers, found NaN or infinity"),
        (
            Box::new(|tensors| drop(tensors.remove(scale))),
            "stage3.block2.conv2.weight: expected [128, 128, 3, 3] in f32, bf16",
        ),
        (
            Box::new(|tensors| *tensors.get_mut(scale).unwrap() = (Dtype::F32, vec![64], vec![0; 256])),
            "stage3.block2.conv2.scale: expected [128]",
        ),
        (
            Box::new(|tensors| drop(tensors.insert("fc.scale".into(), (Dtype::F32, vec![2], vec![0; 8])))),
            "fc.weight: expected [2, 1024] in i8, since it has a scale, found [2, 1024] in f16",
        ),
        (
            Box::new(|tensors| drop(tensors.remove("fc.bias"))),
            "tensor fc.bias: expected [2] in f32, bf16, f16, fp8, GGUF's Q2_K to Q8_0 or IQ4_NL, found nothing",
        ),
        (
            Box::new(|tensors| tensors.get_mut("stage1.block1.conv1.weight").unwrap().1 = vec![64, 32, 1, 1]),
            "stage1.block1.conv1.weight: expected [32, 64, 1, 1]",
        ),
    ];
    for (change, expected) in cases {
        let message = refusal(&change);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_number_that_is_none_is_found_in_every_tensor() {
    for name in ["falconsai", "compvis-doubled"] {
        let whole = read(&tiny(name).join("model.safetensors"));
        let spoilt = Spoilt::copy(name);
        for (tensor, (dtype, _, bytes)) in &whole {
            if *dtype != Dtype::F32 {
                continue;
            }
            for bad in [f32::NAN, f32::NEG_INFINITY] {
                let mut tensors = whole.clone();
                tensors.get_mut(tensor).unwrap().2[bytes.len() - 4..].copy_from_slice(&bad.to_le_bytes());
                write(&spoilt.path("model.safetensors"), &tensors);
                let expected =
                    format!("model.safetensors: tensor {tensor}: expected finite numbers, found NaN or infinity");
                assert_eq!(spoilt.refusal(), expected);
            }
        }
    }
}

#[test]
fn overflow_while_looking_is_an_error() {
    let huge = |tensors: &mut Tensors, name: &str| {
        let bytes = &mut tensors.get_mut(name).unwrap().2;
        *bytes = floats(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes).signum() * 3e38));
    };
    let black = Picture::from_rgb(1, 1, vec![0; 3]).unwrap();
    for (name, tensor) in [
        ("falconsai", "classifier.weight"),
        ("falconsai", "vit.encoder.layer.0.intermediate.dense.weight"),
        // Infinite scores of an attention.
        ("falconsai", "vit.encoder.layer.1.attention.attention.query.weight"),
        ("compvis", "visual_projection.weight"),
        ("compvis", "vision_model.encoder.layers.1.mlp.fc2.weight"),
    ] {
        let spoilt = Spoilt::copy(name).tensors(|tensors| huge(tensors, tensor));
        let looked = check(&open(Cpu::detect(), spoilt.0.path()).unwrap(), &black);
        let Err(Error::SafetyChecker { problem }) = looked else { panic!("{name} {tensor}: {looked:?}") };
        assert!(problem.contains("made NaN in place of a score"), "{problem}");
    }
    // A convolution whose output overflows, behind a ReLU and a pool.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open_nsfw.safetensors");
    for tensor in ["conv1.weight", "stage2.block3.conv2.weight", "fc.weight"] {
        let mut tensors = expanded();
        huge(&mut tensors, tensor);
        write(&path, &tensors);
        let looked: Result<_> = check(&open(Cpu::detect(), &path).unwrap(), &black);
        assert!(matches!(looked, Err(Error::SafetyChecker { .. })), "{tensor}: {looked:?}");
    }
}

#[test]
fn configurations_that_do_not_fit_are_named() {
    let config = |name: &str, change: &dyn Fn(&mut Value)| Spoilt::copy(name).json("config.json", change).refusal();
    for (change, expected) in [
        (
            json!({"id2label": {"0": "normal", "1": "sexy"}}),
            "config.json: id2label: expected a label nsfw, found normal, sexy",
        ),
        (json!({"id2label": {"0": "nsfw", "1": "NSFW"}}), "config.json: id2label: more than one label nsfw"),
        (json!({"id2label": {"0": "nsfw", "00": "x"}}), "config.json: id2label: \"00\" is not an index"),
        (json!({"id2label": {}}), "config.json: id2label: expected a label nsfw, found no labels"),
        (
            json!({"id2label": {"0": "normal", "7": "nsfw"}}),
            "config.json: id2label: \"7\" is not an index of one of 2 labels",
        ),
        (
            json!({"id2label": {"0": "a", "1": "nsfw", "2": "b"}}),
            "tensor classifier.weight: expected [3, 32] in f32, bf16, f16, fp8, GGUF's Q2_K to Q8_0 or IQ4_NL, found [2, 32]",
        ),
        (
            json!({"model_type": "swin"}),
            "config.json: model_type: swin is no safety checker; expected vit (Falconsai) or clip",
        ),
        (json!({"model_type": "clip"}), "config.json: model_type: clip contradicts the weights; expected vit"),
        (
            json!({"hidden_size": 64}),
            "tensor vit.embeddings.patch_embeddings.projection.weight: expected [64, 3, 8, 8]",
        ),
        (json!({"hidden_size": "x"}), "config.json: hidden_size: invalid type"),
        (
            json!({"num_hidden_layers": 1}),
            "config.json: num_hidden_layers: 1 contradicts the weights, where tensor vit.encoder.layer.1.",
        ),
        (json!({"num_hidden_layers": 3}), "tensor vit.encoder.layer.2."),
        (json!({"hidden_act": "relu"}), "config.json: hidden_act: unknown variant `relu`"),
        (json!({"layer_norm_eps": 0}), "config.json: layer_norm_eps: 0 is out of range"),
        (json!({"qkv_bias": false}), "config.json: qkv_bias: false is not supported"),
        (
            json!({"image_size": 64}),
            "preprocessor_config.json: size: 32x32 does not fit the network's image_size; expected 64x64",
        ),
        (
            json!({"patch_size": 16}),
            "tensor vit.embeddings.patch_embeddings.projection.weight: expected [32, 3, 16, 16]",
        ),
    ] {
        let message = config("falconsai", &|value| {
            for (key, change) in change.as_object().unwrap() {
                value[key] = change.clone();
            }
        });
        assert!(message.contains(expected), "{message}\nexpected {expected}");
    }
    let message = config("falconsai", &|value| drop(value.as_object_mut().unwrap().remove("id2label")));
    assert!(message.contains("config.json: id2label: expected a label nsfw, found no labels"), "{message}");
    for (change, expected) in [
        (json!({"projection_dim": 25}), "tensor visual_projection.weight: expected [25, 32]"),
        (
            json!({"vision_config": {"hidden_size": 33}}),
            "config.json: num_attention_heads: 12 does not divide hidden_size 33",
        ),
        (json!({"model_type": "vit"}), "config.json: model_type: vit contradicts the weights; expected clip"),
    ] {
        let message = config("compvis", &|value| {
            for (key, change) in change.as_object().unwrap() {
                value[key] = change.clone();
            }
        });
        assert!(message.contains(expected), "{message}\nexpected {expected}");
    }
    let message =
        Spoilt::copy("compvis").json("preprocessor_config.json", |value| value["resample"] = json!(0)).refusal();
    assert!(message.starts_with("preprocessor_config.json: resample: 0 is not supported"), "{message}");
    let tiny_deviation = json!([1e-40, 1e-40, 1e-40]);
    let message = Spoilt::copy("falconsai")
        .json("preprocessor_config.json", |value| value["image_std"] = tiny_deviation)
        .refusal();
    assert!(message.starts_with("preprocessor_config.json: image_std: makes pixels of "), "{message}");
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let spoilt = |name: &str, change: &dyn Fn(&mut Tensors)| Spoilt::copy(name).tensors(change).refusal();
    let without = |name: &str, tensor: &str| spoilt(name, &|tensors| drop(tensors.remove(tensor).unwrap()));
    for (name, tensor) in [
        ("falconsai", "classifier.weight"),
        ("falconsai", "vit.embeddings.cls_token"),
        ("falconsai", "vit.encoder.layer.1.attention.attention.key.bias"),
        ("compvis", "concept_embeds"),
        ("compvis", "special_care_embeds_weights"),
        ("compvis", "vision_model.pre_layrnorm.weight"),
        ("compvis-doubled", "vision_model.vision_model.embeddings.class_embedding"),
    ] {
        let message = without(name, tensor);
        assert!(
            message.contains(&format!("tensor {tensor}: expected [")) && message.ends_with("found nothing"),
            "{message}"
        );
    }
    let message = spoilt("compvis", &|tensors| {
        *tensors.get_mut("concept_embeds").unwrap() = (Dtype::F32, vec![16, 24], vec![0; 4 * 16 * 24]);
    });
    assert!(
        message.contains(
            "tensor concept_embeds: expected [17, 24] in f32, bf16, f16, fp8, GGUF's Q2_K to Q8_0 or IQ4_NL, found [16, 24]"
        ),
        "{message}"
    );
}

#[test]
fn what_is_no_checker_is_refused() {
    let none = Spoilt::copy("falconsai");
    let refusal = |path: PathBuf| none.refusal_of(&path);
    let flux = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/bundles/dev/base");
    let message = refusal(flux.clone());
    assert!(message.contains("base: holds a pipeline (model_index.json), not a safety checker"), "{message}");
    let message = refusal(flux.join("transformer"));
    assert!(
        message.contains("transformer/diffusion_pytorch_model.safetensors: is not a safety checker: looked for"),
        "{message}"
    );
    assert!(message.contains("concept_embeds (CompVis)"), "{message}");
    let message = refusal(flux.join("text_encoder"));
    assert!(
        message.contains("text_encoder/config.json: model_type: clip_text_model is no safety checker"),
        "{message}"
    );
    assert!(refusal(none.path("none")).ends_with("none: no such file"));
    fs::remove_file(none.path("preprocessor_config.json")).unwrap();
    assert_eq!(none.refusal(), "preprocessor_config.json: no such file");
    fs::remove_file(none.path("config.json")).unwrap();
    assert_eq!(none.refusal(), "config.json: no such file");
    let weights = fs::read(none.path("model.safetensors")).unwrap();
    fs::write(none.path("model.safetensors"), &weights[..weights.len() - 9]).unwrap();
    assert!(none.refusal().starts_with("model.safetensors: is truncated"));
    fs::remove_file(none.path("model.safetensors")).unwrap();
    fs::write(none.path("pytorch_model.bin"), b"PK\x03\x04").unwrap();
    assert!(none.refusal().starts_with("DIR: has only pytorch_model.bin, a PyTorch pickle"));
}
