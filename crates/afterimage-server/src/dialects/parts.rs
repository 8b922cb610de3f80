//! What the handlers of the dialects take. Each names the parts that it needs, as `State`.

use crate::auth::Auth;
use crate::cost::Rates;
use crate::files::{FileLinks, Media, ResultFiles};
use crate::follow::{Follower, SyncRunner};
use crate::http::{BodyReader, PublicUrl};
use crate::intake::Intake;
use crate::model_sets::ModelSets;
use crate::submit::Submitter;
use afterimage_jobs::Store;
use axum::extract::FromRef;
use std::sync::Arc;

/// The parts of the server that dialects are made of. Clones share all of it.
#[derive(Clone)]
pub struct DialectParts {
    /// Tells whose a request is.
    pub auth: Auth,
    /// Jobs, keys, uploads.
    pub store: Arc<dyn Store>,
    /// Reads requests for pictures.
    pub intake: Intake,
    /// Makes jobs, waits for them and follows them.
    pub sync: SyncRunner,
    /// Results as files.
    pub results: ResultFiles,
    /// Uploads as files.
    pub media: Media,
}

/// Makes what a handler takes of a part.
macro_rules! taken_from {
    ($($taken:ty: $($field:ident).+;)+) => {$(
        impl FromRef<DialectParts> for $taken {
            fn from_ref(parts: &DialectParts) -> Self {
                parts.$($field).+.clone()
            }
        }
    )+};
}

taken_from! {
    Arc<dyn Store>: store;
    Intake: intake;
    BodyReader: intake.bodies;
    PublicUrl: intake.public_url;
    SyncRunner: sync;
    Submitter: sync.submitter;
    Rates: sync.submitter.rates;
    Arc<ModelSets>: sync.submitter.models;
    Follower: sync.follower;
    ResultFiles: results;
    FileLinks: results.links;
    Media: media;
}
