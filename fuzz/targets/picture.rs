//! Pictures: header and pixels.
#![cfg_attr(fuzzing, no_main)]

use afterimage_imaging::{PictureLimits, decode, read_header};
use libfuzzer_sys::fuzz_target;

/// Small, so that one input takes milliseconds.
const LIMITS: PictureLimits = PictureLimits { file_bytes: 1 << 20, pixels: 1 << 18, side: 4096 };

fuzz_target!(
    // A codec's panic is caught by `decode` and refused as damage, in the program as here. The hook that libFuzzer's
    // crate sets would end the process before that; a panic that nobody catches still does.
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| {
        let header = read_header(bytes, "fuzz", &LIMITS);
        let Ok(picture) = decode(bytes, "fuzz", &LIMITS) else { return };
        let (width, height) = (picture.width(), picture.height());
        assert!(width.max(height) <= LIMITS.side && u64::from(width) * u64::from(height) <= LIMITS.pixels);
        assert_eq!(picture.rgb().len() as u64, 3 * u64::from(width) * u64::from(height));
        // What decodes has a header that was accepted, or memory was taken that nobody had counted.
        let header = header.expect("decoded without a readable header");
        // The program decodes under the header's own limits.
        let again = decode(bytes, "fuzz", &header.limits());
        assert!(again.is_err() || again.is_ok_and(|again| again == picture));
    }
);
