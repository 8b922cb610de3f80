//! Model files that cannot be used: exit code 2 and one line that names the file.

use crate::context::{Context, SMALL, bundle};
use std::fs;
use std::path::Path;

/// A context with a copy of the small dev model in `base` and `redux`.
fn with_model() -> Context {
    let context = Context::new();
    copy(&bundle("dev/base"), &context.path("base"));
    copy(&bundle("dev/redux"), &context.path("redux"));
    context
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[track_caller]
fn refuses(context: &Context, parts: &[&str]) {
    let arguments: Vec<&str> = ["photo.png", "--base", "base", "--redux", "redux"].into_iter().chain(SMALL).collect();
    context.vary_refuses(&arguments, parts);
}

#[test]
fn missing_folders_and_files() {
    let context = with_model();
    context.vary_refuses(&["photo.png", "--base", "nowhere"], &["nowhere"]);
    context.vary_refuses(&["photo.png", "--base", "photo.png"], &["photo.png"]);
    context.vary_refuses(&["photo.png", "--redux", "nowhere"], &["nowhere"]);
    context.vary_refuses(&["photo.png", "--transformer", "nowhere.safetensors"], &["nowhere.safetensors"]);
    context.vary_refuses(&["photo.png", "--transformer", "photo.png"], &["photo.png"]);
    for name in [
        "base/vae/config.json",
        "base/transformer/diffusion_pytorch_model.safetensors",
        "base/tokenizer/vocab.json",
        "base/tokenizer_2/tokenizer.json",
        "redux/image_encoder/config.json",
    ] {
        let context = with_model();
        fs::remove_file(context.path(name)).unwrap();
        let folder = Path::new(name).parent().unwrap();
        refuses(&context, &[folder.to_str().unwrap()]);
    }
}

#[test]
fn weights_that_are_cut_off() {
    for name in [
        "base/transformer/diffusion_pytorch_model.safetensors",
        "base/vae/diffusion_pytorch_model.safetensors",
        "base/text_encoder_2/model.safetensors",
        "redux/image_encoder/model.safetensors",
    ] {
        let context = with_model();
        let bytes = fs::read(context.path(name)).unwrap();
        for length in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
            fs::write(context.path(name), &bytes[..length]).unwrap();
            refuses(&context, &[name]);
        }
        context.refuses(&["models", "inspect", name], &[name]);
    }
}

#[test]
fn weights_with_a_wrong_header() {
    let name = "base/vae/diffusion_pytorch_model.safetensors";
    let header = |text: &str, data: usize| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    };
    let overlapping = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let absurd = r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}"#;
    for bytes in [
        header(overlapping, 12),
        header(absurd, 16),
        header("{", 0),
        header("[]", 0),
        header("{}", 0),
        u64::MAX.to_le_bytes().to_vec(),
        b"GGUF\x03\0\0\0\0\0\0\0".to_vec(),
    ] {
        let context = with_model();
        context.write(name, bytes);
        refuses(&context, &["base/vae"]);
    }
}

#[test]
fn configurations_with_absurd_sizes() {
    for (name, key) in [
        ("base/transformer/config.json", "num_layers"),
        ("base/transformer/config.json", "num_attention_heads"),
        ("base/transformer/config.json", "in_channels"),
        ("base/vae/config.json", "layers_per_block"),
        ("base/vae/config.json", "norm_num_groups"),
        ("base/text_encoder/config.json", "hidden_size"),
        ("base/text_encoder_2/config.json", "d_model"),
        ("redux/image_encoder/config.json", "patch_size"),
    ] {
        let context = with_model();
        let original: serde_json::Value = serde_json::from_slice(&fs::read(context.path(name)).unwrap()).unwrap();
        assert!(original.get(key).is_some(), "{name} has no {key}");
        for value in
            [serde_json::json!(0), serde_json::json!(-1), serde_json::json!(1u64 << 62), serde_json::json!("x")]
        {
            let mut config = original.clone();
            config[key] = value;
            context.write(name, config.to_string());
            refuses(&context, &[Path::new(name).parent().unwrap().to_str().unwrap()]);
        }
        for text in ["", "{", "null"] {
            context.write(name, text);
            refuses(&context, &[name]);
        }
    }
}

