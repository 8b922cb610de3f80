//! All targets in one program: `afterimage-fuzz TARGET SECONDS SEEDS [FINDINGS]`.

use libfuzzer_sys::arguments;
use std::process::ExitCode;

#[path = "../../../fuzz/targets/config.rs"]
mod config;
#[path = "../../../fuzz/targets/data_uri.rs"]
mod data_uri;
#[path = "../../../fuzz/targets/lora_keys.rs"]
mod lora_keys;
#[path = "../../../fuzz/targets/multipart.rs"]
mod multipart;
#[path = "../../../fuzz/targets/own_address.rs"]
mod own_address;
#[path = "../../../fuzz/targets/picture.rs"]
mod picture;
#[path = "../../../fuzz/targets/request_json.rs"]
mod request_json;
#[path = "../../../fuzz/targets/size.rs"]
mod size;
#[path = "../../../fuzz/targets/tokenizer.rs"]
mod tokenizer;
#[path = "../../../fuzz/targets/web_url.rs"]
mod web_url;
#[path = "../../../fuzz/targets/weights_file.rs"]
mod weights_file;

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: afterimage-fuzz TARGET SECONDS SEEDS [FINDINGS]");
        return ExitCode::from(2);
    };
    match arguments.target.as_str() {
        "config" => config::fuzz(&arguments),
        "data_uri" => data_uri::fuzz(&arguments),
        "lora_keys" => lora_keys::fuzz(&arguments),
        "multipart" => multipart::fuzz(&arguments),
        "own_address" => own_address::fuzz(&arguments),
        "picture" => picture::fuzz(&arguments),
        "request_json" => request_json::fuzz(&arguments),
        "size" => size::fuzz(&arguments),
        "tokenizer" => tokenizer::fuzz(&arguments),
        "web_url" => web_url::fuzz(&arguments),
        "weights_file" => weights_file::fuzz(&arguments),
        other => {
            eprintln!("{other}: no such target");
            ExitCode::from(2)
        }
    }
}
