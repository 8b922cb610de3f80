//! What stands beside tensors of 8 bits in safetensors files: a factor of the whole tensor, in the spellings that people
//! publish.
//!
//! | where | what | source |
//! |---|---|---|
//! | `X.scale_weight`, marker `scaled_fp8` | the weight is q × scale | `ComfyUI` until 2025 |
//! | `X.weight_scale`, `X.comfy_quant` (JSON in bytes) | q × scale | `ComfyUI` since, Black Forest Labs' fp8 files |
//! | `X.weight_scale`, `_quantization_metadata` in the header | q × scale | `ComfyUI` since |
//! | `X.float8_data`, `X.scale` | q ÷ scale; `X.scale_reciprocal` is the factor | flux-fp8-api |
//!
//! Scales of inputs are for products of 8 bits and not used. A file without any scale is a plain cast.

use super::tensor_file::{TensorFile, TensorInfo};
use afterimage_core::shortened;
use afterimage_tensors::{Element, StoredTensor};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the header says of layers, as JSON in its metadata.
const LAYERS: &str = "_quantization_metadata";

/// Formats of one factor for each tensor, as `comfy_quant` and the header call them.
const FORMATS: [&str; 2] = ["float8_e4m3fn", "float8_e5m2"];

/// Tables of embeddings, which scaled files leave as they are.
const TABLES: [&str; 5] = [
    "shared.weight",
    "embed_tokens.weight",
    "token_embedding.weight",
    "position_embedding.weight",
    "relative_attention_bias.weight",
];

/// What was found beside tensors.
#[derive(Debug, Default)]
pub(super) struct Scales {
    /// Factor of each tensor that has one.
    pub factors: HashMap<String, f32>,
    /// Tensors that say something of others.
    pub aside: BTreeSet<String>,
    /// Tensors that have another name than the one under which models ask for them: stored name to that name.
    pub renamed: HashMap<String, String>,
}

/// One layer in the header, or a `comfy_quant`.
#[derive(Deserialize)]
struct LayerFormat {
    format: String,
}

#[derive(Deserialize)]
struct Layers {
    layers: BTreeMap<String, LayerFormat>,
}

/// Finds the scales of `file`, whose header has this `metadata`.
///
/// # Errors
/// What is wrong with which tensor: a scale that is missing, no single number or not finite; an unknown format.
pub(super) fn find(file: &impl TensorFile, metadata: &HashMap<String, String>) -> Result<Scales, String> {
    let mut scales = Scales::default();
    let mut marked = Vec::new();
    for (name, _) in infos(file) {
        let (layer, kind) = name.rsplit_once('.').unwrap_or(("", name));
        let weight = format!("{layer}.weight");
        let beside_weight = file.info(&weight).is_some();
        match kind {
            "scaled_fp8" => {
                marked.push(name.strip_suffix("scaled_fp8").unwrap_or_default().to_owned());
                scales.aside.insert(name.to_owned());
            }
            "scale_weight" | "weight_scale" if beside_weight => {
                scales.factors.insert(weight, factor(file, name)?);
                scales.aside.insert(name.to_owned());
            }
            "scale_input" | "input_scale" if beside_weight => drop(scales.aside.insert(name.to_owned())),
            "comfy_quant" => {
                check_format(name, &serde_json::from_slice(&file.bytes(name).map_or_else(Vec::new, |it| it.to_vec())))?;
                need_factor(file, layer, name)?;
                scales.aside.insert(name.to_owned());
            }
            "float8_data" => {
                scales.factors.insert(weight.clone(), reciprocal(file, layer)?);
                scales.renamed.insert(name.to_owned(), weight);
                let others = ["scale", "scale_reciprocal", "input_scale", "input_scale_reciprocal"];
                scales.aside.extend(others.map(|other| format!("{layer}.{other}")));
            }
            _ => {}
        }
    }
    if let Some(text) = metadata.get(LAYERS) {
        let Layers { layers } =
            serde_json::from_str(text).map_err(|error| format!("damaged header: {LAYERS}: {error}"))?;
        for (layer, format) in layers {
            check_format(&layer, &Ok(format))?;
            need_factor(file, &layer, LAYERS)?;
        }
    }
    check_all_have_one(file, &scales, &marked)?;
    Ok(scales)
}

/// All tensors of a file to which no scales were applied yet.
fn infos(file: &impl TensorFile) -> impl Iterator<Item = (&str, &TensorInfo)> {
    file.names().filter_map(|name| Some((name, file.info(name)?)))
}

