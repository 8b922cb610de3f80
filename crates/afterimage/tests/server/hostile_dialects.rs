//! Requests meant to do harm, in fal's and DeepInfra's JSON forms: refused in the dialect's own shape, with the field,
//! before anything is stored.

use crate::fal_files::database;
use crate::hostile::raw;
use crate::support::{KEY, Server, answer, data_uri, picture};
use crate::validation::stored_files;
use afterimage_jobs::{JobId, JobStore, KeyStore, ListFilter};
use afterimage_server::dialects::fal::MODELS;
use afterimage_server::dialects::openai::native_parameters;
use afterimage_server::parameters::{Kind, Parameter};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

pub const REDUX: &str = "/fal-ai/flux-1/dev/redux";
pub const QUEUE: &str = "/queue/fal-ai/flux-1/dev/redux";
pub const NATIVE: &str = "/v1/inference/black-forest-labs/FLUX-1-Redux-dev";

/// Every form in which fal's models take a request.
const FAL_FORMS: [&str; 4] = [
    "/fal-ai/flux-1/dev/redux",
    "/fal-ai/flux-1/dev/redux/stream",
    "/queue/fal-ai/flux-1/dev/redux",
    "/gateway/fal-ai/flux-1/dev/redux",
];

/// Checks that an error has the shape of the dialect that `path` belongs to; the field that it names.
pub fn refused(path: &str, status: StatusCode, body: &Value) -> Option<String> {
    assert!(status.is_client_error(), "{path}: {status} {body}");
    assert!(body.to_string().len() < 2000, "{path}: what was sent comes back: {} bytes", body.to_string().len());
    if path.starts_with("/v1/") && !path.starts_with("/v1/inference/") {
        let error = body["error"].as_object().unwrap_or_else(|| panic!("{path}: {body}"));
        assert!(error["message"].is_string() && error["type"].is_string(), "{path}: {body}");
        return error["param"].as_str().map(str::to_owned);
    }
    let is_native = path.starts_with("/v1/inference/");
    if let Some(problem) = body["detail"].get(0) {
        assert_eq!(status, 422, "{path}: {body}");
        assert!(problem["msg"].is_string() && problem["type"].is_string(), "{path}: {body}");
        return problem["loc"][1].as_str().map(str::to_owned);
    }
    let said = if is_native { body["error"].is_string() } else { body["detail"].is_string() };
    assert!(said || body["detail"]["error"].is_string(), "{path}: {body}");
    None
}

/// Requests that were stored, of every dialect.
pub async fn stored_requests(server: &Server) -> u64 {
    let store = database(server).await;
    let mut total = 0;
    for key in store.keys().await.unwrap() {
        total += store.list(&key.id, &ListFilter::default()).await.unwrap().total;
    }
    total
}

#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused_everywhere() {
    let server = Server::without_workers().await;
    let deep_list = format!("{{\"image_url\": {}", "[".repeat(10_000));
    let deep_object = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let fal = FAL_FORMS.into_iter().map(|path| (path, "image_url"));
    for (path, field) in fal.chain([(NATIVE, "image"), ("/storage/upload/initiate", "content_type")]) {
        // What is wrong in a field that nobody reads is passed over with it.
        let in_field = |value: &str| format!("{{\"{field}\": {value}}}");
        for body in [
            "[]",
            "null",
            "1",
            "{",
            &in_field("1e400"),
            &in_field("\"\\ud800\""),
            &in_field("NaN"),
            "{}{}",
            &in_field("\"\0\""),
            &deep_list,
            &in_field(&deep_object),
            &in_field(&"9".repeat(1_000_000)),
        ] {
            let response = server.request(Method::POST, path).body(body.to_owned()).send().await.unwrap();
            let (status, answer) = answer(response).await;
            assert_eq!(refused(path, status, &answer), None, "{}: {answer}", &body[..body.len().min(30)]);
        }
        let binary = server.request(Method::POST, path).body(vec![0xff; 1000]).send().await.unwrap();
        let (status, answer) = answer(binary).await;
        refused(path, status, &answer);
    }
    assert_eq!((stored_requests(&server).await, stored_files(&server)), (0, 0));
}

