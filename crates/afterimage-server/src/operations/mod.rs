//! What operators need: health, status, metrics, and an account of what safety checkers said.

mod checks;
mod counted;
pub mod health;
pub mod host_gauges;
pub mod load;
pub mod loras;
pub mod metrics;
mod queue_gauges;
mod readiness;
pub mod status;

pub use counted::Counted;
pub use readiness::{Needs, Readiness};

use crate::auth::Auth;
use crate::error_shape::{Neutral, behind_key, enclosed};
use axum::Router;
use loras::LoraSources;
use status::StatusSources;

/// What those who have a key may know of the server.
pub fn router_behind_key(auth: &Auth, status: StatusSources, loras: LoraSources) -> Router {
    let routes = status::router(status).merge(loras::router(loras));
    enclosed::<Neutral, ()>(behind_key::<Neutral, ()>(auth, routes))
}
