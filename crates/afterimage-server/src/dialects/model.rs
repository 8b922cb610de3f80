//! A model as a dialect offers it.

use super::generation::Flow;
use crate::parameters::Parameter;

/// One model of a dialect's catalogue.
#[derive(Debug)]
pub struct Model {
    /// Id in paths and answers.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// What it does and on which weights.
    pub description: &'static str,
    /// What happens with a request.
    pub flow: Flow,
    /// See [`Model::parameters`].
    pub make_parameters: fn() -> Vec<Parameter>,
}

impl Model {
    /// The parameters, in the order of the service's documentation.
    pub fn parameters(&self) -> Vec<Parameter> {
        (self.make_parameters)()
    }

    /// The model with `id` among `models`.
    pub fn find(models: &'static [Self], id: &str) -> Option<&'static Self> {
        models.iter().find(|model| model.id == id)
    }

    /// The ids of `models`, for messages.
    pub fn ids(models: &[Self]) -> String {
        models.iter().map(|model| model.id).collect::<Vec<_>>().join(", ")
    }
}
