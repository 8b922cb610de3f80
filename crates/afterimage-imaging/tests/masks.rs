//! Masks against diffusers' `VaeImageProcessor` and Pillow: `fixtures/masks.json`, made by `make_masks.py`.

#![expect(clippy::unwrap_used, reason = "a failure in a helper is a failure of the test")]

use afterimage_imaging::{Filter, MaskRegion, Picture, Size, blend, fill_resize, gaussian_blur, luma, paste, resize};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    masks: Vec<Mask>,
    fills: Vec<Fill>,
    regions: Vec<[i64; 13]>,
    blurs: Vec<Blur>,
    overlays: Vec<Overlay>,
}

#[derive(Deserialize)]
struct Mask {
    name: String,
    size: [u32; 2],
    channels: usize,
    levels: Vec<Vec<u8>>,
    blur: Option<f64>,
    target: [u32; 2],
    region: Option<[u32; 4]>,
    binary: Vec<String>,
}

#[derive(Deserialize)]
struct Fill {
    size: [u32; 2],
    levels: Vec<Vec<u8>>,
    target: [u32; 2],
    filled: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
struct Blur {
    size: [u32; 2],
    levels: Vec<Vec<u8>>,
    blurred: Vec<Blurred>,
}

#[derive(Deserialize)]
struct Blurred {
    radius: f64,
    levels: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
struct Overlay {
    size: [u32; 2],
    picture: Vec<Vec<u8>>,
    mask: Vec<Vec<u8>>,
    made_size: [u32; 2],
    made: Vec<Vec<u8>>,
    region: [u32; 4],
    result: Vec<Vec<u8>>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/masks.json")).unwrap()
}

fn size([width, height]: [u32; 2]) -> Size {
    Size::new(width, height)
}

/// A picture of rows of levels, one or three a pixel.
fn picture(side: [u32; 2], rows: &[Vec<u8>]) -> Picture {
    let levels: Vec<u8> = rows.concat();
    let grey = levels.len() == (side[0] * side[1]) as usize;
    let rgb = if grey { levels.iter().flat_map(|level| [*level; 3]).collect() } else { levels };
    Picture::from_rgb(side[0], side[1], rgb).unwrap()
}

fn region([left, top, right, bottom]: [u32; 4]) -> MaskRegion {
    MaskRegion { left, top, size: Size::new(right - left, bottom - top) }
}

#[test]
fn masks_are_prepared_as_diffusers_does() {
    let masks = fixture().masks;
    assert!(masks.len() >= 10);
    for Mask { name, size: side, channels, levels, blur, target, region: cut, binary } in masks {
        assert!(levels.iter().all(|row| row.len() == side[0] as usize * channels), "{name}");
        let mask = gaussian_blur(&picture(side, &levels), blur.unwrap_or(0.0));
        // As the engine rounds what it makes, before anything is resized.
        let target = target.map(|side| side / 16 * 16);
        let prepared = match cut {
            Some(cut) => fill_resize(&region(cut).of(&mask).unwrap(), size(target), Filter::Lanczos).unwrap(),
            None => resize(&mask, size(target), Filter::Lanczos).unwrap(),
        };
        let brightness = luma(&prepared);
        let rows = brightness.chunks_exact(target[0] as usize);
        let found: Vec<String> =
            rows.map(|row| row.iter().map(|grey| if *grey >= 128 { '1' } else { '0' }).collect()).collect();
        assert_eq!(found, binary, "{name}");
    }
}

#[test]
fn what_a_shape_leaves_empty_is_filled_from_the_edges() {
    for Fill { size: side, levels, target, filled } in fixture().fills {
        let found = fill_resize(&picture(side, &levels), size(target), Filter::Lanczos).unwrap();
        assert_eq!(found, picture(target, &filled), "{side:?} to {target:?}");
    }
}

#[test]
fn regions_are_those_of_diffusers() {
    let regions = fixture().regions;
    assert!(regions.len() > 100);
    for [width, height, left, top, right, bottom, to_width, to_height, padding, expected @ ..] in regions {
        let inside = |x: i64, y: i64| (left..right).contains(&x) && (top..bottom).contains(&y);
        let levels = (0..height).map(|y| (0..width).map(|x| u8::from(inside(x, y))).collect()).collect::<Vec<_>>();
        let mask = picture([width as u32, height as u32], &levels);
        let found = MaskRegion::around(&mask, Size::new(to_width as u32, to_height as u32), padding as u32).unwrap();
        assert_eq!(found, region(expected.map(|side| side as u32)), "{width}x{height} {padding} {expected:?}");
        assert!(found.of(&mask).is_ok());
    }
    let black = picture([4, 4], &[vec![0; 16]]);
    assert_eq!(MaskRegion::around(&black, Size::new(4, 4), 8), None);
}

#[test]
fn blurs_are_pillows() {
    for Blur { size: side, levels, blurred } in fixture().blurs {
        for Blurred { radius, levels: expected } in blurred {
            let found = gaussian_blur(&picture(side, &levels), radius);
            assert_eq!(luma(&found), expected.concat(), "{side:?} by {radius}");
        }
    }
    let one = picture([1, 1], &[vec![9]]);
    for radius in [0.0, -1.0, f64::NAN, 1e-9, 256.0] {
        assert_eq!(gaussian_blur(&one, radius), one, "{radius}");
    }
}

#[test]
fn results_are_laid_over_as_diffusers_does() {
    for Overlay { size: side, picture: original, mask, made_size, made, region: place, result } in fixture().overlays {
        let (original, mask) = (picture(side, &original), picture(side, &mask));
        let pasted = paste(&original, &picture(made_size, &made), region(place)).unwrap();
        let found = blend(&original, &pasted, &luma(&mask)).unwrap();
        assert_eq!(found, picture(side, &result), "{side:?}");
    }
}
