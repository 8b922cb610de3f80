//! Real files through the whole of `weights`: the parity bundles, the embedded demo model, and other layouts of them.

#![allow(clippy::unwrap_used, reason = "helper functions of tests may panic as tests do")]

use afterimage_core::{Error, Result};
use afterimage_engine::config::{FluxConfig, SchedulerConfig, VaeConfig};
use afterimage_engine::inspect::wanted::{self, WantedTensors};
use afterimage_engine::inspect::{ComponentKind, inspect, shapes};
use afterimage_engine::weights::{
    Bundle, Component, FluxShape, LayoutSource, Scope, TensorFile, TensorInfo, TensorSource, Wanted, layout,
};
use afterimage_tensors::{Element, SharedBytes, StoredTensor};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tensors to be written: name to shape and numbers.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn parity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/bundles").join(name)
}

/// Base and Redux folders of the two parity bundles and of the embedded demo model.
fn bundles() -> Vec<(Bundle, Bundle)> {
    let demo = Bundle::embedded(afterimage_demo::NAME, afterimage_demo::FILES);
    let mut bundles = vec![(demo.clone(), demo.folder("redux"))];
    for name in ["dev", "schnell"] {
        let folder = Bundle::open(parity(name)).unwrap();
        bundles.push((folder.folder("base"), folder.folder("redux")));
    }
    bundles
}

fn open(bundle: &Bundle, name: &str) -> Arc<Component> {
    Arc::new(Component::open(&bundle.folder(name)).unwrap())
}

/// All that a constructor asks for.
fn whole((wanted, ended): WantedTensors) -> Vec<Wanted> {
    ended.unwrap();
    wanted
}

/// Every wanted tensor is there, and exactly `unneeded` is left over.
fn assert_complete(source: &LayoutSource, wanted: &[Wanted], unneeded: impl Fn(&str) -> bool) {
    let mut left: Vec<String> = source.component().names().map(str::to_owned).collect();
    for Wanted { name, shape } in wanted {
        let blocks = source.rows(name, shape).unwrap_or_else(|error| panic!("{error}"));
        let numbers: usize = blocks.iter().map(StoredTensor::numbers).sum();
        assert_eq!(numbers, shape.iter().product::<usize>(), "{name}");
        assert_eq!(source.shape(name).as_ref(), Some(shape), "{name}");
        let used = source.file_names(name);
        left.retain(|name| !used.contains(name));
    }
    left.retain(|name| !unneeded(name));
    assert!(left.is_empty(), "{left:?}");
}