/// Values that no parameter but a text takes, whatever its range.
fn absurd() -> Vec<Value> {
    let mut nested = json!("x");
    for _ in 0..100 {
        nested = json!([nested]);
    }
    vec![
        json!([]),
        json!({"$ne": 1}),
        nested,
        json!("\u{0}"),
        json!("NaN"),
        json!("Infinity"),
        json!("1e999"),
        json!("0x10"),
        json!("1;DROP TABLE jobs"),
        json!("٣"),
        json!("../../etc/passwd"),
        json!(" ".repeat(100_000) + "1"),
        json!("9".repeat(100_000)),
        json!(1e308),
        json!(-1e308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.1 + 1e9),
    ]
}

/// Whether `value` is one that `parameter` may take after all.
fn may_be_taken(parameter: &Parameter, value: &Value) -> bool {
    match &parameter.kind {
        Kind::Text { .. } => value.is_string(),
        Kind::NamedSize { .. } => value.is_object(),
        Kind::Loras | Kind::Pictures { .. } | Kind::NumberList { .. } => *value == json!([]),
        Kind::Seed { highest } => value.as_u64().is_some_and(|seed| seed <= *highest),
        _ => false,
    }
}

#[tokio::test]
async fn every_parameter_of_every_model_refuses_absurd_values() {
    let server = Server::without_workers().await;
    let image = data_uri(&picture(32, 32));
    let mut routes: Vec<(String, Vec<Parameter>)> =
        MODELS.iter().map(|model| (format!("/queue/{}", model.id), model.parameters())).collect();
    routes.push((NATIVE.to_owned(), native_parameters()));
    let (mut refusals, mut taken) = (0, 0);
    for (path, parameters) in &routes {
        for parameter in parameters {
            // An address would be one of a receiver, a text one of a prompt: those have tests of their own.
            if parameter.name == "webhook" {
                continue;
            }
            for value in absurd() {
                let mut body = json!({"image_url": image, "image": image, "prompt": "a lake"});
                body[parameter.name] = value.clone();
                if may_be_taken(parameter, &value) {
                    // Taking it on the synchronous route would wait for a worker.
                    if path != NATIVE && value.as_str().is_none_or(|text| text.len() <= 64 << 10) {
                        let (status, answer) = server.post(path, &body).await;
                        assert_eq!(status, 200, "{path} {}: {answer}", parameter.name);
                        taken += 1;
                    }
                    continue;
                }
                let (status, answer) = server.post(path, &body).await;
                let shown = value.to_string().chars().take(30).collect::<String>();
                assert_eq!(status, 422, "{path} {} {shown}: {answer}", parameter.name);
                assert_eq!(refused(path, status, &answer).as_deref(), Some(parameter.name), "{shown}: {answer}");
                refusals += 1;
            }
        }
    }
    assert!(refusals > 900, "{refusals}");
    assert_eq!(stored_requests(&server).await, taken);
}

#[tokio::test]
async fn what_is_not_a_parameter_is_not_kept() {
    let server = Server::without_workers().await;
    let junk = "x".repeat(3 << 20);
    let body = json!({
        "image_url": data_uri(&picture(32, 32)), "seed": 3, "junk": junk,
        "image_size": {"width": 64, "height": 64, "depth": junk, "more": [junk]},
    });
    let (status, ticket) = server.post(QUEUE, &body).await;
    assert_eq!(status, 200, "{ticket}");
    let id = JobId::parse(ticket["request_id"].as_str().unwrap()).unwrap();
    let job = database(&server).await.job(&id).await.unwrap().unwrap();
    assert_eq!(job.input["image_size"], json!({"width": 64, "height": 64}));
    assert!(job.input.to_string().len() < 500, "{} bytes are kept", job.input.to_string().len());
    // A digest of the body is: the repetition with other junk is another request.
}

/// Hosts that nobody outside may make the server reach.
const INSIDE: [&str; 14] = [
    "127.0.0.1",
    "127.1",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "10.0.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "[fd00::1]",
    "[64:ff9b::a00:1]",
    "[2002:a00:1::1]",
];

