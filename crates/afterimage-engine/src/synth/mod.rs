//! Weights files of made-up numbers with the names, shapes and types of the published ones, so that loading, memory and
//! speed of full-size models can be tried without a download.
//!
//! | file | what |
//! |---|---|
//! | `preset.rs` | the published models and the names in their files |
//! | `number_type.rs` | the types of numbers, tensor by tensor |
//! | `numbers.rs` | the numbers |
//! | `headers.rs` | the headers of both formats |

mod headers;
mod number_type;
mod numbers;
mod preset;

pub use number_type::SynthType;
pub use preset::{SynthLayout, SynthPreset};

use crate::weights::Wanted;
use afterimage_core::{Error, Result};
use afterimage_tensors::Element;
use headers::{Outline, gguf, safetensors, shard_index};
use numbers::MadeUpNumbers;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Most bytes of one shard, diffusers' default.
const SHARD_BYTES: u64 = 10_000_000_000;

/// A scale beside a tensor of 8 bits.
const SCALE: f32 = 0.5;

/// What to make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynthOptions {
    /// Which model.
    pub preset: SynthPreset,
    /// Whose names; `None`: those of the published file.
    pub layout: Option<SynthLayout>,
    /// Types of numbers.
    pub number_type: SynthType,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynthReport {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Tensors in them.
    pub tensors: usize,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Writes made-up weights to the file `path`, or, when `path` is a folder, as shards of up to 10 GB with an index, and a
/// transformer's `config.json`. Nothing larger than a few MB is held in memory.
///
/// # Errors
/// [`Error::ModelFile`] for a layout or type that the model does not come in; [`Error::Io`].
pub fn synth(options: SynthOptions, path: &Path) -> Result<SynthReport> {
    let SynthOptions { preset, .. } = options;
    let layout = options.layout.unwrap_or_else(|| preset.layout());
    let number_type = options.number_type.resolved(preset);
    let wanted = preset.tensors(layout).map_err(|problem| Error::model_file(path, problem))?;
    let outlines = outlines(wanted, number_type);
    if !path.is_dir() {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let (right, wrong) = if number_type.is_gguf() { ("gguf", "safetensors") } else { ("safetensors", "gguf") };
        if ending.is_some_and(|ending| ending.eq_ignore_ascii_case(wrong)) {
            return Err(Error::model_file(
                path,
                format!("would be a {right} file; expected a name that ends in .{right}"),
            ));
        }
        let bytes = write_file(path, &outlines, number_type.is_gguf())?;
        return Ok(SynthReport { files: vec![path.to_path_buf()], tensors: outlines.len(), bytes });
    }
    if number_type.is_gguf() {
        return Err(Error::model_file(
            path,
            "is a folder; the types of GGUF make one file, so expected the name of a file",
        ));
    }
    write_folder(path, preset, &outlines)
}

/// The tensors of a file with their types.
fn outlines(wanted: Vec<Wanted>, number_type: SynthType) -> Vec<Outline> {
    let scaled = number_type == SynthType::Fp8Scaled;
    let mut outlines = Vec::new();
    for Wanted { name, shape } in wanted {
        let element = number_type.of(&name, &shape);
        let layer = name.strip_suffix(".weight").filter(|_| scaled && element == Element::F8E4M3);
        let scale = layer.map(|layer| Outline::new(format!("{layer}.scale_weight"), Vec::new(), Element::F32));
        outlines.push(Outline::new(name, shape, element));
        outlines.extend(scale);
    }
    if scaled {
        outlines.push(Outline::new("scaled_fp8".to_owned(), vec![0], Element::F8E4M3));
    }
    outlines
}

/// Writes one file; its length.
fn write_file(path: &Path, outlines: &[Outline], is_gguf: bool) -> Result<u64> {
    let failed = |error| Error::io(path, error);
    let file = File::create_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::model_file(path, "exists; expected a name that is free"),
        _ => failed(error),
    })?;
    let mut out = BufWriter::new(file);
    let (header, alignment) = if is_gguf { gguf(outlines) } else { (safetensors(outlines), 1) };
    out.write_all(&header).map_err(failed)?;
    let mut length = header.len() as u64;
    for outline in outlines {
        let padding = length.next_multiple_of(alignment) - length;
        out.write_all(&vec![0; padding as usize]).map_err(failed)?;
        if outline.name.ends_with(".scale_weight") {
            out.write_all(&SCALE.to_le_bytes()).map_err(failed)?;
        } else {
            let mut numbers = MadeUpNumbers::of(&outline.name, &outline.shape, outline.element);
            let is_scaled = outlines.last().is_some_and(|last| last.name == "scaled_fp8");
            if is_scaled && outline.element == Element::F8E4M3 {
                numbers.spread /= SCALE;
            }
            numbers.write(outline.numbers(), &mut out).map_err(failed)?;
        }
        length += padding + outline.bytes();
    }
    out.flush().map_err(failed)?;
    Ok(length)
}

