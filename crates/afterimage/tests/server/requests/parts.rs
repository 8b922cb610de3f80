//! fal's uploads in parts, and WaveSpeed's tickets.

use super::fetched;
use crate::fal_files::database;
use crate::support::{KEY, REDUX, Server, answer, picture};
use afterimage_jobs::{KeyStore, NewKey};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

const INITIATE: &str = "/storage/upload/initiate-multipart?storage_type=fal-cdn-v3";
const BEHIND: &str = "/files/upload/multipart";

/// An upload that was begun: where its file will be, and the address of one thing below it.
struct Begun {
    file: Value,
    address: Box<dyn Fn(&str) -> String>,
}

/// As the JavaScript client does: the number before the query.
async fn by_address(server: &Server) -> Begun {
    let (status, ticket) = server.post(INITIATE, &json!({"content_type": "image/png", "file_name": "a.png"})).await;
    assert_eq!(status, 200, "{ticket}");
    let url = ticket["upload_url"].as_str().unwrap().to_owned();
    let (path, query) = url.split_once('?').map(|(path, query)| (path.to_owned(), query.to_owned())).unwrap();
    Begun { file: ticket["file_url"].clone(), address: Box::new(move |last| format!("{path}/{last}?{query}")) }
}

/// As the Python client does: behind the address of the file.
async fn behind_file(server: &Server) -> Begun {
    let request = server.request(Method::POST, BEHIND).header("content-type", "image/png");
    let (status, begun) = answer(request.header("x-fal-file-name", "a.png").send().await.unwrap()).await;
    assert_eq!(status, 200, "{begun}");
    let base = format!("{}/multipart/{}", begun["access_url"].as_str().unwrap(), begun["uploadId"].as_str().unwrap());
    Begun { file: begun["access_url"].clone(), address: Box::new(move |last| format!("{base}/{last}")) }
}

async fn put(server: &Server, begun: &Begun, number: &str, bytes: &[u8]) -> Response {
    server.client.put((begun.address)(number)).body(bytes.to_vec()).send().await.unwrap()
}

/// Puts a part; how it is listed later.
async fn listed(server: &Server, begun: &Begun, number: u32, bytes: &[u8]) -> Value {
    let response = put(server, begun, &number.to_string(), bytes).await;
    let header = response.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned());
    let (status, body) = answer(response).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((body["etag"].as_str(), &body["partNumber"]), (header.as_deref(), &json!(number)), "{body}");
    json!({"partNumber": number, "etag": body["etag"]})
}

async fn complete(server: &Server, begun: &Begun, parts: &Value) -> (StatusCode, Value) {
    let request = server.client.post((begun.address)("complete")).header("content-type", "application/json");
    answer(request.body(json!({"parts": parts}).to_string()).send().await.unwrap()).await
}

fn part_files(server: &Server) -> usize {
    let folders = std::fs::read_dir(server.folder.path().join("data/parts")).into_iter().flatten().flatten();
    folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten()).count()
}

#[tokio::test]
async fn parts_in_any_order_and_repeated_make_the_file() {
    let server = Server::without_workers().await;
    let png = picture(200, 150);
    for begun in [by_address(&server).await, behind_file(&server).await] {
        assert_eq!(server.post(REDUX, &json!({"image": begun.file})).await.0, 400, "before it is complete");
        let (first, rest) = png.split_at(png.len() / 3);
        let (second, third) = rest.split_at(100);
        let three = listed(&server, &begun, 3, third).await;
        listed(&server, &begun, 1, b"sent again below").await;
        let two = listed(&server, &begun, 2, second).await;
        let one = listed(&server, &begun, 1, first).await;
        listed(&server, &begun, 9, b"not listed").await;
        let wrong = json!({"partNumber": 2, "etag": "\"0\""});
        for bad in
            [json!([]), json!([one, wrong, three]), json!([one, {"partNumber": 4, "etag": "x"}]), json!([one, one])]
        {
            let (status, body) = complete(&server, &begun, &bad).await;
            assert_eq!(status, 400, "{bad}: {body}");
            assert_eq!(body["detail"], body["message"], "{body}");
        }
        let parts = json!([three, one, two]);
        for again in ["", " again, as when the answer was lost"] {
            let (status, body) = complete(&server, &begun, &parts).await;
            assert_eq!((status.as_u16(), &body["size"]), (200, &json!(png.len())), "{again}: {body}");
        }
        assert_eq!(fetched(&server, &begun.file).await, png);
        assert_eq!(server.post(REDUX, &json!({"image": begun.file})).await.0, 200);
        assert_eq!(put(&server, &begun, "1", b"later").await.status(), 404);
        assert_eq!(part_files(&server), 0);
    }
}

#[tokio::test]
async fn parts_of_all_uploads_of_a_key_count_together() {
    let server = Server::start(|options| options.quota = Some(1_000_000)).await;
    let (one, two) = (by_address(&server).await, behind_file(&server).await);
    let part = vec![b' '; 600_000];
    listed(&server, &one, 1, &part).await;
    let refused = put(&server, &two, "1", &part).await;
    assert_eq!(refused.status(), 403);
    let text = refused.text().await.unwrap();
    assert!(text.contains("600000 of the 1000000 bytes"), "{text}");
    // The same part again is no more than before, and what fits is taken.
    listed(&server, &one, 1, &part).await;
    listed(&server, &two, 1, &part[..300_000]).await;
}

