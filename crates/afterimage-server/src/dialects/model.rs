//! A model as a dialect offers it.

use super::generation::Flow;
use crate::model_sets::ModelSets;
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

    /// Those of `models` that one of the server's `sets` serves.
    pub fn served(models: &'static [Self], sets: &ModelSets) -> impl Iterator<Item = &'static Self> {
        models.iter().filter(|model| sets.serve(model.id))
    }

    /// The one with `id` among them.
    ///
    /// # Errors
    /// The ids of all of them, for the message.
    pub fn find_served(models: &'static [Self], sets: &ModelSets, id: &str) -> Result<&'static Self, String> {
        Self::served(models, sets).find(|model| model.id == id).ok_or_else(|| {
            let known: Vec<&str> = Self::served(models, sets).map(|model| model.id).collect();
            known.join(", ")
        })
    }
}
