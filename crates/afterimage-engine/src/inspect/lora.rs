//! The report on a LoRA.

use super::report::{ComponentKind, ComponentReport};
use crate::weights::lora::{LoraForm, LoraPairs};
use afterimage_core::{Error, shortened};
use std::path::Path;

/// Says what the file `path` adds, and to what. Whether a model has the layers is not known without the model.
pub(super) fn describe(report: &mut ComponentReport, path: &Path) {
    report.kind = ComponentKind::Lora;
    let pairs = match LoraPairs::open(path) {
        Ok(pairs) => pairs,
        Err(error) => {
            // The report names the file.
            report.reason = match error {
                Error::ModelFile { problem, .. } => problem,
                Error::Tensor { tensor, expected, found, .. } => {
                    format!("tensor {}: expected {expected}, found {found}", shortened(&tensor))
                }
                error => error.to_string(),
            };
            return;
        }
    };
    let forms: Vec<&str> = pairs.forms().map(LoraForm::name).collect();
    report.layout = Some(forms.join(" and "));
    let rank = match pairs.ranks() {
        [least, most] if least == most => most.to_string(),
        [least, most] => format!("{least} to {most}"),
    };
    report.sizes.push(("rank".to_owned(), rank));
    let layers = pairs.layers();
    report.sizes.extend(layers.iter().map(|(part, count)| (format!("layers of the {part}"), count.to_string())));
    report.fits = true;
    "every pair of matrices is complete; --lora checks them against a model".clone_into(&mut report.reason);
}