#[tokio::test]
async fn a_file_up_to_the_limit_of_a_picture_fits_and_no_more() {
    let server = Server::without_workers().await;
    // A real picture with 49.9 MB of text behind its end, which decoders do not look at.
    let mut large = picture(64, 64);
    large.resize(49_900_000, b' ');
    let begun = behind_file(&server).await;
    let mut parts = Vec::new();
    for (number, chunk) in (1..).zip(large.chunks(10 << 20)) {
        parts.push(listed(&server, &begun, number, chunk).await);
    }
    let too_much = put(&server, &begun, "6", &vec![b' '; 200_000]).await;
    assert_eq!(too_much.status(), 400);
    assert!(too_much.text().await.unwrap().contains("50 MB"));
    // In place of what was there, the same number of bytes is no more than before.
    listed(&server, &begun, 5, large.chunks(10 << 20).nth(4).unwrap()).await;
    let (status, body) = complete(&server, &begun, &json!(parts)).await;
    assert_eq!((status.as_u16(), &body["size"]), (200, &json!(large.len())), "{body}");
    assert_eq!(server.post(REDUX, &json!({"image": begun.file})).await.0, 200);
}

#[tokio::test]
async fn what_is_no_part_is_refused() {
    let server = Server::without_workers().await;
    let begun = by_address(&server).await;
    for number in ["0", "1001", "-1", "x", "99999999999"] {
        assert_eq!(put(&server, &begun, number, b"x").await.status(), 400, "{number}");
    }
    assert_eq!(put(&server, &begun, "1", b"").await.status(), 400);
    let text = listed(&server, &begun, 1, b"no picture").await;
    let (status, body) = complete(&server, &begun, &json!([text])).await;
    assert_eq!(status, 400);
    assert!(body["detail"].as_str().unwrap().starts_with("file: "), "{body}");
    // It can still become one.
    let png = picture(20, 20);
    let part = listed(&server, &begun, 1, &png).await;
    assert_eq!(complete(&server, &begun, &json!([part])).await.0, 200);

    let (one, other) = (by_address(&server).await, behind_file(&server).await);
    let id_of = |address: &str| address.split(['/', '.', '?']).find(|part| part.len() == 36).unwrap().to_owned();
    for (begun, foreign) in [(&one, &other), (&other, &one)] {
        let (own, theirs) = (id_of(&(begun.address)("1")), id_of(&(foreign.address)("1")));
        for bad in [
            (begun.address)("1").replace(&own, &theirs),
            (begun.address)("1").replace("signature=", "signature=x").replace("/multipart/1", "/multipart/2"),
        ] {
            assert_eq!(server.client.put(&bad).body("x").send().await.unwrap().status(), 404, "{bad}");
        }
    }
    let read_as_put = one.file.as_str().unwrap().replace("/uploads/", "/parts/").replace(".png?", "/1?");
    assert_eq!(server.client.put(read_as_put).body("x").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn uploads_in_parts_belong_to_a_key_and_each_has_so_many() {
    let server = Server::without_workers().await;
    for path in [INITIATE, BEHIND] {
        let request = server.client.request(Method::POST, format!("{}{path}", server.url));
        assert_eq!(request.body("{}").send().await.unwrap().status(), 401, "{path}");
    }
    let store = database(&server).await;
    let (other, secret) = store.create_key(NewKey { name: "other".into(), ..NewKey::default() }).await.unwrap();
    let begin = async |key: &str| {
        let request = server.client.request(Method::POST, format!("{}{INITIATE}", server.url)).bearer_auth(key);
        answer(request.body("{}").send().await.unwrap()).await
    };
    for _ in 0..16 {
        assert_eq!(begin(secret.expose()).await.0, 200);
    }
    let (status, refused) = begin(secret.expose()).await;
    assert_eq!(status, 400, "{refused}");
    let (status, ticket) = begin(KEY).await;
    assert_eq!(status, 200, "another key has its own: {ticket}");
    let begun = behind_file(&server).await;
    listed(&server, &begun, 1, b"x").await;
    store.revoke_key(&other.id).await.unwrap();
    let first = store.keys().await.unwrap().into_iter().find(|key| key.id != other.id).unwrap();
    store.revoke_key(&first.id).await.unwrap();
    assert_eq!(put(&server, &begun, "2", b"x").await.status(), 404, "its key was revoked");
}

#[tokio::test]
async fn a_wavespeed_ticket_has_a_name_and_a_possible_size() {
    let server = Server::without_workers().await;
    for (body, field) in [
        (json!({}), "filename"),
        (json!({"size": 5}), "filename"),
        (json!({"filename": null, "size": 5}), "filename"),
        (json!({"filename": "", "size": 5}), "filename"),
        (json!({"filename": "  ", "size": 5}), "filename"),
        (json!({"filename": 5, "size": 5}), "filename"),
        (json!({"filename": "a.png", "size": 0}), "size"),
        (json!({"filename": "a.png", "size": -1}), "size"),
        (json!({"filename": "a.png", "size": 50_000_001}), "size"),
        (json!({"filename": "a.png", "size": 1e300}), "size"),
        (json!({"filename": "a.png", "size": 1.5}), "size"),
        (json!({"filename": "a.png", "size": "many"}), "size"),
        (json!({"filename": "a.png", "size": [5]}), "size"),
    ] {
        let (status, refused) = server.post("/api/v3/media/uploads", &body).await;
        assert_eq!((status.as_u16(), &refused["code"]), (400, &json!(400)), "{body}: {refused}");
        assert!(refused["message"].as_str().unwrap().starts_with(&format!("{field}: ")), "{body}: {refused}");
    }
    for body in [json!({"filename": "a.png"}), json!({"filename": "a.png", "size": 50_000_000, "content_type": null})] {
        assert_eq!(server.post("/api/v3/media/uploads", &body).await.0, 200, "{body}");
    }
}
