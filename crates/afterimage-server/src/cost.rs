//! What a picture costs, told before it is made.

use afterimage_core::{GenerationRequest, Size, Task};
pub use afterimage_jobs::Rates;

/// Millionths of a dollar in a dollar.
const MICROS: f64 = 1e6;

/// What a size counts as that is not known before a picture has been read.
const UNKNOWN: Size = Size::new(1024, 1024);

/// Sides of pictures are made in multiples of this, rounded down.
const SIDE_STEP: u32 = 16;

/// The price of `request` in millionths of a dollar, by what is known of it; `input` is the size of its first picture.
/// What is due in the end is counted by what was made, see [`afterimage_jobs::JobSpec::rates`].
pub fn quote(rates: Rates, request: &GenerationRequest, input: Option<Size>) -> i64 {
    let of_input = input.filter(|_| matches!(request.task, Task::ImageToImage { .. } | Task::Inpaint(_)));
    let size = request.size.or(of_input).unwrap_or(UNKNOWN).rounded_down_to(SIDE_STEP);
    rates.micros(size, request.steps, request.num_images)
}

/// `micros` in dollars.
pub fn dollars(micros: i64) -> f64 {
    micros as f64 / MICROS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_for_the_picture_that_will_be_made() {
        let rates = Rates::default();
        let request = |task, size| GenerationRequest { steps: 25, size, ..GenerationRequest::new(task) };
        let image_to_image = request(Task::ImageToImage { strength: 0.8 }, None);
        assert_eq!(quote(rates, &image_to_image, Some(Size::new(512, 512))), 3000);
        assert_eq!(quote(rates, &image_to_image, Some(Size::new(527, 513))), 3000, "sides are rounded down");
        assert_eq!(quote(rates, &image_to_image, None), 12_000, "a picture that nobody has seen");
        let variation = request(Task::Variation(afterimage_core::VariationSettings::default()), None);
        assert_eq!(quote(rates, &variation, Some(Size::new(512, 512))), 12_000, "its size is not the picture's");
        let sized = request(Task::TextToImage, Some(Size::new(260, 300)));
        assert_eq!(quote(rates, &sized, None), rates.micros(Size::new(256, 288), 25, 1));
        assert!((dollars(12_000) - 0.012).abs() < 1e-12);
    }
}
