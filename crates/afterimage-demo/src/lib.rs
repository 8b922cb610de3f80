//! The bytes of the embedded demo model, and nothing else.
//!
//! A small FLUX.1-shaped model in the diffusers folder layout: the base model in the root, Redux in `redux/`. It was
//! trained from scratch on pictures that a program painted, so it carries no licence but this project's.

/// What messages call the model.
pub const NAME: &str = "embedded demo model";

/// Lists files of `bundle/` with their contents.
macro_rules! bundle {
    ($($path:literal,)+) => {
        &[$(($path, include_bytes!(concat!("../bundle/", $path)))),+]
    };
}

/// Every file as relative path (separated by `/`) and contents.
pub static FILES: &[(&str, &[u8])] = bundle![
    "afterimage.json",
    "model_index.json",
    "redux/feature_extractor/preprocessor_config.json",
    "redux/image_embedder/config.json",
    "redux/image_embedder/diffusion_pytorch_model.safetensors",
    "redux/image_encoder/config.json",
    "redux/image_encoder/model.safetensors",
    "redux/model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "tokenizer_2/special_tokens_map.json",
    "tokenizer_2/tokenizer.json",
    "tokenizer_2/tokenizer_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
];

#[cfg(test)]
mod tests {
    use super::FILES;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn collect(folder: &Path, prefix: &str, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.path().is_dir() {
                collect(&entry.path(), &format!("{name}/"), names);
            } else {
                names.insert(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_bundle_is_embedded() {
        let mut on_disk = BTreeSet::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("bundle"), "", &mut on_disk);
        let embedded: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(embedded, on_disk);
        assert!(FILES.iter().all(|(_, bytes)| !bytes.is_empty()));
    }
}
