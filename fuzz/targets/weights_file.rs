//! Weights files: headers of safetensors and GGUF, scales, and every tensor that they hand out.
#![cfg_attr(fuzzing, no_main)]

use afterimage_engine::weights::{Component, GgufFile, SafetensorsFile, TensorFile, layout};
use afterimage_tensors::SharedBytes;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    let shared = SharedBytes::new(bytes.to_vec());
    // A mark that was changed would keep the parser from being reached.
    if bytes.starts_with(b"GG") {
        if let Ok(file) = GgufFile::parse(PathBuf::from("fuzz"), &shared) {
            look_at(file, bytes.len());
        }
    } else if let Ok(file) = SafetensorsFile::parse(PathBuf::from("fuzz"), &shared) {
        look_at(file, bytes.len());
    }
});

fn look_at(file: impl TensorFile + 'static, length: usize) {
    for name in file.names() {
        let info = file.info(name).expect("a tensor that is listed");
        assert!(file.bytes(name).expect("its bytes").len() <= length);
        if let Some(tensor) = file.tensor(name) {
            assert_eq!(tensor.numbers(), info.shape.iter().product::<usize>());
            assert_eq!(tensor.shape(), info.shape);
            let mut values = vec![0.0; tensor.numbers()];
            tensor.read(&mut values);
        }
    }
    let Ok(component) = Component::single(Box::new(file)) else { return };
    let component = Arc::new(component);
    for open in [layout::flux, layout::vae, layout::t5, layout::clip, layout::siglip, layout::redux] {
        let _ = open(Arc::clone(&component));
    }
}
