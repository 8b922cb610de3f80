//! A vision transformer with a classifier: Falconsai's `nsfw_image_detection` and others of its kind (transformers'
//! `ViTForImageClassification`).

use super::preprocessor::{Defaults, Preprocessor};
use super::probability::softmax;
use crate::bundle::Bundle;
use crate::config::check::ConfigCheck;
use crate::layers::Linear;
use crate::models::{VisionConfig, VisionKind, VisionTransformer};
use crate::weights::{LayoutSource, Scope};
use afterimage_core::{Picture, Result};
use afterimage_device::{Device, Finish, Precision, View};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What ViT's image processor does where a folder does not say it. 2: bilinear.
pub(super) const DEFAULTS: Defaults =
    Defaults { processor: "ViT", resample: 2, image_mean: [0.5; 3], image_std: [0.5; 3], center_crop: false };

/// The label whose probability is the score.
const LABEL: &str = "nsfw";

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    id2label: BTreeMap<String, String>,
}

pub(super) struct VitChecker<D: Device> {
    device: Arc<D>,
    preprocessor: Preprocessor,
    network: VisionTransformer<D>,
    classifier: Linear<D>,
    labels: usize,
    /// Which of the labels says "not safe for work".
    nsfw: usize,
}

impl<D: Device> VitChecker<D> {
    pub fn load(device: &Arc<D>, folder: &Bundle, source: LayoutSource) -> Result<Self> {
        let file = "config.json";
        let path = folder.path(file);
        let check = ConfigCheck::new(&path);
        let config = VisionConfig::new(VisionKind::Vit, &folder.json(file)?, &check)?;
        let Labels { id2label } = folder.json(file)?;
        let nsfw = label(&id2label, &check)?;
        let preprocessor = Preprocessor::read(folder, &DEFAULTS, config.image_size)?;
        source.check_depths(&path, &config.depths())?;
        let scope: Scope = source.scope();
        Ok(Self {
            device: Arc::clone(device),
            preprocessor,
            network: VisionTransformer::load(device, &scope, &config)?,
            classifier: Linear::load(device.as_ref(), &scope.at("classifier"), config.hidden_size, id2label.len())?,
            labels: id2label.len(),
            nsfw,
        })
    }

    /// The probability of [`LABEL`].
    pub fn score(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<f64> {
        let device = self.device.as_ref();
        let token = self.network.class_token(&self.preprocessor.planes(picture)?, interrupted)?;
        let logits = self.classifier.apply(device, whole(&token), Finish::Store, Precision::Exact)?;
        let mut values = vec![0.0; self.labels];
        device.read(whole(&logits), &mut values)?;
        Ok(softmax(&values, self.nsfw))
    }
}

/// A buffer as one row.
pub(super) fn whole<B: afterimage_device::DeviceBuffer>(buffer: &B) -> View<'_, B> {
    View::vector(buffer, 0, buffer.len())
}

/// The index of [`LABEL`], in whatever case it is written. Indices are those of the classifier's rows.
fn label(id2label: &BTreeMap<String, String>, check: &ConfigCheck) -> Result<usize> {
    let count = id2label.len();
    for id in id2label.keys() {
        // As JSON writes numbers: "00" would be a second name of the first.
        if !id.parse::<usize>().is_ok_and(|index| index < count && index.to_string() == *id) {
            let expected = format!("{id:?} is not an index of one of {count} labels; expected 0 to {}", count - 1);
            return Err(check.refuse("id2label", expected));
        }
    }
    let named = |label: &String| label.eq_ignore_ascii_case(LABEL);
    if id2label.values().filter(|label| named(label)).count() > 1 {
        return Err(check.refuse("id2label", format!("more than one label {LABEL}; expected one")));
    }
    let found = id2label.iter().find(|(_, label)| named(label));
    found.and_then(|(id, _)| id.parse().ok()).ok_or_else(|| {
        let labels: Vec<&str> = id2label.values().map(String::as_str).collect();
        let found = if labels.is_empty() { "no labels".to_owned() } else { labels.join(", ") };
        check.refuse("id2label", format!("expected a label {LABEL}, found {found}"))
    })
}