/// A configuration that counts fewer blocks than the weights have would run half a model.
#[test]
fn configurations_that_leave_blocks_unused() {
    let number = |number: u64| serde_json::Value::from(number);
    let off = serde_json::Value::from(false);
    for (name, key, value, tensor) in [
        ("base/transformer/config.json", "num_layers", number(0), "transformer_blocks."),
        ("base/transformer/config.json", "num_single_layers", number(1), "single_transformer_blocks."),
        ("base/transformer/config.json", "guidance_embeds", off.clone(), "time_text_embed.guidance_embedder."),
        ("base/vae/config.json", "mid_block_add_attention", off, "mid_block.attentions.0."),
        ("base/text_encoder/config.json", "num_hidden_layers", number(1), "encoder.layers."),
        ("base/text_encoder_2/config.json", "num_layers", number(1), "encoder.block."),
        ("redux/image_encoder/config.json", "num_hidden_layers", number(1), "encoder.layers."),
    ] {
        let context = with_model();
        change(&context, name, key, &value);
        let folder = Path::new(name).parent().unwrap().to_str().unwrap();
        let said = format!("{key}: {value} contradicts the weights, where tensor ");
        refuses(&context, &[name, &said, tensor]);
        for path in [folder, name.split('/').next().unwrap()] {
            let outcome = context.run(&["models", "inspect", path]);
            assert_eq!(outcome.code, Some(2), "{path}: {}", outcome.text());
            assert!(outcome.stderr.contains(&said) && outcome.stderr.lines().count() == 1, "{}", outcome.stderr);
            assert!(outcome.text().contains(tensor), "{}", outcome.text());
        }
    }
    let context = with_model();
    let name = "base/vae/config.json";
    change(&context, name, "layers_per_block", &1.into());
    let outcome = context.run(&["models", "inspect", "base/vae"]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.text());
    assert!(outcome.stderr.contains("layers_per_block: 1 contradicts the weights"), "{}", outcome.stderr);
}

/// Sets one field of a configuration.
fn change(context: &Context, name: &str, key: &str, value: &serde_json::Value) {
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(context.path(name)).unwrap()).unwrap();
    assert_ne!(config[key], *value, "{name}: {key} must change");
    config[key] = value.clone();
    context.write(name, config.to_string());
}

/// Names in a file may have any length, a message may not.
#[test]
fn messages_cut_long_names() {
    let context = Context::new();
    let header = |name: &str, shape: &str| {
        let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[0,4]}}}}"#);
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
    };
    let long = "n".repeat(3_000_000);
    let ranks = format!("[{}1]", "1,".repeat(100_000));
    for (name, shape) in [(long.as_str(), "[1]"), (long.as_str(), "[7]"), ("img_in.weight", &ranks)] {
        context.write("x.safetensors", header(name, shape));
        for arguments in
            [&["models", "inspect", "x.safetensors"][..], &["vary", "photo.png", "--transformer", "x.safetensors"]]
        {
            let outcome = context.run(arguments);
            assert_eq!(outcome.code, Some(2), "{arguments:?}");
            assert!(
                outcome.stderr.len() < 4000 && outcome.stdout.len() < 8000,
                "{arguments:?} of {} bytes",
                outcome.stderr.len()
            );
        }
    }
}

