//! One pass, or a small one and a refinement.
//!
//! Models lose their composition on pictures much larger than those they were trained on: they repeat what belongs in
//! the picture once. What such a picture shows is therefore decided at the native size, and only its detail at the full
//! one. A model that knows squares only makes those, of squashed pictures, and has them stretched to the shape asked for.

use crate::config::EnlargeConfig;
use afterimage_core::{Enlarge, GenerationRequest, Size};

/// Image-to-image up to this strength keeps the source's composition at any size.
const HELD_BY_SOURCE: f64 = 0.4;

/// The passes of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    /// Size of the first pass, often the only one.
    pub first_size: Size,
    /// What follows it, if anything.
    pub refinement: Option<Refinement>,
}

/// The second pass: enlarges and refines by image-to-image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Refinement {
    /// The size asked for.
    pub size: Size,
    /// Share of the schedule that runs, above 0 to 1.
    pub strength: f64,
    /// What the first size was made from.
    from_pixels: u64,
}

impl Plan {
    /// How to make pictures of `size`, whose sides are multiples of `step`; `declared` is the model's own wish.
    pub fn new(request: &GenerationRequest, size: Size, step: usize, declared: Option<EnlargeConfig>) -> Self {
        let once = Self { first_size: size, refinement: None };
        let square = declared.is_some_and(|declared| declared.square);
        let from_pixels = match (request.enlarge, declared) {
            (Enlarge::FromPixels(pixels), _) if !square => pixels,
            (Enlarge::FromPixels(_) | Enlarge::Auto, Some(declared)) => declared.from_pixels,
            _ => return once,
        };
        let strength = declared.map_or(EnlargeConfig::default_refine_strength(), |declared| declared.refine_strength);
        // The source decides the composition: a small pass would only lose its detail.
        let held = strength.max(HELD_BY_SOURCE);
        let refines_only = request.task.strength().is_some_and(|asked| asked <= held);
        let first_size = match Size::square(from_pixels, step as u32) {
            // Smaller pictures are the model's own limit: a first pass above them would enlarge nothing.
            native if square && (size.width > native.width || size.height > native.height) => native,
            _ => size.shrunk_to(from_pixels, step as u32),
        };
        if refines_only || first_size == size {
            return once;
        }
        Self { first_size, refinement: Some(Refinement { size, strength, from_pixels }) }
    }

    /// The setting of a request that leads to this plan again, on any model that knows the same shapes.
    pub fn enlarge(&self) -> Enlarge {
        self.refinement.map_or(Enlarge::Off, |refinement| Enlarge::FromPixels(refinement.from_pixels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::Task;

    const DECLARED: EnlargeConfig = EnlargeConfig { from_pixels: 65_536, refine_strength: 0.4, square: false };

    fn plan(task: Task, enlarge: Enlarge, side: u32, declared: Option<EnlargeConfig>) -> Plan {
        let request = GenerationRequest { enlarge, ..GenerationRequest::new(task) };
        Plan::new(&request, Size::new(side, side), 16, declared)
    }

    #[test]
    fn large_pictures_of_models_that_ask_for_it_take_two_passes() {
        let large = plan(Task::TextToImage, Enlarge::Auto, 512, Some(DECLARED));
        assert_eq!(large.first_size, Size::new(256, 256));
        let refinement = large.refinement.unwrap();
        assert_eq!((refinement.size, refinement.strength), (Size::new(512, 512), 0.4));
        assert_eq!(large.enlarge(), Enlarge::FromPixels(65_536));
    }

    #[test]
    fn one_pass_is_enough_when_small_when_off_and_when_nobody_asks() {
        for (enlarge, side, declared) in [
            (Enlarge::Auto, 256, Some(DECLARED)),
            (Enlarge::Off, 512, Some(DECLARED)),
            (Enlarge::Auto, 2048, None),
            (Enlarge::FromPixels(1 << 20), 1024, None),
        ] {
            let once = plan(Task::TextToImage, enlarge, side, declared);
            assert_eq!((once.first_size, once.refinement), (Size::new(side, side), None));
            assert_eq!(once.enlarge(), Enlarge::Off);
        }
    }

    #[test]
    fn any_model_can_be_asked() {
        let plan = plan(Task::TextToImage, Enlarge::FromPixels(1 << 20), 2048, None);
        assert_eq!(plan.first_size, Size::new(1024, 1024));
        assert_eq!(plan.refinement.map(|refinement| refinement.strength), Some(0.35));
    }

    #[test]
    fn models_that_know_squares_make_every_larger_shape_of_one() {
        let declared = Some(EnlargeConfig { square: true, ..DECLARED });
        for (size, enlarge, passes) in [
            (Size::new(640, 384), Enlarge::Auto, 2),
            (Size::new(16, 272), Enlarge::Auto, 2),
            (Size::new(2048, 2048), Enlarge::FromPixels(1 << 20), 2),
            (Size::new(256, 256), Enlarge::Auto, 1),
            (Size::new(256, 192), Enlarge::Auto, 1),
            (Size::new(640, 384), Enlarge::Off, 1),
        ] {
            let request = GenerationRequest { enlarge, ..GenerationRequest::new(Task::TextToImage) };
            let plan = Plan::new(&request, size, 16, declared);
            let expected = if passes == 2 { Size::new(256, 256) } else { size };
            assert_eq!(
                (plan.first_size, 1 + i32::from(plan.refinement.is_some())),
                (expected, passes),
                "{size} {enlarge:?}"
            );
            if passes == 2 {
                assert_eq!((plan.refinement.unwrap().size, plan.enlarge()), (size, Enlarge::FromPixels(65_536)));
            }
        }
    }

    #[test]
    fn image_to_image_takes_two_passes_only_where_it_does_more_than_refine() {
        let passes = |strength| {
            let plan = |refine_strength| {
                let declared = EnlargeConfig { refine_strength, ..DECLARED };
                plan(Task::ImageToImage { strength }, Enlarge::Auto, 512, Some(declared))
            };
            [0.2, 0.4, 0.6].map(|refine_strength| 1 + u32::from(plan(refine_strength).refinement.is_some()))
        };
        assert_eq!((passes(0.4), passes(0.41), passes(0.61)), ([1, 1, 1], [2, 2, 1], [2, 2, 2]));
    }
}
