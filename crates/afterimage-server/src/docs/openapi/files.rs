//! The part around stored files: their addresses belong to no dialect. Whoever has one needs no key.

use super::{add_answers, operation_answers};
use serde_json::{Value, json};

/// Schema of errors of routes that belong to no dialect.
const ERROR: &str = "NeutralError";

/// What reading a file may be refused with.
const READING: [(&str, &str); 5] = [
    ("400", "A path that cannot be read"),
    ("404", "No such file, or its address has expired or was changed"),
    ("405", "The path has no such method"),
    ("500", "A fault of the server"),
    ("503", "Database or disk not available; see Retry-After"),
];

/// What sending a file may be refused with beside [`READING`]'s.
const SENDING: [(&str, &str); 3] = [
    ("400", "A path that cannot be read, or bytes that are no picture that can be used"),
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
    let file = json!({"200": {
        "description": "The file",
        "content": {"image/png": picture, "image/jpeg": picture},
    }});
    let upload = json!({"200": {
        "description": "The file, of the type that was found in it",
        "content": {"image/*": picture},
    }});
    let job = ("job", "Id of the task.");
    let name = ("file", "Number of the picture, from 0, and an extension.");
    let id = ("file", "Id of the upload and an extension.");
    let mut result = operation("Read a result", &[job, name], &file);
    add_answers(&mut result, &READING, ERROR);
    add_answers(&mut result, &[("410", "It was deleted")], ERROR);
    let mut uploaded = operation("Read an upload", &[id], &upload);
    add_answers(&mut uploaded, &READING, ERROR);
    let taken = json!({"200": {"description": "Stored"}});
    let mut sent = operation("Send the picture of a ticket, once", &[("id", "Id of the ticket.")], &taken);
    sent["requestBody"] = json!({"required": true, "content": {"application/octet-stream": picture}});
    add_answers(&mut sent, &READING, ERROR);
    add_answers(&mut sent, &SENDING, ERROR);
    let paths = &mut document["paths"];
    paths["/media/results/{job}/{file}"] = json!({"get": result});
    paths["/media/uploads/{file}"] = json!({"get": uploaded});
    paths["/media/put/{id}"] = json!({"put": sent});
}

/// An operation at a signed address.
fn operation(summary: &str, path: &[(&str, &str)], answers: &Value) -> Value {
    let mut parameters: Vec<Value> = path
        .iter()
        .map(|(name, description)| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}, "description": description})
        })
        .collect();
    for (name, kind, description) in [
        ("expires", "integer", "When the address ends, in seconds since 1970."),
        ("signature", "string", "As the address was given out."),
    ] {
        parameters.push(json!({
            "name": name, "in": "query", "required": true, "schema": {"type": kind}, "description": description,
        }));
    }
    operation_answers("files", summary, &json!(parameters), answers)
}
