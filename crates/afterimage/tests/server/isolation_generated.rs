//! Every operation of `/openapi.json` is given what belongs to somebody else, while that somebody's tasks wait, run and
//! have ended. The answer has to be the one that is given for what nobody has, and the owner must not notice.

use crate::isolation::second_key;
use crate::isolation_operations::{Operation, Takes, assert_documented, operations};
use crate::support::{KEY, REDUX, Server, answer, data_uri, picture};
use crate::waiting::eventually;
use afterimage_jobs::JobId;
use reqwest::{Method, RequestBuilder, Url};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a stranger names: things of the owner, or things that nobody has.
#[derive(Clone, Debug)]
struct Subject {
    task: String,
    upload: String,
    ticket: String,
    parts: String,
}

impl Subject {
    fn nobodys() -> Self {
        let [task, upload, ticket, parts] = [(); 4].map(|()| JobId::random().to_string());
        Self { task, upload, ticket, parts }
    }

    /// `text` without the ids.
    fn hidden(&self, text: &str) -> String {
        [&self.task, &self.upload, &self.ticket, &self.parts]
            .iter()
            .fold(text.to_owned(), |text, id| text.replace(*id, "ID"))
    }
}

/// The stranger, with a key, a token and signed addresses of its own.
struct Stranger<'a> {
    server: &'a Server,
    key: String,
    token: String,
    result: Url,
    upload: Url,
    ticket: Url,
    parts: Url,
    parts_ticket: String,
}

/// What is compared of an answer.
type Answer = (u16, BTreeMap<String, String>, String);

impl<'a> Stranger<'a> {
    async fn new(server: &'a Server, key: String) -> Self {
        let post = async |path: &str, body: Value| {
            let request = server.client.post(format!("{}{path}", server.url)).bearer_auth(&key);
            let (status, body) = answer(request.body(body.to_string()).send().await.unwrap()).await;
            assert_eq!(status, 200, "{path}: {body}");
            body
        };
        let token = post("/tokens/", json!({"allowed_apps": ["flux-1"], "token_expiration": 3600})).await;
        let ticket = async || post("/storage/upload/initiate", json!({})).await;
        let (first, second) = (ticket().await, ticket().await);
        let parts = post("/storage/upload/initiate-multipart", json!({})).await;
        let behind = post("/files/upload/multipart", json!({})).await;
        let put = server.client.put(first["upload_url"].as_str().unwrap()).body(picture(32, 32));
        assert_eq!(put.send().await.unwrap().status(), 200);
        let mut body = small();
        body["enable_sync_mode"] = json!(true);
        let done = post(REDUX, body).await;
        let url = |text: &Value| Url::parse(text.as_str().unwrap()).unwrap();
        Self {
            server,
            token: token.as_str().unwrap().to_owned(),
            result: url(&done["data"]["outputs"][0]),
            upload: url(&first["file_url"]),
            ticket: url(&second["upload_url"]),
            parts: url(&parts["upload_url"]),
            parts_ticket: behind["uploadId"].as_str().or(behind["upload_id"].as_str()).unwrap().to_owned(),
            key,
        }
    }

