//! Which `LoRA`s requests can name.

use super::checks::DEFAULT;
use crate::error_shape::{Neutral, ShapedRefusal};
use crate::loras::LoraFolders;
use crate::model_sets::ModelSets;
use crate::refusal::Refusal;
use afterimage_core::ModelName;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::io;
use std::sync::Arc;
use utoipa::ToSchema;

/// The names that requests can give in `loras`.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ServerLoras {
    /// Of each set of models that takes any.
    loras: Vec<ShownLoras>,
}

/// What requests for one set of models can name.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LoraNames)]
struct ShownLoras {
    /// Name of the set of models, as the status has it; `default` for the one without a name.
    model: String,
    /// The names, in the order of the alphabet.
    names: Vec<String>,
}

/// What the names are read from. Clones share all of it.
#[derive(Clone)]
pub struct LoraSources {
    /// The folders.
    pub folders: LoraFolders,
    /// In whose order they are shown.
    pub models: Arc<ModelSets>,
}

impl LoraSources {
    fn read(&self) -> io::Result<ServerLoras> {
        let mut loras = Vec::new();
        for queue in self.models.queues() {
            let Some(folder) = self.folders.of(queue) else { continue };
            let model = queue.as_ref().map_or(DEFAULT, ModelName::as_str).to_owned();
            loras.push(ShownLoras { model, names: folder.names()?.into_iter().map(String::from).collect() });
        }
        Ok(ServerLoras { loras })
    }
}

/// The LoRAs that requests can name
///
/// They are the operator's: every key sees and uses all of them.
#[utoipa::path(get, path = "/loras", tag = "operations", responses((status = 200, description = "The names, by set of models", body = ServerLoras)))]
#[expect(clippy::missing_errors_doc, reason = "the comment is what the API's description says")]
pub async fn loras(State(sources): State<LoraSources>) -> Result<Json<ServerLoras>, ShapedRefusal<Neutral>> {
    let read = tokio::task::spawn_blocking(move || sources.read()).await.map_err(|_| Refusal::Internal)?;
    Ok(read.map(Json).map_err(|error| {
        tracing::error!(%error, "the folder of LoRAs cannot be read");
        Refusal::Unavailable
    })?)
}

/// The route, for those who have a key.
pub fn router(sources: LoraSources) -> Router {
    Router::new().route("/loras", get(loras)).with_state(sources)
}
