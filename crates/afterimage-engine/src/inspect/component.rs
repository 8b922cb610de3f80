//! The report on one component.

use super::needs::needs;
use super::report::{ComponentKind, ComponentReport, TensorProblem};
use super::wanted::WantedTensors;
use crate::bundle::Bundle;
use crate::config::{Beyond, FluxConfig, VaeConfig};
use crate::models::{ClipTextConfig, SiglipConfig, T5Config};
use crate::weights::{Component, LayoutSource, TensorSource, Wanted, layout};
use afterimage_core::{Error, Result, shortened};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// The report on a component that could be opened; `folder` is where its `config.json` would be.
pub(super) fn report(name: &str, folder: Option<&Bundle>, component: Component) -> ComponentReport {
    let component = Arc::new(component);
    let mut report = contents(name, &component);
    let Some((kind, source)) = recognise(&component) else {
        let first: Vec<_> = component.names().take(3).map(shortened).collect();
        report.reason = format!("not a model this program knows; it starts with {}", first.join(", "));
        return report;
    };
    report.kind = kind;
    report.layout = Some(source.layout().to_owned());
    source.prefix().clone_into(&mut report.prefix);
    let folder = folder.filter(|folder| folder.has("config.json"));
    match needs(kind, &source, folder) {
        Ok(needs) => {
            report.sizes = needs.sizes;
            compare(&mut report, &source, &needs.recording);
            add_others(&mut report, kind, &component);
            match folder.map_or(Ok(None), |folder| beyond(kind, &source, folder)) {
                Ok(None) => {}
                Ok(Some(beyond)) => contradict(&mut report, beyond),
                Err(error) => {
                    report.fits = false;
                    report.reason = error.to_string();
                }
            }
        }
        Err(error) => report.reason = error.to_string(),
    }
    report
}

/// The report on a component that could not be opened.
pub(super) fn broken(name: &str, path: PathBuf, reason: String) -> ComponentReport {
    ComponentReport {
        name: name.to_owned(),
        path,
        kind: ComponentKind::Unknown,
        layout: None,
        prefix: String::new(),
        files: 0,
        bytes: 0,
        tensors: 0,
        parameters: 0,
        dtypes: BTreeMap::new(),
        sizes: Vec::new(),
        problems: Vec::new(),
        unneeded: Vec::new(),
        fits: false,
        reason,
    }
}

/// Everything that can be counted without knowing what it is.
fn contents(name: &str, component: &Component) -> ComponentReport {
    let mut report = broken(name, component.path().to_path_buf(), String::new());
    report.files = component.files().len();
    report.bytes = component.files().iter().map(|file| file.file_bytes() as u64).sum();
    report.tensors = component.len();
    for info in component.names().filter_map(|name| component.info(name)) {
        // A tensor's numbers fit its file, so the product cannot overflow; their sum cannot either.
        report.parameters += info.shape.iter().product::<usize>() as u64;
        *report.dtypes.entry(info.type_name.clone()).or_default() += 1;
    }
    report
}

type OpenLayout = fn(Arc<Component>) -> Result<LayoutSource>;

/// The layouts, most distinctive first.
const LAYOUTS: [(ComponentKind, OpenLayout); 6] = [
    (ComponentKind::FluxTransformer, layout::flux),
    (ComponentKind::Vae, layout::vae),
    (ComponentKind::T5, layout::t5),
    (ComponentKind::Redux, layout::redux),
    // Full SigLIP checkpoints hold a text tower with CLIP's names as well.
    (ComponentKind::Siglip, layout::siglip),
    (ComponentKind::Clip, layout::clip),
];

fn recognise(component: &Arc<Component>) -> Option<(ComponentKind, LayoutSource)> {
    LAYOUTS.into_iter().find_map(|(kind, open)| Some((kind, open(Arc::clone(component)).ok()?)))
}

/// Names the networks that an all-in-one checkpoint holds beside its transformer: `--transformer` uses them, too.
fn add_others(report: &mut ComponentReport, kind: ComponentKind, component: &Arc<Component>) {
    const USED: [ComponentKind; 3] = [ComponentKind::Vae, ComponentKind::T5, ComponentKind::Clip];
    if kind != ComponentKind::FluxTransformer {
        return;
    }
    for (kind, open) in LAYOUTS.into_iter().filter(|(kind, _)| USED.contains(kind)) {
        let Ok(source) = open(Arc::clone(component)) else { continue };
        let Ok(needs) = needs(kind, &source, None) else { continue };
        let names: BTreeSet<String> =
            needs.recording.0.iter().flat_map(|wanted| source.file_names(&wanted.name)).collect();
        report.unneeded.retain(|name| !names.contains(name));
        let missing = names.iter().filter(|name| !component.has(name)).count();
        let state = if missing == 0 { "complete".to_owned() } else { format!("{missing} tensors are missing") };
        report.sizes.push((format!("holds {kind}"), state));
    }
}

/// A block in the weights that the configuration in `folder` does not count.
fn beyond(kind: ComponentKind, source: &LayoutSource, folder: &Bundle) -> Result<Option<Beyond>> {
    Ok(match kind {
        ComponentKind::FluxTransformer => source.beyond(&FluxConfig::read(folder)?.depths()),
        ComponentKind::Vae => source.beyond(&VaeConfig::read(folder)?.depths()),
        ComponentKind::T5 => source.beyond(&T5Config::read(folder)?.depths()),
        ComponentKind::Clip => source.beyond(&ClipTextConfig::read(folder)?.depths()),
        ComponentKind::Siglip => source.beyond(&SiglipConfig::read(folder)?.depths()),
        ComponentKind::Redux | ComponentKind::Lora | ComponentKind::Unknown => None,
    })
}

/// Reports `beyond` before anything else: what else is found follows from it.
fn contradict(report: &mut ComponentReport, beyond: Beyond) {
    report.fits = false;
    report.reason = format!("config.json: {beyond}");
    let Beyond { field, used, is_switch, present, tensor } = beyond;
    let (expected, found) = if is_switch {
        (format!("no such part, as config.json says ({field}: false)"), "the part".to_owned())
    } else {
        (format!("no such block, as config.json says ({field}: {used})"), format!("{present} blocks"))
    };
    report.problems.insert(0, TensorProblem { tensor, expected, found });
}

/// Asks for every tensor as the model would, and lists the rest.
fn compare(report: &mut ComponentReport, source: &LayoutSource, (wanted, ended): &WantedTensors) {
    let mut needed = BTreeSet::new();
    for Wanted { name, shape } in wanted {
        needed.extend(source.file_names(name));
        match source.rows(name, shape) {
            Ok(_) => {}
            Err(Error::Tensor { tensor, expected, found, .. }) => {
                report.problems.push(TensorProblem { tensor, expected, found });
            }
            Err(error) => report.problems.push(TensorProblem {
                tensor: name.clone(),
                expected: format!("{shape:?}"),
                found: error.to_string(),
            }),
        }
    }
    report.unneeded = source.component().names().filter(|name| !needed.contains(*name)).map(str::to_owned).collect();
    report.fits = report.problems.is_empty() && ended.is_ok();
    report.reason = match (&report.problems[..], ended) {
        ([], Err(error)) => error.to_string(),
        ([], Ok(())) => "all tensors that are needed are there".to_owned(),
        ([problem, rest @ ..], _) => {
            let (tensor, expected, found) =
                (shortened(&problem.tensor), shortened(&problem.expected), shortened(&problem.found));
            let more = if rest.is_empty() { String::new() } else { format!("; {} more like it", rest.len()) };
            format!("tensor {tensor}: expected {expected}, found {found}{more}")
        }
    };
}
