//! Files that are refused, each with one line that names file and tensor.

use super::write::{Weights, plain, safetensors};
use super::{file, message, read};
use afterimage_engine::inspect::ComponentKind;
use afterimage_engine::weights::lora::LoraPart;
use afterimage_tensors::Element;
use std::collections::HashMap;
use std::fs;
use tempfile::TempDir;

fn write(folder: &TempDir, tensors: &[(&str, &[usize])]) -> std::path::PathBuf {
    let path = folder.path().join("x.safetensors");
    let tensor = |(name, shape): &(&str, &[usize])| {
        let numbers = vec![0.5; shape.iter().product()];
        ((*name).to_owned(), plain(name, shape, Element::F32, &numbers))
    };
    safetensors(&path, &tensors.iter().map(tensor).collect::<Weights>(), None);
    path
}

/// A pair for `img_in`, whose layer is 64 × 64.
const DOWN: (&str, &[usize]) = ("img_in.lora_A.weight", &[2, 64]);
const UP: (&str, &[usize]) = ("img_in.lora_B.weight", &[64, 2]);

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (tensors, expected) in [
        (
            vec![DOWN, ("img_in.lora_B.weight", &[64, 3])],
            "img_in.lora_B.weight: expected rank 2, as img_in.lora_A.weight has, found rank 3",
        ),
        (
            vec![("img_in.lora_A.weight", &[2, 128]), UP],
            "img_in.lora_A.weight: expected [2, 64], since the model's layer is 64x64, found [2, 128]",
        ),
        (vec![DOWN, ("img_in.lora_B.weight", &[32, 2])], "img_in.lora_B.weight: expected [64, 2]"),
        (vec![DOWN], "img_in.lora_A.weight: expected the other matrix of its pair beside it, found none"),
        (vec![UP], "img_in.lora_B.weight: expected the other matrix"),
        (vec![("img_in.alpha", &[1])], "img_in.alpha: expected a pair of matrices beside it"),
        (vec![DOWN, UP, ("img_in.alpha", &[2])], "img_in.alpha: expected one number, found 2 numbers"),
        (
            vec![
                ("double_blocks.7.img_mlp.0.lora_A.weight", &[2, 64]),
                ("double_blocks.7.img_mlp.0.lora_B.weight", &[256, 2]),
            ],
            "double_blocks.7.img_mlp.0.lora_A.weight: expected a layer of this model's transformer, found none of that name",
        ),
        (
            vec![("lora_te1_x.lora_down.weight", &[2, 4]), ("lora_te1_x.lora_up.weight", &[4, 2])],
            "a layer of this model's CLIP text encoder",
        ),
        (vec![DOWN, UP, ("img_in.dora_scale", &[64])], "img_in.dora_scale: expected a pair of low rank"),
        (vec![("lycoris_x.lokr_w1", &[2, 2])], "found a LoKr (Kronecker products)"),
        (vec![("lora_unet_x.hada_w1_a", &[2, 2])], "found a LoHa (Hadamard products)"),
        (
            vec![("lora_unet_x.lora_down.weight", &[2, 4, 3, 3]), ("lora_unet_x.lora_up.weight", &[4, 2, 1, 1])],
            "a convolution's",
        ),
        (
            vec![DOWN, UP, ("double_blocks.0.img_attn.norm.query_norm.scale", &[32])],
            "found the norms of a control LoRA",
        ),
        (vec![("double_blocks.0.img_attn.qkv.weight", &[192, 64])], "found no tensor of a LoRA"),
        (vec![DOWN, UP, ("img_in.lora_B.bias", &[32])], "img_in.lora_B.bias: expected [64]"),
        (
            vec![("img_in.lora_A.weight", &[0, 64]), ("img_in.lora_B.weight", &[64, 0])],
            "expected a rank of 1 to 16384, found rank 0",
        ),
        (vec![DOWN, UP, ("img_in.lora_down.weight", &[2, 64])], "expected one tensor of its kind for a layer"),
    ] {
        let path = write(&folder, &tensors);
        let message = message(&read(&path).unwrap_err());
        assert!(message.starts_with(&format!("{}: tensor ", path.display())), "{message}");
        assert!(message.contains(expected), "{message}\nexpected {expected}");
    }
    assert!(read(&write(&folder, &[DOWN, UP])).unwrap().touches(LoraPart::Transformer));
}

#[test]
fn numbers_that_are_none_and_headers_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let tensors = |value: f32| {
        let pair = [(DOWN, value), (UP, 1.0)];
        let tensor = |((name, shape), value): ((&str, &[usize]), f32)| {
            (name.to_owned(), plain(name, shape, Element::F32, &vec![value; shape.iter().product()]))
        };
        pair.into_iter().map(tensor).collect::<Weights>()
    };
    safetensors(&path, &tensors(f32::NAN), None);
    assert!(message(&read(&path).unwrap_err()).contains("img_in.lora_A.weight: expected finite numbers"));
    for (text, expected) in
        [("[1]", "lora_adapter_metadata: expected an object"), (r#"{"use_dora": true}"#, "is a DoRA")]
    {
        let metadata = HashMap::from([("lora_adapter_metadata".to_owned(), text.to_owned())]);
        safetensors(&path, &tensors(1.0), Some(metadata));
        assert!(message(&read(&path).unwrap_err()).contains(expected));
    }
}

#[test]
fn damaged_files_are_refused_wherever_they_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(file("xlabs")).unwrap();
    let path = folder.path().join("x.safetensors");
    for length in [0, 5, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let message = message(&read(&path).unwrap_err());
        assert!(message.starts_with(&path.display().to_string()), "{message}");
    }
    fs::write(&path, b"GGUF\x03\0\0\0").unwrap();
    assert!(message(&read(&path).unwrap_err()).ends_with("is a GGUF file; LoRAs are read from safetensors files"));
    assert!(message(&read(folder.path()).unwrap_err()).contains("is a folder"));
    assert!(message(&read(&folder.path().join("missing")).unwrap_err()).contains("missing"));
}

#[test]
fn inspection_tells_form_rank_and_layers() {
    let report = |path: &std::path::Path| afterimage_engine::inspect::inspect(path).unwrap().components.remove(0);
    let found = report(&file("text-kohya"));
    let size = |name: &str| found.sizes.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    assert_eq!((found.kind, found.layout.as_deref(), found.fits), (ComponentKind::Lora, Some("kohya"), true));
    assert_eq!(size("rank").as_deref(), Some("2"));
    assert!(size("layers of the CLIP text encoder").is_some() && size("layers of the T5 encoder").is_some());
    let folder = tempfile::tempdir().unwrap();
    let found = report(&write(&folder, &[DOWN, UP, ("img_in.dora_scale", &[64])]));
    assert_eq!((found.kind, found.fits), (ComponentKind::Lora, false));
    assert!(found.reason.contains("img_in.dora_scale") && found.reason.contains("a DoRA"), "{}", found.reason);
}