/// The single number in the tensor `name`.
fn factor(file: &impl TensorFile, name: &str) -> Result<f32, String> {
    let problem = |problem: String| format!("tensor {}: {problem}", shortened(name));
    let info = file.info(name).ok_or_else(|| problem("missing".to_owned()))?;
    let expected = || problem(format!("expected one number in f32, bf16 or f16 (a scale), found {info}"));
    let element = info.element.filter(|element| matches!(element, Element::F32 | Element::Bf16 | Element::F16));
    let (element, bytes) = element.zip(file.bytes(name)).ok_or_else(expected)?;
    let mut value = [0.0];
    let numbers: usize = info.shape.iter().product();
    let stored = StoredTensor::new(name, vec![1], element, bytes).filter(|_| numbers == 1).ok_or_else(expected)?;
    stored.read(&mut value);
    if value[0].is_finite() && value[0] >= 0.0 {
        Ok(value[0])
    } else {
        Err(problem(format!("{} is no scale; expected a number that is finite and not negative", value[0])))
    }
}

/// What the numbers of `layer`'s `float8_data` are to be multiplied with.
fn reciprocal(file: &impl TensorFile, layer: &str) -> Result<f32, String> {
    let direct = format!("{layer}.scale_reciprocal");
    if file.info(&direct).is_some() {
        return factor(file, &direct);
    }
    let name = format!("{layer}.scale");
    let reciprocal = factor(file, &name)?.recip();
    if reciprocal.is_finite() { Ok(reciprocal) } else { Err(format!("tensor {}: 0 is no scale", shortened(&name))) }
}

fn check_format(name: &str, layer: &serde_json::Result<LayerFormat>) -> Result<(), String> {
    let problem = match layer {
        Ok(LayerFormat { format }) if FORMATS.contains(&format.as_str()) => return Ok(()),
        Ok(LayerFormat { format }) => {
            format!("the format {} is not supported; expected {}", shortened(format), FORMATS.join(" or "))
        }
        Err(error) => error.to_string(),
    };
    Err(format!("tensor {}: {problem}", shortened(name)))
}

/// Refuses a layer that is said to be scaled and has no scale; `said` is who says so.
fn need_factor(file: &impl TensorFile, layer: &str, said: &str) -> Result<(), String> {
    let scale = format!("{layer}.weight_scale");
    // The header may leave the prefix of an all-in-one file away.
    let there = |end: &str| infos(file).any(|(name, _)| name.strip_suffix(end).is_some_and(|it| it.ends_with('.')));
    if file.info(&scale).is_some() || there(&scale) {
        return Ok(());
    }
    Err(format!("tensor {}: missing, though {} says that the weight is scaled", shortened(&scale), shortened(said)))
}