fn write(path: &Path, tensors: &Tensors) {
    let bytes: Vec<(&String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (name, shape.clone(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views =
        bytes.iter().map(|(name, shape, bytes)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// Writes `tensors` to a file and opens it.
fn reopen(tensors: &Tensors) -> Arc<Component> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.safetensors");
    write(&path, tensors);
    Arc::new(Component::open_file(&path).unwrap())
}

fn canonical_values(scope: &Scope, wanted: &[Wanted]) -> Tensors {
    wanted
        .iter()
        .map(|Wanted { name, shape }| (name.clone(), (shape.clone(), scope.values(name, shape).unwrap())))
        .collect()
}

fn dev_transformer() -> (LayoutSource, FluxConfig) {
    let folder = Bundle::open(parity("dev/base/transformer")).unwrap();
    let source = layout::flux(Arc::new(Component::open(&folder).unwrap())).unwrap();
    (source, FluxConfig::read(&folder).unwrap())
}

fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn every_component_of_every_bundle_is_complete_under_canonical_names() {
    for (base, redux) in bundles() {
        let config = FluxConfig::read(&base.folder("transformer")).unwrap();
        let source = layout::flux(open(&base, "transformer")).unwrap();
        assert_eq!((source.layout(), source.prefix()), ("diffusers", ""));
        assert_complete(&source, &whole(wanted::flux(&config)), |_| false);
        let shape = FluxShape::read(&source).unwrap();
        shape.check(&source, &config).unwrap();
        assert_eq!(
            FluxConfig { class_name: config.class_name.clone(), ..shape.config(Some(config.axes_dims_rope)) },
            config
        );

        let config = VaeConfig::read(&base.folder("vae")).unwrap();
        assert_complete(&layout::vae(open(&base, "vae")).unwrap(), &whole(wanted::vae(&config)), |_| false);

        SchedulerConfig::read(&base.folder("scheduler")).unwrap();

        let source = layout::clip(open(&base, "text_encoder")).unwrap();
        let config = shapes::clip(&source).unwrap();
        assert_eq!(config.max_position_embeddings, 77);
        assert_complete(&source, &whole(wanted::clip(config)), |name| name.ends_with("embeddings.position_ids"));

        let source = layout::t5(open(&base, "text_encoder_2")).unwrap();
        assert_complete(&source, &whole(wanted::t5(shapes::t5(&source).unwrap())), |_| false);

        let source = layout::siglip(open(&redux, "image_encoder")).unwrap();
        let wanted = whole(wanted::siglip(shapes::siglip(&source).unwrap()));
        assert_complete(&source, &wanted, |name| name.contains("head."));

        let source = layout::redux(open(&redux, "image_embedder")).unwrap();
        assert_complete(&source, &whole(wanted::redux(shapes::redux(&source).unwrap())), |_| false);
    }
}

#[test]
fn fused_tensors_hold_the_values_of_diffusers_parts() {
    let (source, config) = dev_transformer();
    let component = Arc::clone(source.component());
    let scope = source.scope();
    let stored = |name: &str| {
        let tensor = component.file_of(name).and_then(|file| file.tensor(name)).unwrap();
        let values: Vec<f32> =
            tensor.bytes().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        values
    };
    let hidden = config.hidden();

    let qkv = scope.matrix("double_blocks.1.img_attn.qkv.weight", 3 * hidden, hidden).unwrap();
    let expected: Vec<f32> = ["to_q", "to_k", "to_v"]
        .iter()
        .flat_map(|part| stored(&format!("transformer_blocks.1.attn.{part}.weight")))
        .collect();
    assert_eq!(qkv.to_f32(), expected);

    let linear1 = scope.vector("single_blocks.1.linear1.bias", 7 * hidden).unwrap();
    let expected: Vec<f32> = ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]
        .iter()
        .flat_map(|part| stored(&format!("single_transformer_blocks.1.{part}.bias")))
        .collect();
    assert_eq!(linear1, expected);

    for (kind, shape) in [("weight", vec![2 * hidden, hidden]), ("bias", vec![2 * hidden])] {
        let values = scope.values(&format!("final_layer.adaLN_modulation.1.{kind}"), &shape).unwrap();
        let stored = stored(&format!("norm_out.linear.{kind}"));
        let (scale, shift) = stored.split_at(stored.len() / 2);
        assert_ne!(scale, shift);
        assert_eq!(values, [shift, scale].concat(), "{kind}");
    }
}

#[test]
fn bfl_files_hold_the_same_transformer_behind_any_prefix() {
    let (source, config) = dev_transformer();
    let wanted = whole(wanted::flux(&config));
    let values = canonical_values(&source.scope(), &wanted);
    for prefix in ["", "model.diffusion_model.", "diffusion_model.", "module.", "some.tool._orig_mod."] {
        let mut file: Tensors =
            values.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect();
        file.insert("first_stage_model.decoder.conv_in.bias".to_owned(), (vec![1], vec![0.0]));
        let source = layout::flux(reopen(&file)).unwrap();
        assert_eq!((source.layout(), source.prefix()), ("BFL", prefix));
        assert_complete(&source, &wanted, |name| name.starts_with("first_stage_model."));
        let shape = FluxShape::read(&source).unwrap();
        shape.check(&source, &config).unwrap();
        assert_eq!(canonical_values(&source.scope(), &wanted), values);
    }
}

#[test]
fn of_two_models_behind_unknown_names_none_is_taken() {
    let anchor = |prefix: &str| (format!("{prefix}double_blocks.0.img_attn.qkv.weight"), (vec![1], vec![0.0]));
    let open = |prefixes: &[&str]| layout::flux(reopen(&prefixes.iter().map(|prefix| anchor(prefix)).collect()));
    assert_eq!(open(&["net.", "model."]).unwrap().prefix(), "model.");
    assert!(open(&["net.", "ema."]).is_err() && open(&["another_"]).is_err());
}

#[test]
fn full_size_files_have_the_published_numbers_of_tensors() {
    let anchor = "transformer_blocks.0.attn.add_q_proj.weight".to_owned(); // Gives diffusers' names away.
    let source = layout::flux(reopen(&Tensors::from([(anchor, (vec![1], vec![0.0]))]))).unwrap();
    for (guidance_embeds, expected) in [(true, 1160), (false, 1156)] {
        let config = FluxConfig { guidance_embeds, ..FluxConfig::default() };
        let wanted = whole(wanted::flux(&config));
        let names: BTreeSet<String> = wanted.iter().flat_map(|wanted| source.file_names(&wanted.name)).collect();
        assert_eq!(names.len(), expected);
        assert!(names.contains("transformer_blocks.18.ff_context.net.0.proj.weight"));
        assert!(names.contains("single_transformer_blocks.37.attn.norm_k.weight"));
    }
}

#[test]
fn a_transformer_that_does_not_fit_its_base_names_the_field() {
    let (source, config) = dev_transformer();
    let shape = FluxShape::read(&source).unwrap();
    for (other, expected) in [
        (
            FluxConfig { pooled_projection_dim: 768, ..config.clone() },
            "pooled_projection_dim is 32 in this file, but 768",
        ),
        (FluxConfig { in_channels: 128, ..config.clone() }, "in_channels is 64 in this file, but 128"),
    ] {
        let message = message(shape.check(&source, &other));
        assert!(message.contains(expected), "{message}");
    }
    // Depth, width and guidance are the file's own.
    shape.check(&source, &FluxConfig { num_layers: 19, guidance_embeds: false, ..config }).unwrap();
}

/// BFL's name for a canonical (diffusers) VAE name, by plain replacement in the order of the reference table.
fn bfl_vae_name(name: &str, levels: usize) -> String {
    let mut name = name
        .replace("conv_norm_out", "norm_out")
        .replace("mid_block.resnets.0", "mid.block_1")
        .replace("mid_block.resnets.1", "mid.block_2")
        .replace("mid_block.attentions.0.group_norm", "mid.attn_1.norm")
        .replace("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out")
        .replace("mid_block.attentions.0.to_", "mid.attn_1.")
        .replace("conv_shortcut", "nin_shortcut")
        .replace("downsamplers.0.", "downsample.")
        .replace("upsamplers.0.", "upsample.")
        .replace("down_blocks.", "down.")
        .replace("resnets.", "block.");
    for level in 0..levels {
        name = name.replace(&format!("up_blocks.{level}."), &format!("up.{}.", levels - 1 - level));
    }
    name
}

#[test]
fn vaes_of_all_layouts_hold_the_same_values() {
    let folder = Bundle::open(parity("dev/base/vae")).unwrap();
    let config = VaeConfig::read(&folder).unwrap();
    let wanted = whole(wanted::vae(&config));
    let values = canonical_values(&layout::vae(Arc::new(Component::open(&folder).unwrap())).unwrap().scope(), &wanted);

    for prefix in ["", "first_stage_model."] {
        let bfl: Tensors = values
            .iter()
            .map(|(name, (shape, values))| {
                let mut shape = shape.clone();
                if name.contains("attentions") && shape.len() == 2 {
                    shape.extend([1, 1]);
                }
                (format!("{prefix}{}", bfl_vae_name(name, 4)), (shape, values.clone()))
            })
            .collect();
        assert_eq!(bfl.len(), wanted.len());
        let source = layout::vae(reopen(&bfl)).unwrap();
        assert_eq!((source.layout(), source.prefix()), ("BFL", prefix));
        let used: usize = wanted.iter().map(|wanted| source.file_names(&wanted.name).len()).sum();
        assert_eq!(used, bfl.len());
        assert_eq!(canonical_values(&source.scope(), &wanted), values);
    }

    let old: Tensors = values
        .iter()
        .map(|(name, tensor)| {
            let name = name
                .replace("attentions.0.to_out.0", "attentions.0.proj_attn")
                .replace("attentions.0.to_q", "attentions.0.query")
                .replace("attentions.0.to_k", "attentions.0.key")
                .replace("attentions.0.to_v", "attentions.0.value");
            (name, tensor.clone())
        })
        .collect();
    assert_eq!(canonical_values(&layout::vae(reopen(&old)).unwrap().scope(), &wanted), values);
}

#[test]
fn t5_files_may_call_their_table_embed_tokens() {
    let source = layout::t5(open(&Bundle::open(parity("dev/base")).unwrap(), "text_encoder_2")).unwrap();
    let wanted = whole(wanted::t5(shapes::t5(&source).unwrap()));
    let values = canonical_values(&source.scope(), &wanted);
    let mut renamed = values.clone();
    let table = renamed.remove("shared.weight").unwrap();
    renamed.insert("encoder.embed_tokens.weight".to_owned(), table.clone());
    assert_eq!(canonical_values(&layout::t5(reopen(&renamed)).unwrap().scope(), &wanted), values);
    renamed.insert("shared.weight".to_owned(), table);
    let source = layout::t5(reopen(&renamed)).unwrap();
    assert_complete(&source, &wanted, |name| name == "encoder.embed_tokens.weight");
}

#[test]
fn tensor_errors_use_the_files_spelling() {
    let (source, config) = dev_transformer();
    let values = canonical_values(&source.scope(), &whole(wanted::flux(&config)));
    let mut file: Tensors = values.iter().map(|(name, tensor)| (format!("model.{name}"), tensor.clone())).collect();
    let (_, numbers) = file.remove("model.txt_in.bias").unwrap();
    file.insert("model.img_in.bias".to_owned(), (vec![numbers.len() / 2, 2], numbers));
    let source = layout::flux(reopen(&file)).unwrap();
    let text = message(source.rows("txt_in.bias", &[64]));
    assert!(
        text.ends_with("file.safetensors: tensor model.txt_in.bias: expected [64] in f32, bf16, f16, fp8, GGUF's Q2_K to Q8_0 or IQ4_NL, found nothing"),
        "{text}"
    );
    let text = message(source.rows("img_in.bias", &[64]));
    assert!(
        text.contains("tensor model.img_in.bias: expected [64] in f32, bf16, f16, fp8, GGUF's Q2_K to Q8_0 or IQ4_NL, found [32, 2] in f32"),
        "{text}"
    );

    let (source, _) = dev_transformer();
    let error = source.rows("single_blocks.0.linear1.weight", &[700, 64]).unwrap_err();
    let Error::Tensor { tensor, expected, found, .. } = error else { panic!("{error}") };
    assert_eq!(tensor, "single_transformer_blocks.0.attn.to_q.weight");
    assert_eq!(
        (expected.as_str(), found.as_str()),
        ("[100, 64] in f32, bf16, f16, fp8, GGUF's Q2_K to Q8_0 or IQ4_NL", "[64, 64] in f32")
    );
}

#[test]
fn other_types_and_models_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("integers.safetensors");
    let views = ["double_blocks.0.img_attn.qkv.weight", "img_in.weight"]
        .map(|name| (name, TensorView::new(Dtype::I8, vec![2, 2], &[0; 4]).unwrap()));
    safetensors::serialize_to_file(views, None, &path).unwrap();
    let source = layout::flux(Arc::new(Component::open_file(&path).unwrap())).unwrap();
    let text = message(source.rows("img_in.weight", &[2, 2]));
    assert!(
        text.contains(
            "expected [2, 2] in f32, bf16, f16, fp8, GGUF's Q2_K to Q8_0 or IQ4_NL, found [2, 2] in the unsupported type i8"
        ),
        "{text}"
    );

    let vae = open(&Bundle::open(parity("dev/base")).unwrap(), "vae");
    let text = message(layout::flux(vae).map(drop));
    assert!(
        text.contains("is not a FLUX transformer: looked for double_blocks.0.img_attn.qkv.weight (BFL) and"),
        "{text}"
    );
}

#[test]
fn inspection_tells_what_is_there() {
    let report = inspect(&parity("dev/base")).unwrap();
    assert!(report.fits, "{report}");
    assert_eq!(report.reason, "a complete base model");
    let kinds: Vec<ComponentKind> = report.components.iter().map(|component| component.kind).collect();
    assert_eq!(kinds, [ComponentKind::FluxTransformer, ComponentKind::Vae, ComponentKind::Clip, ComponentKind::T5]);
    let text = report.to_string();
    assert!(text.contains("  transformer: FLUX transformer\n    layout      diffusers\n"), "{text}");
    assert!(text.contains("not needed  text_model.embeddings.position_ids"), "{text}");

    let report = inspect(&parity("schnell/redux")).unwrap();
    assert_eq!((report.fits, report.reason.as_str()), (true, "a complete Redux model"));

    let file = parity("schnell/base/transformer/diffusion_pytorch_model.safetensors");
    let report = inspect(&file).unwrap();
    let component = &report.components[0];
    assert!(report.fits, "{report}");
    assert_eq!((component.layout.as_deref(), component.unneeded.len()), (Some("diffusers"), 0));
    assert_eq!(component.dtypes.keys().collect::<Vec<_>>(), ["bf16"]);
    assert!(component.sizes.contains(&("attention_head_dim".to_owned(), "128".to_owned())));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["components"][0]["kind"], "flux_transformer");

    let report = inspect(&parity("dev/redux/image_encoder")).unwrap();
    assert_eq!((report.fits, report.components[0].unneeded.len()), (true, 11));
}

#[test]
fn inspection_lists_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["transformer", "vae"] {
        let to = folder.path().join(name);
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(parity("dev/base").join(name)).unwrap() {
            let entry = entry.unwrap();
            std::fs::write(to.join(entry.file_name()), std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
    let config = folder.path().join("transformer/config.json");
    let text = std::fs::read_to_string(&config).unwrap().replace("\"num_layers\": 2", "\"num_layers\": 3");
    std::fs::write(&config, text).unwrap();
    std::fs::write(folder.path().join("vae/diffusion_pytorch_model.safetensors"), b"\x80\x02}q.").unwrap();

    let report = inspect(folder.path()).unwrap();
    assert!(!report.fits);
    let transformer = &report.components[0];
    // One block has 20 canonical tensors of which four (two weights, two biases) are fused of three.
    assert_eq!(transformer.problems.len(), 24);
    assert_eq!(transformer.problems[0].found, "nothing");
    assert!(report.components[1].reason.contains("PyTorch pickle"), "{report}");
    assert!(report.reason.contains("the base model lacks text_encoder/, text_encoder_2/, tokenizer/"), "{report}");

    assert!(message(inspect(&folder.path().join("none"))).ends_with("none: no such file"));
    assert!(message(inspect(&folder.path().join("vae"))).contains("is a PyTorch pickle"));
}

/// A file of a format that this program does not read: tensors in memory.
#[derive(Debug)]
struct OtherFormat(BTreeMap<String, (TensorInfo, StoredTensor)>);

impl OtherFormat {
    fn new(tensors: Vec<StoredTensor>) -> Self {
        let info = |tensor: &StoredTensor| TensorInfo {
            shape: tensor.shape().to_vec(),
            type_name: tensor.element().name().to_owned(),
            element: Some(tensor.element()),
        };
        Self(tensors.into_iter().map(|tensor| (tensor.name().to_owned(), (info(&tensor), tensor))).collect())
    }
}

impl TensorFile for OtherFormat {
    fn path(&self) -> &Path {
        Path::new("other.format")
    }

    fn file_bytes(&self) -> usize {
        self.0.values().map(|(_, tensor)| tensor.bytes().len()).sum()
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.0.keys().map(String::as_str))
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.0.get(name).map(|(info, _)| info)
    }

    fn tensor(&self, name: &str) -> Option<StoredTensor> {
        self.0.get(name).map(|(_, tensor)| tensor.clone())
    }

    fn bytes(&self, name: &str) -> Option<SharedBytes> {
        self.0.get(name).map(|(_, tensor)| tensor.bytes().clone())
    }
}

#[test]
fn a_format_with_blocks_and_scales_is_one_implementor() {
    let stored = |name: &str, shape: &[usize], element: Element, first: u8| {
        let length = shape.iter().product::<usize>() / element.block() * element.block_bytes();
        // No exponent of an f16 or an fp8 number is the largest.
        let bytes: Vec<u8> =
            (0..length).map(|index| (index as u8).wrapping_mul(7).wrapping_add(first) & 0x37).collect();
        StoredTensor::new(name, shape.to_vec(), element, SharedBytes::new(bytes)).unwrap()
    };
    let block = "transformer_blocks.0.attn";
    let tensors = vec![
        stored(&format!("{block}.add_q_proj.weight"), &[4, 64], Element::Q8_0, 1),
        stored(&format!("{block}.to_q.weight"), &[4, 64], Element::F8E4M3, 2).with_scale(0.5),
        stored(&format!("{block}.to_k.weight"), &[4, 64], Element::F8E5M2, 3).with_scale(3.0),
        stored(&format!("{block}.to_v.weight"), &[4, 64], Element::Q8_0, 4),
        stored("norm_out.linear.weight", &[8, 64], Element::Q8_0, 5),
        stored("norm_out.linear.bias", &[64], Element::Q8_0, 6),
        stored("proj_out.bias", &[6], Element::F16, 7),
    ];
    let values = |name: &str| {
        let tensor = tensors.iter().find(|tensor| tensor.name() == name).unwrap();
        let mut values = vec![0.0; tensor.numbers()];
        tensor.read(&mut values);
        values
    };
    let component = Component::single(Box::new(OtherFormat::new(tensors.clone()))).unwrap();
    let source = layout::flux(Arc::new(component)).unwrap();
    assert_eq!(source.component().info("proj_out.bias").unwrap().to_string(), "[6] in f16");

    // A fused projection has the type and the scale of each of its parts.
    let parts: Vec<f32> =
        ["to_q", "to_k", "to_v"].iter().flat_map(|part| values(&format!("{block}.{part}.weight"))).collect();
    let name = "double_blocks.0.img_attn.qkv.weight";
    assert_eq!(source.shape(name), Some(vec![12, 64]));
    let scope = source.scope();
    assert_eq!(scope.matrix(name, 12, 64).unwrap().to_f32(), parts);

    // Halves are cut on block boundaries, or not at all.
    for (kind, shape) in [("weight", vec![8, 64]), ("bias", vec![64])] {
        let values = values(&format!("norm_out.linear.{kind}"));
        let (scale, shift) = values.split_at(values.len() / 2);
        let name = format!("final_layer.adaLN_modulation.1.{kind}");
        assert_eq!(scope.values(&name, &shape).unwrap(), [shift, scale].concat());
    }
    assert_eq!(scope.vector("final_layer.linear.bias", 6).unwrap(), values("proj_out.bias"));
    let text = message(scope.matrix("final_layer.linear.bias", 12, 1));
    assert!(text.contains("other.format: tensor proj_out.bias: expected [12, 1]"), "{text}");
}