    /// Requests by which `operation` is given what `subject` names.
    fn requests(&self, operation: &Operation, subject: &Subject) -> Vec<RequestBuilder> {
        let method: Method = operation.method.parse().unwrap();
        let to = |path: &str| self.server.client.request(method.clone(), format!("{}{path}", self.server.url));
        let with_key = |path: &str| to(path).bearer_auth(&self.key);
        // Its own signature, at the subject's path.
        let signed = |own: &Url, path: String| to(&format!("{path}?{}", own.query().unwrap()));
        let stored = |own: &Url, path: String| format!("{}{path}?{}", self.server.url, own.query().unwrap());
        let pictures = [
            stored(&self.upload, format!("/media/uploads/{}.png", subject.upload)),
            stored(&self.result, format!("/media/results/{}/0.png", subject.task)),
        ];
        let path = operation.path.replace("{app}", "flux-1").replace("{id}", &subject.task);
        match operation.takes {
            Takes::Nothing => Vec::new(),
            Takes::Task => {
                let old = path.replace("/api/v3/", "/api/v2/");
                vec![with_key(&path).body("{}"), with_key(&old).body("{}")]
            }
            Takes::Request => {
                let whole = operation.path.replace("{app}", "flux-1/dev/redux").replace("{id}", &subject.task);
                let token = format!("{path}?logs=1&fal_jwt_token={}", self.token);
                vec![with_key(&path), with_key(&whole), to(&token)]
            }
            Takes::Tasks => {
                let ids = json!({"ids": [subject.task, subject.upload, subject.ticket]}).to_string();
                vec![with_key(&path).body(ids.clone()), with_key(&path.replace("/v3/", "/v2/")).body(ids)]
            }
            Takes::ResultFile => vec![
                signed(&self.result, format!("/media/results/{}/0.png", subject.task)),
                signed(&self.upload, format!("/media/results/{}/0.png", subject.task)),
            ],
            Takes::UploadFile => vec![
                signed(&self.upload, format!("/media/uploads/{}.png", subject.upload)),
                signed(&self.ticket, format!("/media/uploads/{}.png", subject.ticket)),
            ],
            Takes::Ticket => vec![
                signed(&self.ticket, format!("/media/put/{}", subject.ticket)).body(picture(16, 16)),
                signed(&self.upload, format!("/media/put/{}", subject.upload)).body(picture(16, 16)),
            ],
            Takes::Parts => {
                let path = operation.path.replace("{id}", &subject.parts).replace("{number}", "1");
                vec![signed(&self.parts, path.clone()).body("{}"), signed(&self.ticket, path).body("{}")]
            }
            Takes::UploadPath | Takes::PartsBehind => {
                let by = |own: &Url, id: &str| {
                    let pair = |name: &str| own.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
                    let path = operation.path.replace("{expires}", &pair("expires"));
                    let path = path.replace("{signature}", &pair("signature")).replace("{file}", &format!("{id}.png"));
                    let path = path.replace("{ticket}", &self.parts_ticket).replace("{number}", "1");
                    to(&path).body("{}")
                };
                vec![by(&self.upload, &subject.upload), by(&self.parts, &subject.parts)]
            }
            Takes::Picture("inputs") => {
                let model = REDUX.trim_start_matches("/api/v3/");
                let body = |image: &String| json!({"model_id": model, "inputs": {"image": image}}).to_string();
                pictures.iter().map(|image| with_key(&path).body(body(image))).collect()
            }
            Takes::Picture(field) => {
                let body = |image: &String| json!({field: image, "prompt": "a lake"}).to_string();
                pictures.iter().map(|image| with_key(&path).body(body(image))).collect()
            }
            Takes::Form(field) => {
                let part = |name: &str, text: &str| {
                    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
                };
                let body = |image: &String| format!("{}{}--b--\r\n", part(field, image), part("prompt", "a lake"));
                let form =
                    |image| with_key(&path).header("content-type", "multipart/form-data; boundary=b").body(body(image));
                pictures.iter().map(form).collect()
            }
            Takes::Proxied => ["", "/status", "/status/stream", "/cancel"]
                .iter()
                .map(|part| {
                    let target = format!("https://queue.fal.run/fal-ai/flux-1/requests/{}{part}", subject.task);
                    with_key(&path).header("x-fal-target-url", target).body("{}")
                })
                .collect(),
        }
    }

    /// Gives every operation what is the owner's, and compares with what is nobody's; returns how many were tried.
    async fn try_all(&self, operations: &[Operation], owners: &Subject, when: &str) -> usize {
        let mut tried = 0;
        for operation in operations {
            let nobodys = Subject::nobodys();
            let pairs = self.requests(operation, owners).into_iter().zip(self.requests(operation, &nobodys));
            for (to_owners, to_nobodys) in pairs {
                let (expected, given) = (read(to_nobodys, &nobodys).await, read(to_owners, owners).await);
                assert_eq!(given, expected, "{} {} of a task that is {when}", operation.method, operation.path);
                // An id that is not found among those to delete is passed over; all else is refused.
                let passes = matches!(operation.takes, Takes::Tasks);
                assert_eq!(given.0 == 200, passes, "{} {}: {given:?}", operation.method, operation.path);
                tried += 1;
            }
        }
        tried
    }
}

async fn read(request: RequestBuilder, subject: &Subject) -> Answer {
    let response = tokio::time::timeout(Duration::from_secs(20), request.send()).await.expect("an answer").unwrap();
    let status = response.status().as_u16();
    // Times and the request's own id differ from one answer to the next.
    let differ = ["date", "x-request-id", "openai-processing-ms"];
    let headers = response.headers().iter().filter(|(name, _)| !differ.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), subject.hidden(value.to_str().unwrap()))).collect();
    let body = tokio::time::timeout(Duration::from_secs(20), response.text()).await.expect("an end").unwrap();
    (status, headers, subject.hidden(&body))
}

fn small() -> Value {
    json!({
        "image": data_uri(&picture(48, 48)), "image_url": data_uri(&picture(48, 48)), "size": "256*256",
        "image_size": {"width": 256, "height": 256}, "num_inference_steps": 2, "seed": 5, "output_format": "png",
    })
}

/// Seconds of work.
fn long() -> Value {
    let mut body = small();
    body["size"] = json!("768*768");
    body["image_size"] = json!({"width": 768, "height": 768});
    body["num_inference_steps"] = json!(50);
    body
}

/// A task of the owner, by the path of its status.
struct Owned {
    id: String,
    path: String,
}

impl Owned {
    async fn submit(server: &Server, of_fal: bool, body: &Value) -> Self {
        if of_fal {
            let (status, ticket) = server.post("/queue/fal-ai/flux-1/dev/redux", body).await;
            assert_eq!(status, 200, "{ticket}");
            let id = ticket["request_id"].as_str().unwrap().to_owned();
            return Self { path: format!("/queue/fal-ai/flux-1/requests/{id}/status"), id };
        }
        let id = server.submit(REDUX, body).await;
        Self { path: format!("/api/v3/predictions/{id}"), id }
    }

