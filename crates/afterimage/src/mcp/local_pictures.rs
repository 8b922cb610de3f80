//! Pictures of this machine in messages: taken in where a tool is called, offered where tools are listed.

use super::client_line::Outgoing;
use super::picture_folders::PictureFolders;
use serde_json::{Value, json};

/// The arguments of tools that are one picture, and those that are several.
const ONE: [&str; 3] = ["image", "init_image", "mask_image"];
const SEVERAL: [&str; 2] = ["images", "image_masks"];

/// `outgoing` with the pictures themselves in place of paths of files.
///
/// # Errors
/// What the assistant's model has to hear, as the server would say it, when a file cannot be had.
pub fn with_pictures(outgoing: Outgoing, folders: &PictureFolders) -> Result<Outgoing, String> {
    if outgoing.method != "tools/call" {
        return Ok(outgoing);
    }
    let Ok(mut message) = serde_json::from_slice::<Value>(&outgoing.text) else { return Ok(outgoing) };
    let mut is_changed = false;
    if let Some(arguments) = message.pointer_mut("/params/arguments").and_then(Value::as_object_mut) {
        for field in ONE {
            if let Some(one) = arguments.get_mut(field) {
                is_changed |= replace(one, field, folders)?;
            }
        }
        for field in SEVERAL {
            for one in arguments.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
                is_changed |= replace(one, field, folders)?;
            }
        }
    }
    Ok(if is_changed { Outgoing { text: message.to_string().into_bytes(), ..outgoing } } else { outgoing })
}

/// Puts the picture in place of a path; whether `value` was one.
fn replace(value: &mut Value, field: &str, folders: &PictureFolders) -> Result<bool, String> {
    let Some(picture) = value.as_str().and_then(|text| folders.picture(text)) else { return Ok(false) };
    *value = Value::String(picture.map_err(|problem| format!("{field}: {problem}"))?);
    Ok(true)
}

/// The result that says why a tool was not called: for the model, which is not shown errors of the protocol. Messages that
/// name their version are of one that wants to know the kind of a result.
pub fn refused_call(id: &Value, problem: &str, names_version: bool) -> Vec<u8> {
    let mut result = json!({"content": [{"type": "text", "text": problem}], "isError": true});
    if names_version {
        result["resultType"] = json!("complete");
    }
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string().into_bytes()
}

/// The answer that lists tools, which says of those that take pictures where else these may lie.
pub fn with_folders_told(answer: Vec<u8>, folders: &PictureFolders) -> Vec<u8> {
    if folders.is_empty() {
        return answer;
    }
    let Ok(mut message) = serde_json::from_slice::<Value>(&answer) else { return answer };
    let Some(tools) = message.pointer_mut("/result/tools").and_then(Value::as_array_mut) else { return answer };
    for tool in tools {
        let takes_pictures = tool.pointer("/inputSchema/properties/image").is_some();
        if let Some(Value::String(description)) = tool.get_mut("description").filter(|_| takes_pictures) {
            description.push_str(" A picture can also be given by the full path of a file below ");
            description.push_str(&folders.names());
            description.push('.');
        }
    }
    message.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn call(arguments: &Value) -> Outgoing {
        let message =
            json!({"id": 1, "method": "tools/call", "params": {"name": "vary_picture", "arguments": arguments}});
        Outgoing {
            text: message.to_string().into_bytes(),
            method: "tools/call".to_owned(),
            name: Some("vary_picture".to_owned()),
            version: None,
        }
    }

    #[test]
    fn paths_become_pictures_wherever_pictures_may_stand() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.gif");
        fs::write(&path, b"GIF89a").unwrap();
        let folders = PictureFolders::new(&[place.path().to_path_buf()]).unwrap();
        let arguments = json!({
            "image": path, "images": ["https://h/b.png", path], "prompt": path, "init_image": path, "mask_image": path,
            "image_masks": ["none", path],
        });
        let sent = with_pictures(call(&arguments), &folders).unwrap();
        let sent: Value = serde_json::from_slice(&sent.text).unwrap();
        let picture = "data:image/gif;base64,R0lGODlh";
        let expected = json!({
            "image": picture, "images": ["https://h/b.png", picture], "prompt": path, "init_image": picture,
            "mask_image": picture, "image_masks": ["none", picture],
        });
        assert_eq!(sent["params"]["arguments"], expected);
        let missing = json!({"images": [place.path().join("b.gif")]});
        let problem = with_pictures(call(&missing), &folders).unwrap_err();
        assert!(problem.starts_with("images: no such file in "), "{problem}");
    }

    #[test]
    fn what_names_no_file_is_carried_on_byte_by_byte() {
        let arguments = json!({"image": "https://h/a.png", "images": [7, null], "strength": 0.5});
        let before = call(&arguments);
        let text = before.text.clone();
        assert_eq!(with_pictures(before, &PictureFolders::default()).unwrap().text, text);
    }

    #[test]
    fn tools_that_take_pictures_say_where_from() {
        let place = tempfile::tempdir().unwrap();
        let folders = PictureFolders::new(&[place.path().to_path_buf()]).unwrap();
        let tool = |properties: Value| json!({"description": "Does.", "inputSchema": {"properties": properties}});
        let tools = [tool(json!({"image": {}})), tool(json!({"task_id": {}}))];
        let answer = json!({"id": 1, "result": {"tools": tools}}).to_string().into_bytes();
        assert_eq!(with_folders_told(answer.clone(), &PictureFolders::default()), answer);
        let told: Value = serde_json::from_slice(&with_folders_told(answer, &folders)).unwrap();
        let description = |index: usize| told["result"]["tools"][index]["description"].as_str().unwrap();
        assert!(description(0).ends_with(&format!("below {}.", folders.names())), "{told}");
        assert_eq!(description(1), "Does.");
    }

    #[test]
    fn a_refusal_is_a_result_of_the_versions_kind() {
        let read = |line: Vec<u8>| serde_json::from_slice::<Value>(&line).unwrap();
        let old = read(refused_call(&json!("a"), "image: no", false));
        assert_eq!((&old["id"], &old["result"]["isError"]), (&json!("a"), &json!(true)));
        assert!(old["result"].get("resultType").is_none());
        assert_eq!(read(refused_call(&json!(1), "image: no", true))["result"]["resultType"], "complete");
    }
}