/// Writes shards, their index and the configuration.
fn write_folder(folder: &Path, preset: SynthPreset, outlines: &[Outline]) -> Result<SynthReport> {
    let stem = match preset {
        SynthPreset::T5 | SynthPreset::Clip | SynthPreset::Siglip => "model",
        _ => "diffusion_pytorch_model",
    };
    let mut shards: Vec<Vec<Outline>> = vec![Vec::new()];
    let mut filled = 0;
    for outline in outlines {
        if filled > 0 && filled + outline.bytes() > SHARD_BYTES {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += outline.bytes();
        if let Some(shard) = shards.last_mut() {
            shard.push(outline.clone());
        }
    }
    let config = folder.join("config.json");
    if preset.flux().is_some() && config.exists() {
        return Err(Error::model_file(config, "exists; expected a folder without one"));
    }
    let name = |number: usize| match shards.len() {
        1 => format!("{stem}.safetensors"),
        count => format!("{stem}-{:05}-of-{count:05}.safetensors", number + 1),
    };
    let mut report = SynthReport { files: Vec::new(), tensors: outlines.len(), bytes: 0 };
    for (number, shard) in shards.iter().enumerate() {
        let path = folder.join(name(number));
        report.bytes += write_file(&path, shard, false)?;
        report.files.push(path);
    }
    let mut text = |name: String, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Error::io(&path, error))?;
        report.files.push(path);
        Ok(())
    };
    if shards.len() > 1 {
        text(format!("{stem}.safetensors.index.json"), shard_index(&shards, name))?;
    }
    if let Some(config) = preset.flux() {
        let json = serde_json::to_string_pretty(&config).map_err(|error| Error::internal(error.to_string()))?;
        text("config.json".to_owned(), json)?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::inspect;

    #[test]
    fn tiny_files_of_every_type_and_layout_fit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let synth_anew = |options, path: &Path| {
            let _ = fs::remove_file(path);
            synth(options, path)
        };
        let types = [SynthType::F32, SynthType::Fp8, SynthType::Fp8Scaled, SynthType::Q8, SynthType::Q4K];
        for number_type in types {
            for layout in [SynthLayout::Bfl, SynthLayout::Diffusers, SynthLayout::Comfyui] {
                let options = SynthOptions { preset: SynthPreset::Tiny, layout: Some(layout), number_type };
                let report = synth_anew(options, &path).unwrap();
                let found = inspect(&path).unwrap();
                assert!(found.fits && found.components[0].unneeded.is_empty(), "{found}");
                assert_eq!(fs::metadata(&path).unwrap().len(), report.bytes);
                assert!(found.components[0].dtypes.contains_key(number_type.element().name()), "{found}");
            }
        }
        let options = SynthOptions { preset: SynthPreset::Tiny, layout: None, number_type: SynthType::Auto };
        let report = synth(options, folder.path()).unwrap();
        assert_eq!(report.files.len(), 2);
        assert!(inspect(folder.path()).unwrap().fits);
        let again = synth(options, folder.path()).unwrap_err().to_string();
        assert!(again.ends_with("config.json: exists; expected a folder without one"), "{again}");
        let wrong = synth(options, &folder.path().join("x.GGUF")).unwrap_err().to_string();
        assert!(
            wrong.ends_with("x.GGUF: would be a safetensors file; expected a name that ends in .safetensors"),
            "{wrong}"
        );
        let options = SynthOptions { layout: Some(SynthLayout::LlamaCpp), ..options };
        assert!(synth(options, &path).unwrap_err().to_string().ends_with("only T5 comes in llama.cpp's layout"));
    }
}
