//! What clients read about flagged pictures, in every form of every dialect, with engines that say what a test wants. What
//! real checkers say of real pictures is in `safety_checked`.

use crate::openai::{NATIVE, file, post, text};
use crate::scripted::{HIDDEN, SEEN, Script, Scripted};
use crate::support::{SRPO, Server, answer, data_uri, picture, receiver};
use crate::waiting::eventually;
use afterimage_core::OnFlag;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const FAL: &str = "/fal-ai/flux-1/srpo/image-to-image";
const EDITS: &str = "/v1/images/edits";
const POLICIES: [OnFlag; 3] = [OnFlag::Withhold, OnFlag::Blur, OnFlag::Keep];

async fn scripted() -> (Server, Scripted) {
    let engines = Scripted::default();
    let server = Server::start(|options| {
        options.workers = 2;
        options.engines = Arc::new(engines.clone());
        options.allow_private_networks = true;
    })
    .await;
    (server, engines)
}

/// A request that has `script` for a prompt, with `more` fields.
fn request(script: &Script, more: &Value) -> Value {
    let image = data_uri(&picture(64, 48));
    let mut body =
        json!({"image": image, "image_url": image, "prompt": script.prompt(), "num_images": script.flags.len()});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// The last value of the server-sent events in `text`.
fn last_value(text: &str) -> Value {
    serde_json::from_str(text.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap()).unwrap()
}

/// The flags that `WaveSpeed`'s answers hold: synchronous, in base64, polled, listed.
async fn wavespeed(server: &Server, script: &Script, client: bool) -> Vec<Value> {
    let body = |more: Value| {
        let mut body = request(script, &more);
        body["enable_safety_checker"] = json!(client);
        body
    };
    let (_, synchronous) = server.post(SRPO, &body(json!({"enable_sync_mode": true}))).await;
    let (_, inlined) = server.post(SRPO, &body(json!({"enable_sync_mode": true, "enable_base64_output": true}))).await;
    let id = server.submit(SRPO, &body(json!({}))).await;
    let polled = server.ended(&id).await;
    let (_, list) = server.post("/api/v3/predictions", &json!({})).await;
    let listed =
        list["data"]["items"].as_array().unwrap().iter().find(|item| item["id"] == id.as_str()).unwrap().clone();
    let answers = [synchronous["data"].clone(), inlined["data"].clone(), polled, listed];
    for answer in &answers {
        assert_eq!((&answer["status"], &answer["error"]), (&json!("completed"), &json!("")), "{answer}");
        assert_eq!(answer["outputs"].as_array().map(Vec::len), Some(script.flags.len()), "{answer}");
        let safety_ms = answer["timings"]["stages"]["safety_ms"].as_f64().unwrap();
        assert_eq!(safety_ms > 0.0, client || script.required, "{answer}");
    }
    answers.iter().map(|answer| answer["has_nsfw_contents"].clone()).collect()
}

/// The flags that fal's answers hold: synchronous, as data URIs, from the queue, from a stream.
async fn fal(server: &Server, script: &Script, client: bool) -> Vec<Value> {
    // Fields may be texts.
    let body = |more: Value| {
        let mut body = request(script, &more);
        body["enable_safety_checker"] = json!(client.to_string());
        body
    };
    let (_, synchronous) = server.post(FAL, &body(json!({}))).await;
    let (_, inlined) = server.post(FAL, &body(json!({"sync_mode": true}))).await;
    let (_, ticket) = server.post(&format!("/queue{FAL}"), &body(json!({}))).await;
    let queued = eventually(Duration::from_mins(1), async || {
        let path = format!("/queue/fal-ai/flux-1/requests/{}", ticket["request_id"].as_str().unwrap());
        let (status, result) = server.get(&path).await;
        if status == StatusCode::BAD_REQUEST { Err(result) } else { Ok(result) }
    })
    .await;
    let stream = server.request(Method::POST, &format!("{FAL}/stream")).body(body(json!({})).to_string());
    let streamed = last_value(&stream.send().await.unwrap().text().await.unwrap());
    let answers = [synchronous, inlined, queued, streamed];
    for answer in &answers {
        assert_eq!(answer["images"].as_array().map(Vec::len), Some(script.flags.len()), "{answer}");
    }
    answers.iter().map(|answer| answer["has_nsfw_concepts"].clone()).collect()
}

/// What OpenAI's routes answer to a request in JSON with `more` fields, and the idempotency key `key`.
async fn edit(server: &Server, script: &Script, more: Value, key: Option<&str>) -> (u16, Value) {
    let mut body = json!({
        "images": [{"image_url": data_uri(&picture(64, 48))}], "prompt": script.prompt(), "n": script.flags.len(),
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut request = server.request(Method::POST, EDITS).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let (status, body) = answer(request.body(body.to_string()).send().await.unwrap()).await;
    (status.as_u16(), body)
}

/// Pictures or errors of OpenAI's routes: edits by address and in base64, a form, and a stream where it is one picture.
async fn openai(server: &Server, script: &Script) -> Vec<Result<usize, Value>> {
    let mut said = Vec::new();
    let mut note = |status: u16, body: Value| {
        said.push(if status == 200 {
            Ok(body["data"].as_array().unwrap().len())
        } else {
            assert_eq!(status, 400, "{body}");
            Err(body["error"].clone())
        });
    };
    for more in [json!({"response_format": "url"}), json!({"response_format": "b64_json", "moderation": "low"})] {
        let (status, body) = edit(server, script, more, None).await;
        note(status, body);
    }
    let (png, prompt, n) = (picture(64, 48), script.prompt(), script.flags.len().to_string());
    let parts = [text("prompt", &prompt), text("n", &n), file("image", &png), text("moderation", "auto")];
    let form = post(server, "/v1/openai/images/variations", crate::openai::form(&parts)).send().await.unwrap();
    if form.status() == 400 {
        assert_eq!(form.headers()["x-should-retry"], "false");
    }
    let (status, body) = answer(form).await;
    note(status.as_u16(), body);
    if script.flags.len() == 1 {
        let (status, streamed) = edit(server, script, json!({"stream": true}), None).await;
        assert_eq!(status, 200);
        let last = last_value(streamed.as_str().unwrap());
        note(if last["type"] == "error" { 400 } else { 200 }, json!({"data": [1], "error": last["error"]}));
    }
    said
}

fn blocked() -> Value {
    let message =
        "Your request was rejected by the safety system. Every picture that was made was flagged and is withheld.";
    json!({"message": message, "type": "image_generation_user_error", "param": null, "code": "moderation_blocked"})
}

/// The whole matrix: policy, whether the operator requires the check, whether the client wants it, and the flags.
#[tokio::test(flavor = "multi_thread")]
async fn every_form_says_what_checkers_said() {
    let (server, _) = scripted().await;
    let cases: [&[bool]; 7] = [
        &[false],
        &[true],
        &[true, false],
        &[true, true, true],
        &[false, false, false, false],
        &[false, false, true, false],
        &[true, true, true, true],
    ];
    for on_flag in POLICIES {
        for (required, client) in [(false, true), (false, false), (true, true), (true, false)] {
            for flags in cases {
                let known: Vec<_> = flags.iter().copied().map(Some).collect();
                let script = Script { required, ..Script::new(on_flag, &known) };
                let case = format!("{script:?}, client: {client}");
                let looks = required || client;
                let expected = if looks { json!(flags) } else { json!(vec![false; flags.len()]) };
                let (wavespeed, fal) = tokio::join!(wavespeed(&server, &script, client), fal(&server, &script, client));
                assert_eq!(wavespeed, vec![expected.clone(); 4], "{case}");
                assert_eq!(fal, vec![expected; 4], "{case}");
                // The others have no switch.
                if client {
                    let body = request(&script, &json!({}));
                    let ((status, native), openai) = tokio::join!(server.post(NATIVE, &body), openai(&server, &script));
                    assert_eq!((status.as_u16(), &native["nsfw_content_detected"]), (200, &json!(flags)), "{case}");
                    let is_blocked = on_flag != OnFlag::Keep && !flags.contains(&false);
                    let expected = if is_blocked { Err(blocked()) } else { Ok(flags.len()) };
                    assert!(openai.iter().all(|said| *said == expected), "{case}: {openai:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_broken_checker_never_says_false() {
    let (server, _) = scripted().await;
    for flags in [&[None][..], &[Some(false), None], &[Some(true), Some(false), Some(false), None]] {
        let script = Script::new(OnFlag::Withhold, flags);
        assert_eq!(wavespeed(&server, &script, true).await, vec![json!([]); 4]);
        assert_eq!(fal(&server, &script, true).await, vec![json!([]); 4]);
        let (_, native) = server.post(NATIVE, &request(&script, &json!({}))).await;
        assert_eq!(native["nsfw_content_detected"], json!([]), "{native}");
        assert!(openai(&server, &script).await.iter().all(|said| *said == Ok(flags.len())));

        // Where every picture has to be checked, the jobs fail and say why.
        let script = Script { required: true, ..script };
        let reason = "the safety checker failed";
        let failed = server.ended(&server.submit(SRPO, &request(&script, &json!({}))).await).await;
        assert_eq!((&failed["status"], &failed["error"]), (&json!("failed"), &json!(reason)));
        assert_eq!((&failed["code"], &failed["has_nsfw_contents"]), (&json!(1403), &json!([])));
        let (status, failed) = server.post(FAL, &request(&script, &json!({}))).await;
        assert_eq!((status.as_u16(), &failed["detail"]), (500, &json!(reason)), "{failed}");
        let (status, failed) = server.post(NATIVE, &request(&script, &json!({}))).await;
        assert_eq!((status.as_u16(), &failed["error"]), (500, &json!(reason)), "{failed}");
        let (status, failed) = edit(&server, &script, json!({}), None).await;
        assert_eq!((status, &failed["error"]["message"]), (500, &json!(reason)), "{failed}");
    }
}

#[tokio::test]
async fn a_flagged_input_fails_as_each_service_has_it() {
    let (server, _) = scripted().await;
    let script = Script { rejects_input: true, ..Script::new(OnFlag::Withhold, &[Some(false)]) };
    let failed = server.ended(&server.submit(SRPO, &request(&script, &json!({}))).await).await;
    assert_eq!((&failed["status"], &failed["code"]), (&json!("failed"), &json!(1200)), "{failed}");
    assert_eq!(failed["error"], "image: rejected by the safety checker");
    let (status, failed) = server.post(FAL, &request(&script, &json!({}))).await;
    let told = json!([{
        "loc": ["body", "image_url"], "msg": "rejected by the safety checker", "type": "content_policy_violation",
    }]);
    assert_eq!((status.as_u16(), &failed["detail"]), (422, &told), "{failed}");
    let (status, failed) = server.post(NATIVE, &request(&script, &json!({}))).await;
    assert_eq!((status.as_u16(), &failed["detail"][0]["loc"]), (422, &json!(["body", "image"])), "{failed}");
    let (status, failed) = edit(&server, &script, json!({}), None).await;
    let message = "Your request was rejected by the safety system. The picture that was sent was flagged.";
    let mut expected = blocked();
    expected["message"] = json!(message);
    assert_eq!((status, &failed["error"]), (400, &expected), "{failed}");
    let (_, streamed) = edit(&server, &script, json!({"stream": true}), None).await;
    assert_eq!(last_value(streamed.as_str().unwrap()), json!({"type": "error", "error": expected}));
}

#[tokio::test]
async fn a_blocked_request_is_blocked_again_and_costs_what_it_cost() {
    let (server, engines) = scripted().await;
    let balance = async || server.get("/api/v3/balance").await.1["data"]["balance"].as_f64().unwrap();
    let script = Script::new(OnFlag::Withhold, &[Some(true), Some(true)]);
    let before = balance().await;
    let first = edit(&server, &script, json!({}), Some("once")).await;
    assert_eq!(first, (400, json!({"error": blocked()})));
    let paid = before - balance().await;
    assert!(paid > 0.0, "the pictures were made");
    assert_eq!(edit(&server, &script, json!({}), Some("once")).await, first);
    assert_eq!((engines.ran(), before - balance().await), (1, paid), "the same job");
}

#[tokio::test]
async fn webhooks_hold_the_flags() {
    let (server, _) = scripted().await;
    let (url, mut received) = receiver().await;
    let mut next = async || {
        let (_, body) = timeout(Duration::from_secs(30), received.recv()).await.unwrap().unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    for on_flag in POLICIES {
        for flags in [&[Some(false), Some(true), Some(false), Some(false)][..], &[Some(true)], &[Some(true), None]] {
            let script = Script::new(on_flag, flags);
            let known: Option<Vec<bool>> = flags.iter().copied().collect();
            let expected = json!(known.unwrap_or_default());
            server.submit(SRPO, &request(&script, &json!({"webhook_url": url}))).await;
            let told = next().await;
            assert_eq!((&told["status"], &told["has_nsfw_contents"]), (&json!("completed"), &expected), "{told}");
            let (status, ticket) =
                server.post(&format!("/queue{FAL}?fal_webhook={url}"), &request(&script, &json!({}))).await;
            assert_eq!(status, 200, "{ticket}");
            let told = next().await;
            assert_eq!((&told["status"], &told["payload"]["has_nsfw_concepts"]), (&json!("OK"), &expected), "{told}");
            server.post(NATIVE, &request(&script, &json!({"webhook": url}))).await;
            let told = next().await;
            assert_eq!(told["nsfw_content_detected"], expected, "{told}");
            // What stands in place of a flagged picture is what is told, and nothing else is kept.
            for (image, flag) in told["images"].as_array().unwrap().iter().zip(flags) {
                let hidden = *flag == Some(true) && on_flag != OnFlag::Keep;
                let bytes = STANDARD.decode(image.as_str().unwrap().split_once(',').unwrap().1).unwrap();
                assert_eq!(bytes, if hidden { HIDDEN } else { SEEN });
            }
        }
    }
}

#[tokio::test]
async fn operators_see_what_looks_and_what_it_said() {
    let engines = Scripted::default();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    let server = Server::start(|options| {
        options.workers = 2;
        options.engines = Arc::new(engines.clone());
        options.admin_listen = Some(admin);
        options.safety.on_flag = OnFlag::Blur;
        options.safety.required = true;
    })
    .await;
    let engine = json!({"model": "default", "device": "none", "open": true, "given_up": false, "restarts": 0, "checkers": ["scripted"], "memory": null});
    let status = json!({"engines": [engine, engine], "processes": [], "safety": {"on_flag": "blur", "required": true}});
    assert_eq!(server.get("/status").await, (StatusCode::OK, status.clone()));
    let without_key = answer(server.client.get(format!("{}/status", server.url)).send().await.unwrap()).await;
    assert_eq!((without_key.0.as_u16(), &without_key.1["error"]["param"]), (401, &json!(null)), "{}", without_key.1);
    let (wrong_method, told) = server.post("/status", &json!({})).await;
    assert_eq!((wrong_method.as_u16(), &told["code"]), (405, &json!(405)), "{told}");
    let on_admin = answer(server.client.get(format!("http://{admin}/status")).send().await.unwrap()).await;
    assert_eq!(on_admin, (StatusCode::OK, status));

    let ask = async |script: Script| server.ended(&server.submit(SRPO, &request(&script, &json!({}))).await).await;
    ask(Script::new(OnFlag::Withhold, &[Some(false), Some(true), Some(false), Some(false)])).await;
    ask(Script::new(OnFlag::Withhold, &[Some(true), None])).await;
    ask(Script { required: true, ..Script::new(OnFlag::Withhold, &[None, None, None]) }).await;
    ask(Script { rejects_input: true, ..Script::new(OnFlag::Withhold, &[Some(false)]) }).await;
    let told = async || reqwest::get(format!("http://{admin}/metrics")).await.unwrap().text().await.unwrap();
    let sum = |text: &str, name: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(&format!("afterimage_{name}{{model=\"default\",")))?;
        assert!(line.contains(",key=\""), "{line}");
        line.rsplit(' ').next()?.parse().ok()
    };
    let expected = [
        ("safety_checked_pictures_total", Some(5)),
        ("safety_flagged_pictures_total", Some(2)),
        ("safety_unknown_pictures_total", Some(4)),
        ("safety_rejected_inputs_total", Some(1)),
    ];
    // A job is counted right after its end can be read.
    let text = eventually(Duration::from_secs(10), async || {
        let text = told().await;
        let are = expected.iter().all(|(name, count)| sum(&text, name) == *count);
        if are { Ok(text) } else { Err(format!("not {expected:?} in\n{text}")) }
    })
    .await;
    assert!(text.contains("afterimage_model_checkers{model=\"default\",checker=\"scripted\"} 2"), "{text}");
}
