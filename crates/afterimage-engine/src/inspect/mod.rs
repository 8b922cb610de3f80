//! What a weights file or model folder holds, and whether it fits.

mod component;
mod display;
mod lora;
mod needs;
mod report;
pub mod shapes;
pub mod wanted;

pub use report::{ComponentKind, ComponentReport, Inspection, TensorProblem};

use crate::bundle::Bundle;
use crate::config::SchedulerConfig;
use crate::weights::Component;
use crate::weights::lora::is_lora;
use afterimage_core::Result;
use std::path::Path;

/// Folders of a base model that hold weights.
const BASE_WEIGHTS: [&str; 4] = ["transformer", "vae", "text_encoder", "text_encoder_2"];

/// Folders of a base model that hold none.
const BASE_TEXT: [&str; 3] = ["tokenizer", "tokenizer_2", "scheduler"];

/// Folders of a Redux model that hold weights.
const REDUX_WEIGHTS: [&str; 2] = ["image_encoder", "image_embedder"];

/// Folders of a Redux model that hold none.
const REDUX_TEXT: [&str; 1] = ["feature_extractor"];

/// Looks into the file or folder `path`: a weights file, a component folder such as `transformer/`, or a model folder.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] when there is nothing of that name, no weights in it, or the file itself is
/// damaged or of another format. Components of a model folder that cannot be opened are reported, not errors.
pub fn inspect(path: &Path) -> Result<Inspection> {
    if !path.is_dir() {
        let component = Component::open_file(path)?;
        let names_a_lora = is_lora(component.names());
        let mut report = component::report(&name_of(path), None, component);
        if report.kind == ComponentKind::Unknown && names_a_lora {
            lora::describe(&mut report, path);
        }
        return Ok(single(path, report));
    }
    let bundle = Bundle::open(path)?;
    if BASE_WEIGHTS.iter().chain(&REDUX_WEIGHTS).any(|name| bundle.folder(name).exists()) {
        return Ok(model_folder(path, &bundle));
    }
    let report = component::report(&name_of(path), Some(&bundle), Component::open(&bundle)?);
    Ok(single(path, report))
}

fn single(path: &Path, report: ComponentReport) -> Inspection {
    Inspection { path: path.to_path_buf(), fits: report.fits, reason: report.reason.clone(), components: vec![report] }
}

fn model_folder(path: &Path, bundle: &Bundle) -> Inspection {
    let mut components = Vec::new();
    for name in BASE_WEIGHTS.iter().chain(&REDUX_WEIGHTS) {
        let folder = bundle.folder(name);
        if folder.exists() {
            components.push(match Component::open(&folder) {
                Ok(component) => component::report(name, Some(&folder), component),
                Err(error) => component::broken(name, folder.path(""), error.to_string()),
            });
        }
    }
    let missing = |names: &[&'static str]| -> Vec<&'static str> {
        names.iter().copied().filter(|name| !bundle.folder(name).exists()).collect()
    };
    let mut roles = Vec::new();
    let mut problems: Vec<String> = components
        .iter()
        .filter(|report| !report.fits)
        .map(|report| format!("{}/ does not fit: {}", report.name, report.reason))
        .collect();
    for (role, weights, text) in
        [("base model", &BASE_WEIGHTS[..], &BASE_TEXT[..]), ("Redux model", &REDUX_WEIGHTS[..], &REDUX_TEXT[..])]
    {
        // Image encoders and the like belong to one role only, so any of its weights makes the folder claim that role.
        if missing(weights).len() == weights.len() {
            continue;
        }
        roles.push(role);
        let missing: Vec<&str> = missing(weights).into_iter().chain(missing(text)).collect();
        if !missing.is_empty() {
            problems.push(format!("the {role} lacks {}/", missing.join("/, ")));
        }
    }
    if bundle.folder("scheduler").exists()
        && let Err(error) = SchedulerConfig::read(&bundle.folder("scheduler"))
    {
        problems.push(error.to_string());
    }
    let reason = if problems.is_empty() { format!("a complete {}", roles.join(" and ")) } else { problems.join("; ") };
    Inspection { path: path.to_path_buf(), components, fits: problems.is_empty(), reason }
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
