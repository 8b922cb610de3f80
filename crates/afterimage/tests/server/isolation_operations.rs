//! What every operation of `/openapi.json` takes that could be somebody else's. An operation that is not here fails the
//! test, so one that is added later has to be thought about.

use self::Takes::{
    Nothing, Parts, PartsBehind, Picture, Proxied, Request, ResultFile, Task, Tasks, Ticket, UploadFile, UploadPath,
};
use serde_json::{Map, Value};

/// What of somebody else's an operation could be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is about the key that asks, or about nobody.
    Nothing,
    /// The id of a task in its path.
    Task,
    /// The same, and its callers may have a token instead of a key.
    Request,
    /// Ids of tasks in the field `ids`.
    Tasks,
    /// The id of a task in its path and a signature.
    ResultFile,
    /// The id of an upload in its path and a signature.
    UploadFile,
    /// The id of a ticket in its path and a signature.
    Ticket,
    /// The id of an upload in parts in its path and a signature.
    Parts,
    /// The id of an upload in its path, behind a signature that is part of the path.
    UploadPath,
    /// The same, and a ticket for parts.
    PartsBehind,
    /// The address of a stored picture in this field of a JSON body.
    Picture(&'static str),
    /// The same in a form.
    Form(&'static str),
    /// The address of a request in a header.
    Proxied,
}

/// Method, path and what the operation takes. A star stands for ids of models, which hold no parameter.
const OPERATIONS: &[(&str, &str, Takes)] = &[
    ("GET", "/healthz", Nothing),
    ("GET", "/readyz", Nothing),
    // For operators; every key may read it.
    ("GET", "/status", Nothing),
    // For keys with an operator's role, who see all; `operators.rs` has the others refused.
    ("GET", "/api/status", Nothing),
    // The operator's folder is for all keys.
    ("GET", "/loras", Nothing),
    // WaveSpeed.
    ("GET", "/api/v3/predictions/{id}", Task),
    ("GET", "/api/v3/predictions/{id}/result", Task),
    ("GET", "/api/v3/predictions/{id}/events", Task),
    ("POST", "/api/v3/predictions/{id}/cancel", Task),
    ("POST", "/api/v3/predictions/delete", Tasks),
    ("POST", "/api/v3/predictions", Nothing),
    ("GET", "/api/v3/models", Nothing),
    ("POST", "/api/v3/model/pricing", Picture("inputs")),
    ("POST", "/api/v3/model/price", Picture("inputs")),
    ("GET", "/api/v3/balance", Nothing),
    ("GET", "/api/v3/account/balance", Nothing),
    ("POST", "/api/v3/media/upload/binary", Nothing),
    ("POST", "/api/v3/media/uploads", Nothing),
    ("GET", "/api/v3/webhook/secret", Nothing),
    ("POST", "/api/v3/wavespeed-ai/*", Picture("image")),
    // fal.
    ("POST", "/fal-ai/*", Picture("image_url")),
    ("POST", "/queue/fal-ai/*", Picture("image_url")),
    ("POST", "/gateway/fal-ai/*", Picture("image_url")),
    ("GET", "/queue/fal-ai/{app}/requests/{id}", Request),
    ("GET", "/queue/fal-ai/{app}/requests/{id}/status", Request),
    ("GET", "/queue/fal-ai/{app}/requests/{id}/status/stream", Request),
    ("PUT", "/queue/fal-ai/{app}/requests/{id}/cancel", Request),
    ("GET", "/gateway/fal-ai/{app}/requests/{id}", Request),
    ("GET", "/gateway/fal-ai/{app}/requests/{id}/status", Request),
    ("GET", "/gateway/fal-ai/{app}/requests/{id}/status/stream", Request),
    ("PUT", "/gateway/fal-ai/{app}/requests/{id}/cancel", Request),
    ("GET", "/api/fal/proxy", Proxied),
    ("POST", "/api/fal/proxy", Proxied),
    ("PUT", "/api/fal/proxy", Proxied),
    ("POST", "/storage/upload/initiate", Nothing),
    ("POST", "/storage/upload/initiate-multipart", Nothing),
    ("POST", "/storage/auth/token", Nothing),
    ("POST", "/files/upload", Nothing),
    ("POST", "/files/upload/multipart", Nothing),
    ("POST", "/tokens/", Nothing),
    ("GET", "/.well-known/jwks.json", Nothing),
    // OpenAI and DeepInfra.
    ("POST", "/v1/images/variations", Takes::Form("image")),
    ("POST", "/v1/images/edits", Takes::Form("image")),
    ("POST", "/v1/openai/images/variations", Takes::Form("image")),
    ("POST", "/v1/openai/images/edits", Takes::Form("image")),
    ("GET", "/v1/models", Nothing),
    ("GET", "/v1/models/{id}", Nothing),
    ("GET", "/v1/openai/models", Nothing),
    ("GET", "/v1/openai/models/{id}", Nothing),
    ("POST", "/v1/inference/*", Picture("image")),
    // Files.
    ("GET", "/media/results/{job}/{file}", ResultFile),
    ("GET", "/media/uploads/{file}", UploadFile),
    ("PUT", "/media/put/{id}", Ticket),
    ("PUT", "/media/parts/{id}/{number}", Parts),
    ("POST", "/media/parts/{id}/complete", Parts),
    ("GET", "/media/files/{expires}/{signature}/{file}", UploadPath),
    ("PUT", "/media/files/{expires}/{signature}/{file}/multipart/{ticket}/{number}", PartsBehind),
    ("POST", "/media/files/{expires}/{signature}/{file}/multipart/{ticket}/complete", PartsBehind),
];

/// Paths that are served and in no document: pages for people, the document, and what describes itself to assistants
/// (`mcp.rs` gives its tools what is somebody else's).
const PAGES: [&str; 14] = [
    "/mcp",
    "/",
    "/playground.js",
    "/brush.js",
    "/code.js",
    "/zh.js",
    "/playground.css",
    "/status.js",
    "/status.css",
    "/icon.svg",
    "/docs",
    "/docs.js",
    "/docs.css",
    "/openapi.json",
];

/// Where groups of routes begin: what is there and nowhere in the group is answered as unknown.
const GROUPS: [&str; 6] = ["/api/v3", "/fal-ai", "/queue/fal-ai", "/gateway/fal-ai", "/v1", "/v1/inference"];

/// An operation of the document.
#[derive(Clone, Debug)]
pub struct Operation {
    pub method: String,
    pub path: String,
    pub takes: Takes,
}

fn is_of(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start) && !path.contains('{'),
        None => pattern == path,
    }
}

