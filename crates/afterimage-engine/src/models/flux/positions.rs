//! Where tokens stand, and the angles of their rotary embedding.

/// Base of the rotary frequencies, fixed in every FLUX model.
const THETA: f64 = 10_000.0;

/// The grid of image tokens: packed latents, one token for 16 × 16 pixels with FLUX's VAE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Token rows.
    pub rows: usize,
    /// Token columns.
    pub columns: usize,
}

impl Grid {
    /// Number of image tokens.
    pub const fn tokens(self) -> usize {
        self.rows * self.columns
    }
}

/// The angles `[tokens, head_dim / 2]` of `text_tokens` at position (0, 0, 0), then of image tokens at (0, row, column).
///
/// An angle is `position · θ^(−2i/d)` per axis of width d, axes side by side, computed in f64 as diffusers does
/// (`FluxPosEmbed` and `get_1d_rotary_pos_embed`, `src/diffusers/models/embeddings.py`).
pub(super) fn rotary_angles(text_tokens: usize, grid: Grid, axes: &[usize]) -> Vec<f64> {
    let head_dim: usize = axes.iter().sum();
    let mut angles = vec![0.0; text_tokens * head_dim / 2];
    angles.reserve(grid.tokens() * head_dim / 2);
    for row in 0..grid.rows {
        for column in 0..grid.columns {
            for (axis, width) in axes.iter().enumerate() {
                let position = match axis {
                    1 => row as f64,
                    2 => column as f64,
                    _ => 0.0,
                };
                for index in 0..width / 2 {
                    angles.push(position * THETA.powf(-2.0 * index as f64 / *width as f64));
                }
            }
        }
    }
    angles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_image_tokens_have_a_row_each() {
        assert_eq!(rotary_angles(7, Grid { rows: 3, columns: 5 }, &[8, 12, 12]).len(), 22 * 16);
    }
}
