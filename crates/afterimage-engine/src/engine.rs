//! The engine: loaded models and the one call that uses them.

use crate::generation::Generation;
use crate::memory::MemoryPlan;
use crate::observer::Observer;
use crate::options::EngineOptions;
use crate::pipeline::{self, Encodings, Order, Pipeline};
use afterimage_core::{GenerationRequest, ModelFacts, Picture, Result, Size};

/// The models of one base and Redux pair. Weights are mapped when it is opened and each model is built when a request
/// first needs it; one engine serves any number of requests, one at a time or in parallel.
pub struct Engine {
    pipeline: Box<dyn Pipeline>,
    encodings: Encodings,
}

impl Engine {
    /// Opens the models that `options` name and checks that their configurations fit each other.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] or [`afterimage_core::Error::Tensor`] for a file that is missing or does not fit, [`afterimage_core::Error::Device`].
    pub fn open(options: &EngineOptions) -> Result<Self> {
        Ok(Self { pipeline: pipeline::open(options)?, encodings: Encodings::default() })
    }

    /// Output size when a request names none.
    pub fn native_size(&self) -> Size {
        self.facts().native_size
    }

    /// What this engine runs.
    pub fn facts(&self) -> ModelFacts {
        self.pipeline.facts()
    }

    /// What a picture of the native size in 28 steps takes of memory, and what becomes of each network.
    ///
    /// # Errors
    /// When there is not as much.
    pub fn memory(&self) -> Result<MemoryPlan> {
        self.pipeline.memory()
    }

    /// Runs `request` on the decoded input pictures, for the only tenant there is.
    ///
    /// # Errors
    /// Those of [`Engine::generate_for`].
    pub fn generate(
        &self,
        request: &GenerationRequest,
        sources: &[Picture],
        observer: &dyn Observer,
    ) -> Result<Generation> {
        self.generate_for("", request, sources, observer)
    }

    /// Runs `request` on the decoded input pictures. What an earlier request encoded is used again only for requests
    /// of the same `tenant`, an opaque name: no tenant can ask, by an answer or by its speed, what others encoded.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Field`] and the like for a request that cannot run, [`afterimage_core::Error::Cancelled`], and those of [`Engine::open`] for models
    /// that are built now.
    pub fn generate_for(
        &self,
        tenant: &str,
        request: &GenerationRequest,
        sources: &[Picture],
        observer: &dyn Observer,
    ) -> Result<Generation> {
        self.pipeline.generate(&Order { tenant, request, sources, observer, encodings: &self.encodings })
    }
}