    /// WaveSpeed's word for where it stands.
    async fn status(&self, server: &Server) -> String {
        let answer = server.get(&self.path).await.1;
        let word = answer["data"]["status"].as_str().or(answer["status"].as_str()).unwrap();
        match (word, answer["error"].is_null()) {
            ("IN_QUEUE", _) => "created",
            ("IN_PROGRESS", _) => "processing",
            ("COMPLETED", true) => "completed",
            ("COMPLETED", false) => "failed",
            (word, _) => word,
        }
        .to_owned()
    }

    async fn until(&self, server: &Server, wanted: &str) {
        eventually(Duration::from_mins(5), async || {
            let status = self.status(server).await;
            if status == wanted {
                return Ok(());
            }
            let failure = format!("{}: {status}, not {wanted}", self.path);
            assert!(["created", "processing"].contains(&status.as_str()), "{failure}");
            Err(failure)
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_somebody_elses_is_as_good_as_nothing() {
    let server = Server::start(|options| options.workers = 2).await;
    let document = server.get("/openapi.json").await.1;
    assert_documented(&server.paths, &document);
    let operations = operations(&document);
    let stranger = Stranger::new(&server, second_key(&server).await).await;

    // Two that run take both workers; what comes after them waits.
    let finished = [Owned::submit(&server, false, &small()).await, Owned::submit(&server, true, &small()).await];
    for task in &finished {
        task.until(&server, "completed").await;
    }
    let deleted = server.submit(REDUX, &small()).await;
    server.ended(&deleted).await;
    server.post("/api/v3/predictions/delete", &json!({"ids": [deleted]})).await;
    let id_in = |url: &str| url.split(['/', '?', '.']).find_map(JobId::parse).unwrap().to_string();
    let ticket = server.post("/storage/upload/initiate", &json!({})).await.1;
    let parts = server.post("/storage/upload/initiate-multipart", &json!({})).await.1;
    let upload = server.upload(&picture(40, 40)).await;
    let subject = |task: &str| Subject {
        task: task.to_owned(),
        upload: id_in(upload.split("/media/").nth(1).unwrap()),
        ticket: id_in(ticket["upload_url"].as_str().unwrap().split("/media/").nth(1).unwrap()),
        parts: id_in(parts["upload_url"].as_str().unwrap().split("/media/").nth(1).unwrap()),
    };
    let mut tried = stranger.try_all(&operations, &subject(&deleted), "deleted").await;
    for task in &finished {
        tried += stranger.try_all(&operations, &subject(&task.id), "completed").await;
    }
    let mut owned = Vec::from(finished);
    let mut passes = 0;
    loop {
        let running = [Owned::submit(&server, false, &long()).await, Owned::submit(&server, true, &long()).await];
        for task in &running {
            task.until(&server, "processing").await;
        }
        let waiting = [Owned::submit(&server, false, &small()).await, Owned::submit(&server, true, &small()).await];
        let mut statuses = Vec::new();
        for (task, when) in running.iter().zip(["processing"; 2]).chain(waiting.iter().zip(["created"; 2])) {
            tried += stranger.try_all(&operations, &subject(&task.id), when).await;
            statuses.push(task.status(&server).await);
        }
        owned.extend(running.into_iter().chain(waiting));
        if statuses == ["processing", "processing", "created", "created"] {
            break;
        }
        // On a busy machine they may be done before everything was tried.
        assert!(statuses.iter().all(|status| ["created", "processing", "completed"].contains(&status.as_str())));
        passes += 1;
        assert!(passes < 5, "they are always done too soon: {statuses:?}");
        for task in &owned {
            task.until(&server, "completed").await;
        }
    }
    assert!(tried > 500, "{tried}");

    // The lists and sums of the stranger tell of nothing that is not its own.
    for operation in operations.iter().filter(|operation| operation.takes == Takes::Nothing) {
        let path = format!("{}{}", server.url, operation.path.replace("{id}", "black-forest-labs/FLUX-1-Redux-dev"));
        let request = server.client.request(operation.method.parse().unwrap(), path).bearer_auth(&stranger.key);
        let said = request.body("{}").send().await.unwrap().text().await.unwrap();
        for task in &owned {
            assert!(!said.contains(&task.id), "{} {}: {said}", operation.method, operation.path);
        }
    }

    // The owner has noticed nothing: what ran and what waited come to their ends, what was sent can be read and used.
    for task in &owned {
        task.until(&server, "completed").await;
    }
    assert_eq!(server.client.get(&upload).send().await.unwrap().bytes().await.unwrap(), picture(40, 40));
    let put = server.client.put(ticket["upload_url"].as_str().unwrap()).body(picture(16, 16));
    assert_eq!(put.send().await.unwrap().status(), 200);
    assert_ne!(stranger.key, KEY);
}
