//! Requests as clients send them: what is unusual but means one thing only is taken.

mod edits;
mod parts;
mod pictures;
mod seeds;

use crate::openai::inlined;
use crate::support::Server;
use image::RgbImage;
use reqwest::Method;
use serde_json::Value;

/// The pixels of an encoded picture.
fn pixels(bytes: &[u8]) -> RgbImage {
    image::load_from_memory(bytes).unwrap().to_rgb8()
}

/// The file behind an address.
async fn fetched(server: &Server, address: &Value) -> Vec<u8> {
    let address = address.as_str().unwrap_or_else(|| panic!("no address: {address}"));
    server.client.get(address).send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap().to_vec()
}

/// The first picture of an answer of any dialect.
async fn first_picture(server: &Server, answer: &Value) -> Vec<u8> {
    use base64::Engine;
    if let Some(address) = answer["data"]["outputs"].get(0).or_else(|| answer["data"][0].get("url")) {
        return fetched(server, address).await;
    }
    if answer["data"][0]["b64_json"].is_string() {
        return inlined(answer).swap_remove(0);
    }
    let image = answer["images"].get(0).unwrap_or_else(|| panic!("no picture: {answer}"));
    match image.as_str().and_then(|uri| uri.split_once("base64,")) {
        Some((_, text)) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
        None => fetched(server, &image["url"]).await,
    }
}

/// Sends `body` as JSON, with a content type as most clients do.
async fn post_json(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let request = server.request(Method::POST, path).header("content-type", "application/json; charset=utf-8");
    let (status, answer) = crate::support::answer(request.body(body.to_string()).send().await.unwrap()).await;
    (status.as_u16(), answer)
}
