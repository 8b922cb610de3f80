//! What operators need: health, status, metrics, and an account of what safety checkers said.

mod checks;
mod counted;
pub mod health;
pub mod host_gauges;
pub mod load;
pub mod loras;
pub mod metrics;
pub mod operator;
mod queue_gauges;
mod readiness;
pub mod status;

pub use counted::Counted;
pub use readiness::{Needs, Readiness};

use crate::auth::Auth;
use crate::error_shape::{Neutral, behind_key, enclosed};
use axum::Router;
use loras::LoraSources;
use operator::OperatorSources;

/// What those who have a key may know of the server, some of it only with an operator's.
pub fn router_behind_key(auth: &Auth, operator: OperatorSources, loras: LoraSources) -> Router {
    let status = status::router(operator.status.clone());
    let routes = status.merge(operator::router(operator)).merge(loras::router(loras));
    enclosed::<Neutral, ()>(behind_key::<Neutral, ()>(auth, routes))
}
