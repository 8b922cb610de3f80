//! What a picture will look like, while it is being made.

use crate::models::area_average;
use crate::models::vae::Tensor3;

/// Pixels of a preview's longer side, about: enough to see whether to cancel, a sixteenth of the work of 1024×1024.
const LONGER_SIDE: usize = 256;

/// The clean latents that the model expects at the end: `x − sigma · velocity`, since a flow's path is straight.
/// `latents` are those after the step, at noise level `sigma`, and `velocity` is the step's: as the step itself follows
/// the velocity, this is the same as from where it started.
pub(super) fn predicted_clean(latents: &[f32], velocity: &[f32], sigma: f32) -> Vec<f32> {
    latents.iter().zip(velocity).map(|(latent, velocity)| latent - sigma * velocity).collect()
}

/// `latents` with so few rows and columns that decoding them gives a preview; `factor` is pixels per latent.
pub(super) fn reduced(latents: Tensor3, factor: usize) -> Tensor3 {
    let longer = latents.height.max(latents.width);
    let allowed = (LONGER_SIDE / factor).max(1);
    if longer <= allowed {
        return latents;
    }
    let side = |side: usize| ((side * allowed + longer / 2) / longer).max(1);
    let (from, to) = ([latents.height, latents.width], [side(latents.height), side(latents.width)]);
    let plane = from[0] * from[1];
    let data = latents.data.chunks_exact(plane).flat_map(|plane| area_average(plane, from, to)).collect();
    Tensor3 { data, channels: latents.channels, height: to[0], width: to[1] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::latents::euler_step;

    #[test]
    fn a_straight_path_is_seen_to_its_end_from_anywhere() {
        let (clean, noise) = ([0.5_f32, -1.0, 2.0], [1.0_f32, 0.25, -0.5]);
        let velocity: Vec<f32> = noise.iter().zip(clean).map(|(noise, clean)| noise - clean).collect();
        let mut latents: Vec<f32> = noise.iter().zip(clean).map(|(noise, clean)| 0.8 * noise + 0.2 * clean).collect();
        euler_step(&mut latents, &velocity, 0.8, 0.5);
        for (found, expected) in predicted_clean(&latents, &velocity, 0.5).iter().zip(clean) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    }

    #[test]
    fn the_longer_side_shrinks_to_the_limit_and_the_shape_stays() {
        let shape = |height, width| {
            let reduced = reduced(Tensor3 { data: vec![0.5; 2 * height * width], channels: 2, height, width }, 8);
            assert_eq!(reduced.data, vec![0.5; 2 * reduced.height * reduced.width]);
            (reduced.height, reduced.width)
        };
        assert_eq!(shape(128, 128), (32, 32));
        assert_eq!(shape(96, 128), (24, 32));
        assert_eq!(shape(20, 32), (20, 32), "small enough already");
        assert_eq!(shape(1, 512), (1, 32));
    }
}