#[tokio::test]
async fn addresses_inside_the_network_are_refused_in_every_dialect() {
    let server = Server::without_workers().await;
    let image = data_uri(&picture(32, 32));
    let mut messages = std::collections::BTreeSet::new();
    for host in INSIDE {
        let address = format!("http://{host}:8080/latest/meta-data");
        for (path, field) in FAL_FORMS.map(|path| (path, "image_url")).into_iter().chain([(NATIVE, "image")]) {
            let (status, body) = server.post(path, &json!({field: address})).await;
            assert_eq!(refused(path, status, &body).as_deref(), Some(field), "{host}: {body}");
            messages.insert(body["detail"][0]["msg"].as_str().unwrap().to_owned());
        }
        for path in FAL_FORMS {
            let with_webhook = format!("{path}?fal_webhook={address}");
            let (status, body) = server.post(&with_webhook, &json!({"image_url": image})).await;
            assert_eq!(refused(path, status, &body).as_deref(), Some("fal_webhook"), "{host}: {body}");
            assert_eq!(body["detail"][0]["loc"][0], "query", "{body}");
        }
        let (status, body) = server.post(NATIVE, &json!({"image": image, "webhook": address})).await;
        assert_eq!(refused(NATIVE, status, &body).as_deref(), Some("webhook"), "{host}: {body}");
        messages.insert(body["detail"][0]["msg"].as_str().unwrap().to_owned());
    }
    assert_eq!(messages.len(), 1, "one message for all: {messages:?}");
    for text in [
        "file:///etc/passwd",
        "gopher://127.0.0.1:25/x",
        "ftp://example.com/a.png",
        r"http://good.example\@10.0.0.1/",
        "http://user:pass@good.example/a.png",
        "http://10.0.0.1%00.good.example/",
        "http://good\n.example/",
        "javascript://good.example/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>",
        "data:image/png;base64,!!!!",
        "data:,",
    ] {
        let (status, body) = server.post(QUEUE, &json!({"image_url": text})).await;
        assert_eq!(refused(QUEUE, status, &body).as_deref(), Some("image_url"), "{text}: {body}");
        let (status, body) = server.post(NATIVE, &json!({"image": text})).await;
        assert_eq!(refused(NATIVE, status, &body).as_deref(), Some("image"), "{text}: {body}");
        if !text.starts_with("data:") {
            let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let request = server.request(Method::POST, &format!("{QUEUE}?fal_webhook={encoded}"));
            let (status, body) =
                answer(request.body(json!({"image_url": image}).to_string()).send().await.unwrap()).await;
            assert_eq!(refused(QUEUE, status, &body).as_deref(), Some("fal_webhook"), "{text}: {body}");
        }
    }
    assert_eq!((stored_requests(&server).await, stored_files(&server)), (0, 0));
}

#[tokio::test]
async fn names_of_this_machine_fail_with_the_same_words_in_every_dialect() {
    let server = Server::with_worker().await;
    let own_port = server.url.rsplit(':').next().unwrap().to_owned();
    let mut said = std::collections::BTreeSet::new();
    for host in [format!("localhost:{own_port}"), "localhost:1".to_owned(), "LOCALHOST.".to_owned()] {
        let address = format!("http://{host}/healthz");
        let (status, body) = server.post(REDUX, &json!({"image_url": address, "num_inference_steps": 1})).await;
        assert_eq!(refused(REDUX, status, &body).as_deref(), Some("image_url"), "{body}");
        said.insert(body["detail"][0]["msg"].to_string());
        let (status, body) = server.post(NATIVE, &json!({"image": address, "num_inference_steps": 1})).await;
        assert_eq!(refused(NATIVE, status, &body).as_deref(), Some("image"), "{body}");
        said.insert(body["detail"][0]["msg"].to_string());
    }
    assert_eq!(said.len(), 1, "{said:?}");
}