/// A panic of the tokenizers' library is the same one line as any other damaged file.
#[test]
fn hostile_tokenizers_end_in_one_line() {
    let grow = r#"{"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    let nested = format!(
        r#"{{"type": "Sequence", "normalizers": [{{"type": "Sequence", "normalizers": [{}]}}]}}"#,
        [grow; 6].join(",")
    );
    let lying = r#"{"type": "Precompiled", "precompiled_charsmap": "/////wAAAAA="}"#.to_owned();
    // A trie of one cell, over whose end the library runs.
    let short = r#"{"type": "Precompiled", "precompiled_charsmap": "BAAAAAAEAAA="}"#.to_owned();
    for (normalizer, expected) in
        [(nested, "Replace is known only of spaces"), (lying, "its trie would have 4294967295"), (short, "damaged")]
    {
        let context = with_model();
        let name = "base/tokenizer_2/tokenizer.json";
        let mut file: serde_json::Value = serde_json::from_slice(&fs::read(context.path(name)).unwrap()).unwrap();
        file["normalizer"] = serde_json::from_str(&normalizer).unwrap();
        context.write(name, file.to_string());
        let arguments: Vec<&str> = ["photo.png", "--base", "base", "--redux", "redux", "--prompt", "a cat in zebra é"]
            .into_iter()
            .chain(SMALL)
            .collect();
        context.vary_refuses(&arguments, &["base/tokenizer_2", expected]);
    }
}

/// Redux was trained for one text width.
#[test]
fn models_that_do_not_belong_together() {
    let context = with_model();
    context.vary_refuses(&["photo.png", "--base", "base"], &[]);
}

/// Fills every tensor of a file whose name holds `part` with `bytes`, over and over.
fn fill(path: &Path, part: &str, bytes: &[u8]) {
    let mut file = fs::read(path).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let mut filled = 0;
    for (name, tensor) in header.as_object().unwrap() {
        if !name.contains(part) || name == "__metadata__" {
            continue;
        }
        let at = |index: usize| 8 + length + tensor["data_offsets"][index].as_u64().unwrap() as usize;
        for (target, byte) in file[at(0)..at(1)].iter_mut().zip(bytes.iter().cycle()) {
            *target = *byte;
        }
        filled += 1;
    }
    assert!(filled > 0, "no tensor like {part}");
    fs::write(path, file).unwrap();
}

/// Not-a-number in f32 and in bf16 alike.
#[test]
fn weights_that_are_no_numbers_fail_instead_of_making_a_black_picture() {
    for (file, part, names) in [
        ("base/transformer/diffusion_pytorch_model.safetensors", "proj_out", &["transformer", "NaN"]),
        ("base/vae/diffusion_pytorch_model.safetensors", "decoder.conv_out", &["vae", "NaN"]),
        ("base/text_encoder_2/model.safetensors", "final_layer_norm", &["text_encoder_2", "NaN"]),
        ("base/text_encoder/model.safetensors", "final_layer_norm", &["text_encoder", "NaN"]),
        ("redux/image_embedder/diffusion_pytorch_model.safetensors", "redux_down", &["redux", "NaN"]),
    ] {
        let context = with_model();
        fill(&context.path(file), part, &[0xff, 0x7f]);
        refuses(&context, names);
    }
}

/// Numbers that grow beyond f32 on the way.
#[test]
fn a_scale_that_overflows_fails() {
    let context = with_model();
    let name = "base/vae/config.json";
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(context.path(name)).unwrap()).unwrap();
    config["scaling_factor"] = serde_json::json!(1e-300);
    context.write(name, config.to_string());
    refuses(&context, &["base/vae"]);
}

/// Results leave the machine; where the weights lie does not.
#[test]
fn a_result_names_the_model_and_not_its_folders() {
    let context = with_model();
    let base = context.path("base");
    let arguments = ["vary", "photo.png", "--base", base.to_str().unwrap(), "--redux", "redux", "--output", "out.png"];
    context.run(&arguments.into_iter().chain(SMALL).collect::<Vec<_>>()).succeeded();
    let file = fs::read(context.path("out.png")).unwrap();
    let text = String::from_utf8_lossy(&file);
    assert!(text.contains(r#""model":"base""#), "{text}");
    assert!(!text.contains(context.path("").to_str().unwrap().trim_end_matches('/')), "the folder is in the file");
}
