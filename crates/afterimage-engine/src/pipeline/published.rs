//! Configurations of the published models, for weights that come as single files without one: shapes tell most of it, and
//! what they do not tell is the same in all models of the kind. `None` where that would be a guess.

use crate::config::VaeConfig;
use crate::inspect::shapes;
use crate::models::{ClipTextConfig, LEGACY_END, ReduxConfig, SiglipConfig, T5Config};
use crate::weights::LayoutSource;
use std::path::Path;

/// Width of a head in all of CLIP's text encoders and in all of `SigLIP`'s towers but one.
const HEAD: usize = 64;

/// Width of the narrowest published tower, CLIP's B/32. Small ones that people make have heads of any width.
const NARROWEST: usize = 512;

/// `SigLIP` so400m, the tower of FLUX.1 Redux: width, heads, and of the model with 27 × 27 patches of 14 pixels the
/// picture's side, of which 6 pixels are left over.
const SO400M: (usize, usize) = (1152, 16);
const SO400M_GRID: (usize, usize) = (14, 27 * 14);
const SO400M_SIDE: usize = 384;

/// Group norms of every published autoencoder of this kind have 32 groups.
const GROUPS: usize = 32;

/// CLIP's text encoder.
pub(super) fn clip(source: &LayoutSource) -> Option<ClipTextConfig> {
    let mut config = shapes::clip(source)?;
    config.num_attention_heads = heads(config.hidden_size)?;
    if config.vocab_size != ClipTextConfig::default().vocab_size {
        // Its end token is another one: the largest id, as transformers has it.
        config.eos_token_id = LEGACY_END;
    }
    config.validate(Path::new("")).ok()?;
    Some(config)
}

/// T5's encoder: its table of distances tells the heads.
pub(super) fn t5(source: &LayoutSource) -> Option<T5Config> {
    shapes::t5(source).filter(|config| config.validate(Path::new("")).is_ok())
}

/// `SigLIP`'s vision tower.
pub(super) fn siglip(source: &LayoutSource) -> Option<SiglipConfig> {
    let mut config = shapes::siglip(source)?;
    config.num_attention_heads = if config.hidden_size == SO400M.0 { SO400M.1 } else { heads(config.hidden_size)? };
    if (config.patch_size, config.image_size) == SO400M_GRID {
        config.image_size = SO400M_SIDE;
    }
    config.validate(Path::new("")).ok()?;
    Some(config)
}

/// The Redux adapter.
pub(super) fn redux(source: &LayoutSource) -> Option<ReduxConfig> {
    shapes::redux(source).filter(|config| config.validate(Path::new("")).is_ok())
}

/// FLUX.1's autoencoder.
pub(super) fn vae(source: &LayoutSource) -> Option<VaeConfig> {
    let config = VaeConfig { norm_num_groups: GROUPS, ..shapes::vae(source)? };
    config.validate(Path::new("")).ok()?;
    Some(config)
}

/// Heads of a tower of this width, when it may be one of the published.
fn heads(width: usize) -> Option<usize> {
    (width >= NARROWEST && width.is_multiple_of(HEAD)).then_some(width / HEAD)
}
