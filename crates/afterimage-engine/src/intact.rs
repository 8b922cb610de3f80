//! Whether the weights on disk are still what can be used: files change under a program that runs for months.

use crate::bundle::Bundle;
use crate::options::EngineOptions;
use crate::weights::Component;
use afterimage_core::Result;

/// Folders of a base model that hold weights.
const BASE: [&str; 4] = ["transformer", "vae", "text_encoder", "text_encoder_2"];

/// Folders of a Redux model that hold weights.
const REDUX: [&str; 2] = ["image_encoder", "image_embedder"];

/// Opens every weights file that `options` name and compares its header with its length, which takes milliseconds. A
/// folder that is not there is left to the request that needs it. Embedded weights are what they are.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] or [`afterimage_core::Error::Tensor`] for a file that is missing, cut off,
/// damaged or contradicts its index.
pub fn check_weights(options: &EngineOptions) -> Result<()> {
    let replaced = |name: &str| match name {
        "transformer" => options.transformer.is_some(),
        "vae" => options.vae.is_some(),
        "text_encoder" => options.clip.is_some(),
        "text_encoder_2" => options.t5.is_some(),
        "image_encoder" => options.image_encoder.is_some(),
        _ => false,
    };
    for path in [&options.transformer, &options.vae, &options.clip, &options.t5, &options.image_encoder] {
        path.as_deref().map_or(Ok(()), |path| Component::open_path(path).map(drop))?;
    }
    let named = [(&options.base, BASE.as_slice()), (&options.redux, REDUX.as_slice())];
    // A folder that holds both may be named once.
    let both = (&options.base, if options.redux.is_none() { REDUX.as_slice() } else { &[] });
    for (folder, names) in named.into_iter().chain([both]) {
        let Some(path) = folder else { continue };
        if path.is_file() && names == REDUX {
            Component::open_file(path)?;
            continue;
        }
        let bundle = Bundle::open(path)?;
        for name in names {
            let component = bundle.folder(name);
            if component.exists() && !replaced(name) && (options.transformer.is_none() || Component::is_in(&component))
            {
                Component::open(&component)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn copy(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
            if path.is_dir() {
                copy(&path, &target);
            } else {
                fs::copy(path, target).unwrap();
            }
        }
    }

    #[test]
    fn files_that_were_cut_off_are_found() {
        assert!(check_weights(&EngineOptions::default()).is_ok());
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/bundles/dev"), &model);
        let options = EngineOptions {
            base: Some(model.join("base")),
            redux: Some(model.join("redux")),
            ..EngineOptions::default()
        };
        check_weights(&options).unwrap();
        for name in BASE.map(|name| format!("base/{name}")).into_iter().chain(REDUX.map(|name| format!("redux/{name}")))
        {
            let files = fs::read_dir(model.join(&name)).unwrap().map(|entry| entry.unwrap().path());
            let weights = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "safetensors"));
            let weights = weights.unwrap();
            let whole = fs::read(&weights).unwrap();
            fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
            let error = check_weights(&options).unwrap_err().to_string();
            assert!(error.contains(&name), "{error}");
            fs::write(&weights, &whole).unwrap();
        }
        check_weights(&options).unwrap();
    }
}