#[tokio::test]
async fn the_proxy_reaches_nothing_but_this_dialect() {
    let server = Server::without_workers().await;
    for target in [
        "http://127.0.0.1:8080/",
        "https://fal.run.evil.example/fal-ai/x",
        "https://evil.example/fal-ai/x",
        "https://fal.run@evil.example/fal-ai/x",
        "file://fal.run/fal-ai/x",
        "https://fal.run/api/v3/balance",
        "https://fal.run/v1/models",
        "https://fal.run/metrics",
        "https://fal.run/api/fal/proxy",
        "https://fal.run/",
        "https://fal.run/fal-ai/%ff%fe",
        "https://fal.run/fal-ai/../media/uploads/x",
        "https://rest.fal.ai/media/put/x",
        "https://queue.fal.run/fal-ai/flux-1/requests/%00/status",
        "not an address",
        "",
    ] {
        for method in [Method::GET, Method::POST, Method::PUT] {
            let request = server.request(method.clone(), "/api/fal/proxy").header("x-fal-target-url", target);
            let (status, body) = answer(request.body("{}").send().await.unwrap()).await;
            assert!([400, 404, 405].contains(&status.as_u16()), "{method} {target}: {status} {body}");
            assert_eq!(refused("/fal-ai", status, &body), None, "{target}: {body}");
        }
    }
    let (status, body) = server.get("/api/fal/proxy").await;
    assert_eq!(status, 400);
    refused("/fal-ai", status, &body);
}

/// The status and the body of the answer to a request line and headers that no client would send.
async fn raw_answer(server: &Server, line: &str, headers: &str) -> (u16, Value) {
    let request = format!(
        "{line} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n{headers}Content-Length: 2\r\n\r\n{{}}"
    );
    let text = raw(server, request.as_bytes()).await;
    let status = text.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{line}: {text}"));
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{line}: {text}")))
}

#[tokio::test]
async fn odd_paths_are_refused_in_json() {
    let server = Server::without_workers().await;
    let long = "x".repeat(20_000);
    for line in [
        "POST /fal-ai/%ff",
        "POST /queue/fal-ai/%c3%28",
        "GET /queue/fal-ai/flux-1/requests/%ff/status",
        "POST /fal-ai/../api/v3/predictions",
        "POST /fal-ai//////",
        "POST /fal-ai/flux-1/dev/redux/stream/stream",
        "GET /queue/fal-ai/flux-1/requests/../requests/status",
        "GET /queue/fal-ai/flux-1/requests//status",
        "PUT /queue/fal-ai/flux-1/requests/%00/cancel",
        "GET /v1/models/%ff",
        "POST /v1/inference/%ff",
        "POST /v1/inference/../../x",
        "POST /v1/images/%2e%2e/variations",
        "GET /media/uploads/%ff",
        "GET /media/uploads/x.png?expires=x&signature=%ff",
        "GET /media/results/x/0.png",
        "PUT /media/put/x?expires=99999999999999999999&signature=x",
        "POST /api/v3/%ff",
        "POST /api/v3/wavespeed-ai/flux-redux-dev?webhook=a&webhook=b",
        "GET /%",
        "GET /%zz",
        &format!("POST /fal-ai/{long}"),
        &format!("POST /v1/inference/{long}"),
        &format!("GET /v1/models/{long}"),
    ] {
        let (status, body) = raw_answer(&server, line, "").await;
        assert!([400, 404, 405].contains(&status), "{}: {status} {body}", &line[..line.len().min(60)]);
        assert!(body.is_object() && body.to_string().len() < 2000, "{}: {body}", &line[..line.len().min(60)]);
    }
}

#[tokio::test]
async fn odd_headers_of_fal_are_refused_or_mean_nothing() {
    let server = Server::without_workers().await;
    for value in ["0", "-1", "NaN", "inf", "1e309", "1e300", "99999999999999999999999", "30s", "\u{e9}"] {
        for name in ["x-fal-request-timeout", "x-fal-request-start-timeout"] {
            let request = server.request(Method::POST, QUEUE).header(name, value);
            let body = json!({"image_url": data_uri(&picture(32, 32))}).to_string();
            let (status, body) = answer(request.body(body).send().await.unwrap()).await;
            if value == "\u{e9}" {
                continue;
            }
            assert_eq!(status, 400, "{name}: {value}: {body}");
            assert!(body["detail"].as_str().unwrap().starts_with(name), "{body}");
        }
    }
    for (name, value) in [("idempotency-key", "x".repeat(256)), ("idempotency-key", String::new())] {
        let request = server.request(Method::POST, QUEUE).header(name, value);
        let body = json!({"image_url": data_uri(&picture(32, 32))}).to_string();
        let (status, body) = answer(request.body(body).send().await.unwrap()).await;
        assert!(status == 400 && body["detail"].as_str().unwrap().starts_with("Idempotency-Key"), "{body}");
    }
}
