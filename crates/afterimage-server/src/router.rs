//! All routes of the public listener.

use crate::app::App;
use crate::dialects::{fal, openai, wavespeed};
use crate::error_shape::{ErrorShape, Neutral, enclosed};
use crate::http::{layers, without_extra_slashes};
use crate::operations::{self, health, metrics};
use crate::refusal::Refusal;
use crate::text::cut;
use crate::{docs, files, mcp, playground};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use axum::{Router, middleware};
use std::sync::Arc;

/// Everything under one address. Paths of the dialects do not collide.
pub fn routes(app: &App) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz).with_state(Arc::clone(&app.readiness)))
        .merge(
            operations::router_behind_key(&app.dialects.auth, app.operator.clone(), app.loras.clone())
                .route_layer(middleware::from_fn(playground::status_page)),
        )
        .merge(docs::router())
        .merge(playground::router())
        .merge(mcp::router(&app.dialects))
        .nest("/media", enclosed::<Neutral, ()>(files::router(app.dialects.media.clone())))
        .nest("/api/v3", wavespeed::router(app.dialects.clone()))
        .nest("/api/v2", wavespeed::router(app.dialects.clone()))
        .nest("/v1", openai::router(app.dialects.clone()))
        .merge(fal::router(&app.dialects))
        .fallback(|request: Request| async move { unknown(&request) })
        .method_not_allowed_fallback(|| async { Neutral::respond(&Refusal::MethodNotAllowed) })
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app.metrics.metrics), metrics::measure))
}

/// `routes` as they are served.
pub fn served(routes: Router) -> Router {
    let normal = async |request: Request| without_extra_slashes(request);
    // Before anything looks at the path.
    layers::wrap(Router::new().fallback_service(routes).layer(middleware::map_request(normal)))
}

/// Paths of all [`routes`] in the order of their text, parameters in braces.
pub fn paths(routes: &Router) -> Vec<String> {
    // There is no other way to ask for them; a test notices when it finds none.
    let described = format!("{routes:?}");
    let mut paths: Vec<String> = described
        .split("RouteId(")
        .filter_map(|entry| Some(entry.split_once("): \"")?.1.split_once('"')?.0.to_owned()))
        .filter(|path| path.starts_with('/'))
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

fn unknown(request: &Request) -> Response {
    Neutral::respond(&Refusal::NotFound(format!("no such path: {}", cut(request.uri().path(), 200))))
}