/// Refuses matrices of 8 bits without a scale where the marker says that they are scaled: behind each of the beginnings
/// `marked`, since each model of an all-in-one checkpoint has its own. `ComfyUI` would take 1 for a scale that is missing.
fn check_all_have_one(file: &impl TensorFile, scales: &Scales, marked: &[String]) -> Result<(), String> {
    let without = infos(file).find(|(name, info)| {
        let eight_bits = matches!(info.element, Some(Element::F8E4M3 | Element::F8E5M2));
        let table = TABLES.iter().any(|table| name.ends_with(table));
        let renamed = scales.renamed.get(*name).map_or(*name, String::as_str);
        let said = marked.iter().any(|beginning| name.starts_with(beginning.as_str()));
        said && eight_bits && info.shape.len() > 1 && !table && !scales.factors.contains_key(renamed)
    });
    match without {
        None => Ok(()),
        Some((name, info)) => Err(format!(
            "tensor {}: {info} without a scale beside it (scale_weight), though the file is marked as scaled_fp8",
            shortened(name)
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::weights::{SafetensorsFile, TensorFile};
    use afterimage_tensors::{Element, SharedBytes};
    use safetensors::tensor::{Dtype, TensorView};
    use std::collections::HashMap;
    use std::path::PathBuf;

    type Entry<'a> = (&'a str, Dtype, &'a [usize], Vec<u8>);

    fn parse(tensors: &[Entry], metadata: Option<&str>) -> Result<SafetensorsFile, String> {
        let views = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
        let metadata = metadata.map(|text| HashMap::from([(super::LAYERS.to_owned(), text.to_owned())]));
        let bytes = safetensors::serialize(views, metadata).unwrap();
        SafetensorsFile::parse(PathBuf::from("x.safetensors"), &SharedBytes::new(bytes))
            .map_err(|error| error.to_string())
    }

    /// 1 and 2 as e4m3.
    fn weight(name: &str) -> Entry<'_> {
        (name, Dtype::F8_E4M3, &[1, 2], vec![0x38, 0x40])
    }

    fn number(name: &str, value: f32) -> Entry<'_> {
        (name, Dtype::F32, &[], value.to_le_bytes().to_vec())
    }

    fn values(file: &SafetensorsFile) -> Vec<f32> {
        let mut values = vec![0.0; 2];
        file.tensor("m.weight").unwrap().read(&mut values);
        values
    }

    #[test]
    fn every_spelling_gives_the_same_numbers() {
        let json = |format: &str| (format!("{{\"format\":\"{format}\"}}")).into_bytes();
        let quant: Entry = ("m.comfy_quant", Dtype::U8, &[26], json("float8_e4m3fn"));
        let layers = r#"{"format_version": "1.0", "layers": {"m": {"format": "float8_e4m3fn"}}}"#;
        let half: Entry = ("m.weight_scale", Dtype::BF16, &[1], vec![0x00, 0x3f]);
        let marker: Entry = ("scaled_fp8", Dtype::F8_E4M3, &[0], vec![]);
        let one: [Entry; 1] = [weight("m.weight")];
        let with = |more: &[Entry], metadata| {
            let file = parse(&[&one[..], more].concat(), metadata).unwrap();
            assert_eq!(file.names().collect::<Vec<_>>(), ["m.weight"]);
            assert_eq!(file.tensor("m.weight").unwrap().element(), Element::F8E4M3);
            values(&file)
        };
        assert_eq!(with(&[], None), [1.0, 2.0]);
        assert_eq!(with(&[number("m.scale_weight", 0.5), number("m.scale_input", 3.0), marker], None), [0.5, 1.0]);
        assert_eq!(with(&[half.clone(), number("m.input_scale", 3.0), quant], None), [0.5, 1.0]);
        assert_eq!(with(&[half], Some(layers)), [0.5, 1.0]);
        let file = parse(&[weight("m.float8_data"), number("m.scale", 2.0)], None).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), ["m.weight"]);
        assert_eq!(values(&file), [0.5, 1.0]);
        let both = [number("m.scale", 2.0), number("m.scale_reciprocal", 0.25)];
        assert_eq!(values(&parse(&[&[weight("m.float8_data")][..], &both].concat(), None).unwrap()), [0.25, 0.5]);
    }

    #[test]
    fn a_marker_speaks_for_the_names_behind_its_own_beginning() {
        let marker: Entry = ("model.scaled_fp8", Dtype::F8_E4M3, &[0], vec![]);
        let scaled = [weight("model.m.weight"), number("model.m.scale_weight", 0.5), marker];
        let file = parse(&[&scaled[..], &[weight("m.weight")]].concat(), None).unwrap();
        assert_eq!(values(&file), [1.0, 2.0]);
        let message = parse(&[&scaled[..], &[weight("model.n.weight")]].concat(), None).unwrap_err();
        assert!(message.contains("tensor model.n.weight: [1, 2] in f8_e4m3 without a scale"), "{message}");
    }

    #[test]
    fn scales_of_norms_are_tensors_like_others() {
        let file = parse(&[weight("m.weight"), number("m.norm.query_norm.scale", 2.0)], None).unwrap();
        assert_eq!(file.names().count(), 2);
    }

    #[test]
    fn what_is_wrong_with_a_scale_is_said() {
        let layers = |format: &str| format!(r#"{{"layers": {{"m": {{"format": "{format}"}}}}}}"#);
        let two: Entry = ("m.weight_scale", Dtype::F32, &[2], vec![0; 8]);
        let whole: Entry = ("m.weight_scale", Dtype::I32, &[1], vec![0; 4]);
        let marker: Entry = ("scaled_fp8", Dtype::F8_E4M3, &[0], vec![]);
        let quant: Entry = ("m.comfy_quant", Dtype::U8, &[18], br#"{"format":"nvfp4"}"#.to_vec());
        for (more, metadata, expected) in [
            (two, None, "tensor m.weight_scale: expected one number in f32, bf16 or f16 (a scale), found [2] in f32"),
            (whole, None, "tensor m.weight_scale: expected one number"),
            (number("m.scale_weight", f32::NAN), None, "tensor m.scale_weight: NaN is no scale"),
            (number("m.scale_weight", -1.0), None, "tensor m.scale_weight: -1 is no scale"),
            (marker, None, "tensor m.weight: [1, 2] in f8_e4m3 without a scale beside it"),
            (quant, None, "tensor m.comfy_quant: the format nvfp4 is not supported; expected float8_e4m3fn or"),
            (number("x", 0.0), Some(layers("mxfp8")), "tensor m: the format mxfp8 is not supported"),
            (number("x", 0.0), Some(layers("float8_e4m3fn")), "tensor m.weight_scale: missing, though _quantization"),
            (number("x", 0.0), Some("{".to_owned()), "damaged header: _quantization_metadata: EOF"),
        ] {
            let message = parse(&[weight("m.weight"), more], metadata.as_deref()).unwrap_err();
            assert!(message.starts_with("x.safetensors: ") && message.contains(expected), "{message}");
            assert!(!message.contains('\n'));
        }
        let table = [weight("shared.weight"), ("scaled_fp8", Dtype::F32, &[0], vec![])];
        assert!(parse(&table, None).is_ok());
        let message = parse(&[weight("m.float8_data")], None).unwrap_err();
        assert!(message.contains("tensor m.scale: missing"), "{message}");
    }
}