/// Every operation of `document`, classified.
pub fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    let mut unknown = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            let method = method.to_uppercase();
            let row = OPERATIONS.iter().find(|row| row.0 == method && is_of(row.1, path));
            let Some((_, _, takes)) = row else {
                unknown.push(format!("{method} {path}"));
                continue;
            };
            let takes = *takes;
            // Ids of models are everybody's.
            let names_something = parameters(described)
                .any(|(place, name)| name == "signature" || (place == "path" && !path.contains("/models/")));
            assert!(!names_something || takes != Nothing, "{method} {path} takes an id or a signature");
            operations.push(Operation { method, path: path.clone(), takes });
        }
    }
    assert_eq!(unknown, [""; 0], "not classified: what can these be given that is somebody else's?");
    for (method, pattern, _) in OPERATIONS {
        let used = operations.iter().any(|operation| operation.method == *method && is_of(pattern, &operation.path));
        assert!(used, "{method} {pattern} is no operation any more");
    }
    operations
}

fn parameters(described: &Value) -> impl Iterator<Item = (&str, &str)> {
    let list = described["parameters"].as_array().into_iter().flatten();
    list.filter_map(|parameter| Some((parameter["in"].as_str()?, parameter["name"].as_str()?)))
}

/// Checks that each of the `served` paths is in the document.
pub fn assert_documented(served: &[String], document: &Value) {
    let documented = document["paths"].as_object().unwrap();
    assert!(served.len() > 30, "the paths are not found: {served:?}");
    let missing: Vec<&String> = served.iter().filter(|path| !is_documented(path, documented)).collect();
    assert!(missing.is_empty(), "served and not documented: {missing:?}");
}

fn is_documented(path: &str, documented: &Map<String, Value>) -> bool {
    // The old version of the path is the new one's in all.
    let path = path.replacen("/api/v2", "/api/v3", 1);
    if PAGES.contains(&path.as_str()) || GROUPS.contains(&path.as_str()) {
        return true;
    }
    // What takes the rest of a path stands for several operations.
    match path.split_once("{*") {
        Some((start, _)) => documented.keys().any(|known| known.starts_with(start)),
        // A slash at the end makes no other path.
        None => documented.keys().any(|known| known.trim_end_matches('/') == path),
    }
}
