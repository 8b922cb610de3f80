//! What operators see, and that nobody else does.

use crate::isolation::{as_key, second_key};
use crate::scripted::{Script, Scripted};
use crate::support::{KEY, SRPO, Server, answer, data_uri, picture};
use crate::waiting::until;
use afterimage_core::OnFlag;
use afterimage_jobs::{KeyRole, KeyStore, SqliteStore, SystemClock};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const STATUS: &str = "/api/status";

/// What prompts and pictures must not be told by.
const SECRET_WORDS: &str = "a-prompt-that-is-nobody-elses";

async fn scripted() -> Server {
    Server::start(|options| {
        options.workers = 2;
        options.engines = Arc::new(Scripted::default());
    })
    .await
}

/// Has a task of `key` end: with so many pictures, or rejected.
async fn task(server: &Server, key: &str, pictures: usize, rejected: bool) {
    let flags = vec![Some(false); pictures];
    let script = Script { rejects_input: rejected, ..Script::new(OnFlag::Keep, &flags) };
    let prompt = script.prompt().replace('}', &format!(",\"more\":\"{SECRET_WORDS}\"}}"));
    let body = json!({"prompt": prompt, "num_images": pictures, "image": data_uri(&picture(64, 48))});
    let (status, sent) = as_key(server, key, Method::POST, SRPO, &body).await;
    assert_eq!(status, 200, "{sent}");
    let path = format!("/api/v3/predictions/{}", sent["data"]["id"].as_str().unwrap());
    until("the task has ended", Duration::from_mins(1), async || {
        let (_, told) = as_key(server, key, Method::GET, &path, &json!({})).await;
        ["completed", "failed"].contains(&told["data"]["status"].as_str().unwrap())
    })
    .await;
}

#[tokio::test]
async fn an_operator_sees_what_runs_what_failed_and_what_keys_had_made() {
    let server = scripted().await;
    let other = second_key(&server).await;
    task(&server, KEY, 3, false).await;
    task(&server, KEY, 1, false).await;
    task(&server, &other, 2, true).await;
    let (status, body) = server.get(STATUS).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["server"], server.get("/status").await.1, "what every key may know is the same");
    assert_eq!(body["server"]["engines"].as_array().map(Vec::len), Some(2));
    assert_eq!(body["queues"], json!([{"model": "default", "waiting": 0, "running": 0, "oldest_wait_s": 0.0}]));

    let [failure] = body["failures"].as_array().unwrap().as_slice() else { panic!("{body}") };
    assert_eq!(
        (failure["kind"].as_str(), failure["key_name"].as_str(), failure["dialect"].as_str()),
        (Some("content_rejected"), Some("other"), Some("wavespeed"))
    );
    assert_eq!(failure["message"], "rejected by the safety checker");
    assert!(failure["finished_at"].as_i64().unwrap() <= body["at"].as_i64().unwrap(), "{body}");

    let usage = &body["usage"];
    assert_eq!(usage["others"], json!([]));
    let keys = usage["keys"].as_array().unwrap();
    let names: Vec<&Value> = keys.iter().map(|key| &key["name"]).collect();
    assert_eq!(names, ["from the command line", "other"], "the busiest first");
    let mine = keys[0]["days"].as_array().unwrap();
    // A test that runs at midnight has two days.
    let sum = |days: &[Value], what: &str| days.iter().map(|day| day[what].as_f64().unwrap()).sum::<f64>();
    assert_eq!((sum(mine, "jobs"), sum(mine, "pictures"), sum(mine, "failures")), (2.0, 4.0, 0.0), "{usage}");
    assert!(sum(mine, "cost") > 0.0, "{usage}");
    let theirs = keys[1]["days"].as_array().unwrap();
    assert_eq!((sum(theirs, "jobs"), sum(theirs, "pictures"), sum(theirs, "failures")), (0.0, 0.0, 1.0), "{usage}");
    assert_eq!(mine.last().unwrap()["day"], usage["until"]);
    assert!(!body.to_string().contains(SECRET_WORDS) && !body.to_string().contains(KEY), "{body}");
}

#[tokio::test]
async fn who_is_no_operator_sees_nothing_until_the_key_is_promoted() {
    let server = Server::without_workers().await;
    let without_key = answer(server.client.get(format!("{}{STATUS}", server.url)).send().await.unwrap()).await;
    assert_eq!(without_key.0, 401, "{}", without_key.1);
    assert_eq!(as_key(&server, "wrong-key-1", Method::GET, STATUS, &json!({})).await.0, 401);
    assert_eq!(server.post(STATUS, &json!({})).await.0, 405);

    let other = second_key(&server).await;
    let store = SqliteStore::open(&server.folder.path().join("data"), Arc::new(SystemClock)).await.unwrap();
    let id = store.keys().await.unwrap().into_iter().find(|key| key.name == "other").unwrap().id;
    let (status, body) = as_key(&server, &other, Method::GET, STATUS, &json!({})).await;
    assert_eq!((status, &body["code"]), (403, &json!(403)), "{body}");
    let told = body["message"].as_str().unwrap();
    assert!(told.contains(&format!("`afterimage keys role {id} operator`")), "{told}");
    assert_eq!(body["error"]["message"], told, "in the shape of all errors");

    // Within the time that a key is trusted for that was found a moment ago.
    let has = async |status: u16| {
        until("the role takes effect", Duration::from_secs(4), async || {
            as_key(&server, &other, Method::GET, STATUS, &json!({})).await.0 == status
        })
        .await;
    };
    assert!(store.set_key_role(&id, KeyRole::Operator).await.unwrap());
    has(200).await;
    assert!(store.set_key_role(&id, KeyRole::User).await.unwrap());
    has(403).await;
}

#[tokio::test]
async fn a_browser_gets_a_page_at_the_path_where_programs_get_json() {
    let server = Server::without_workers().await;
    let get = async |path: &str, accept: &str| {
        server.client.get(format!("{}{path}", server.url)).header("accept", accept).send().await.unwrap()
    };
    let header = |response: &Response, name: &str| {
        let all = response.headers().get_all(name).iter().map(|value| value.to_str().unwrap().to_owned());
        all.collect::<Vec<_>>().join(", ")
    };
    let page = get("/status", "text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!((page.status().as_u16(), header(&page, "content-type").as_str()), (200, "text/html; charset=utf-8"));
    assert!(header(&page, "content-security-policy").contains("script-src 'self'"));
    assert!(header(&page, "vary").contains("accept, authorization"), "{}", header(&page, "vary"));
    let text = page.text().await.unwrap();
    for (file, kind) in [("status.js", "text/javascript"), ("status.css", "text/css")] {
        assert!(text.contains(&format!("./{file}")), "{text}");
        let loaded = get(&format!("/{file}"), "*/*").await;
        assert!(loaded.status() == 200 && header(&loaded, "content-type").starts_with(kind), "{file}");
    }
    assert_eq!(get("/status", "*/*").await.status(), 401, "a program without a key");
    let program = server.request(Method::GET, "/status").header("accept", "text/html").send().await.unwrap();
    assert_eq!((program.status().as_u16(), header(&program, "content-type").as_str()), (200, "application/json"));
    assert_eq!(get(STATUS, "text/html").await.status(), 401, "there is no page at the route behind it");
}
