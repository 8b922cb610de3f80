//! GGML's numbers for types of numbers.

use afterimage_tensors::Element;

/// Name and, of those that models can use, the type. `None` for a number that no version of GGML gave out.
pub(super) fn ggml_type(number: u32) -> Option<(&'static str, Option<Element>)> {
    let element = match number {
        0 => Element::F32,
        1 => Element::F16,
        2 => Element::Q4_0,
        3 => Element::Q4_1,
        6 => Element::Q5_0,
        7 => Element::Q5_1,
        8 => Element::Q8_0,
        10 => Element::Q2K,
        11 => Element::Q3K,
        12 => Element::Q4K,
        13 => Element::Q5K,
        14 => Element::Q6K,
        20 => Element::Iq4Nl,
        30 => Element::Bf16,
        _ => return unsupported(number).map(|name| (name, None)),
    };
    Some((element.name(), Some(element)))
}

/// Types that GGML has and models here cannot use.
fn unsupported(number: u32) -> Option<&'static str> {
    Some(match number {
        9 => "q8_1",
        15 => "q8_k",
        16 => "iq2_xxs",
        17 => "iq2_xs",
        18 => "iq3_xxs",
        19 => "iq1_s",
        21 => "iq3_s",
        22 => "iq2_s",
        23 => "iq4_xs",
        24 => "i8",
        25 => "i16",
        26 => "i32",
        27 => "i64",
        28 => "f64",
        29 => "iq1_m",
        34 => "tq1_0",
        35 => "tq2_0",
        39 => "mxfp4",
        40 => "nvfp4",
        // Withdrawn before any model used them: rows repacked for one processor.
        4 | 5 | 31..=33 | 36..=38 => "withdrawn",
        _ => return None,
    })
}
