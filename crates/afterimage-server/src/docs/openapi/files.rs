//! The part around stored files: their addresses belong to no dialect. Whoever has one needs no key.

use super::edit::{add_answers, operation_answers};
use serde_json::{Value, json};

/// Schema of errors of routes that belong to no dialect.
pub(super) const ERROR: &str = "NeutralError";

/// What reading a file may be refused with.
const READING: [(&str, &str); 5] = [
    ("400", "A path that cannot be read"),
    ("404", "No such file, or its address has expired or was changed"),
    ("405", "The path has no such method"),
    ("500", "A fault of the server"),
    ("503", "Database or disk not available; see Retry-After"),
];

/// What sending a file may be refused with beside [`READING`]'s.
const SENDING: [(&str, &str); 4] = [
    ("400", "A path that cannot be read, or bytes that are no picture that can be used"),
    ("403", "The key has used up its quota"),
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
];

/// Adds the operations.
pub fn complete(document: &mut Value) {
    document["components"]["schemas"][ERROR] = json!({
        "type": "object",
        "description": "An error, with the keys that clients of all dialects look for.",
        "properties": {
            "code": {"type": "integer"},
            "message": {"type": "string"},
            "detail": {"type": "string"},
            "error": {"type": "object"},
        },
        "required": ["code", "message", "detail", "error"],
    });
    let picture = json!({"schema": {"type": "string", "format": "binary"}});
    let file = read("The file", &json!({"image/png": picture, "image/jpeg": picture}));
    let upload = read("The file, of the type that was found in it", &json!({"image/*": picture}));
    let job = ("job", "Id of the task.");
    let name = ("file", "Number of the picture, from 0, and an extension.");
    let id = ("file", "Id of the upload and an extension.");
    let mut result = operation("Read a result", &[job, name], true, &file);
    add_answers(&mut result, &READING, ERROR);
    add_answers(&mut result, &[("410", "It was deleted")], ERROR);
    let mut uploaded = operation("Read an upload", &[id], true, &upload);
    add_answers(&mut uploaded, &READING, ERROR);
    let [expires, signature] = SIGNED.map(|(name, _, description)| (name, description));
    let mut by_path =
        operation("Read an upload, all of its address in the path", &[expires, signature, id], false, &upload);
    add_answers(&mut by_path, &READING, ERROR);
    let taken = json!({"200": {"description": "Stored"}});
    let to_send = |summary: &str, path: &[(&str, &str)], signed: bool, answers: &Value, body: Value| {
        let mut operation = operation(summary, path, signed, answers);
        operation["requestBody"] = body;
        add_answers(&mut operation, &READING, ERROR);
        add_answers(&mut operation, &SENDING, ERROR);
        operation
    };
    let bytes = json!({"required": true, "content": {"application/octet-stream": picture}});
    let parts = json!({"required": true, "content": {"application/json": {"schema": {"type": "object"}}}});
    let of_json =
        json!({"200": {"description": "Stored", "content": {"application/json": {"schema": {"type": "object"}}}}});
    let ticket = ("id", "Id of the ticket.");
    let (number, behind) = (("number", "Number of the part, from 1."), ("ticket", "As it was given out."));
    let sent = to_send("Send the picture of a ticket, once", &[ticket], true, &taken, bytes.clone());
    let part = to_send("Send a part of a picture", &[ticket, number], true, &of_json, bytes.clone());
    let complete = to_send("Put the parts of a picture together", &[ticket], true, &of_json, parts.clone());
    let path = [expires, signature, id, behind, number];
    let part_behind = to_send("Send a part of a picture behind its address", &path, false, &of_json, bytes);
    let complete_behind =
        to_send("Put the parts of a picture together behind its address", &path[..4], false, &of_json, parts);
    let paths = &mut document["paths"];
    paths["/media/results/{job}/{file}"] = json!({"get": result});
    paths["/media/uploads/{file}"] = json!({"get": uploaded});
    paths["/media/put/{id}"] = json!({"put": sent});
    paths["/media/parts/{id}/{number}"] = json!({"put": part});
    paths["/media/parts/{id}/complete"] = json!({"post": complete});
    let by_address = "/media/files/{expires}/{signature}/{file}";
    paths[by_address] = json!({"get": by_path});
    paths[format!("{by_address}/multipart/{{ticket}}/{{number}}")] = json!({"put": part_behind});
    paths[format!("{by_address}/multipart/{{ticket}}/complete")] = json!({"post": complete_behind});
}

/// Answers of a route that reads a file of the types in `content`.
fn read(description: &str, content: &Value) -> Value {
    json!({
        "200": {"description": description, "content": content},
        "206": {"description": "The part that `Range` asks for", "content": content},
        "304": {"description": "The client has it, as `If-None-Match` says"},
        "416": {"description": "`Range` begins behind the end of the file"},
    })
}

/// The signed part of an address: name, type, description.
const SIGNED: [(&str, &str, &str); 2] = [
    ("expires", "integer", "When the address ends, in seconds since 1970."),
    ("signature", "string", "As the address was given out."),
];

/// An operation at a signed address; `signed`: by its query.
fn operation(summary: &str, path: &[(&str, &str)], signed: bool, answers: &Value) -> Value {
    let mut parameters: Vec<Value> = path
        .iter()
        .map(|(name, description)| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}, "description": description})
        })
        .collect();
    for (name, kind, description) in SIGNED.iter().filter(|_| signed) {
        parameters.push(json!({
            "name": name, "in": "query", "required": true, "schema": {"type": kind}, "description": description,
        }));
    }
    operation_answers("files", summary, &json!(parameters), answers)
}
