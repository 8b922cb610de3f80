//! One pass, or a small one and a refinement.
//!
//! Models lose their composition on pictures much larger than those they were trained on: they repeat what belongs in
//! the picture once. What such a picture shows is therefore decided at the native size, and only its detail at the full
//! one.

use crate::config::EnlargeConfig;
use afterimage_core::{Enlarge, GenerationRequest, Size, Task};

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
        let from_pixels = match (request.enlarge, declared) {
            (Enlarge::FromPixels(pixels), _) => pixels,
            (Enlarge::Auto, Some(declared)) => declared.from_pixels,
            (Enlarge::Auto, None) | (Enlarge::Off, _) => return once,
        };
        let strength = declared.map_or(EnlargeConfig::default_refine_strength(), |declared| declared.refine_strength);
        // No more than a refinement anyway: a small pass would only lose the source's detail.
        let refines_only = matches!(request.task, Task::ImageToImage { strength: asked } if asked <= strength);
        let first_size = size.shrunk_to(from_pixels, step as u32);
        if refines_only || first_size == size {
            return once;
        }
        Self { first_size, refinement: Some(Refinement { size, strength, from_pixels }) }
    }

    /// The setting of a request that leads to this plan on any model.
    pub fn enlarge(&self) -> Enlarge {
        self.refinement.map_or(Enlarge::Off, |refinement| Enlarge::FromPixels(refinement.from_pixels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: EnlargeConfig = EnlargeConfig { from_pixels: 65_536, refine_strength: 0.4 };

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
    fn image_to_image_takes_two_passes_only_where_it_does_more_than_refine() {
        let passes = |strength| {
            let plan = plan(Task::ImageToImage { strength }, Enlarge::Auto, 512, Some(DECLARED));
            1 + u32::from(plan.refinement.is_some())
        };
        assert_eq!((passes(0.4), passes(0.41)), (1, 2));
    }
}
