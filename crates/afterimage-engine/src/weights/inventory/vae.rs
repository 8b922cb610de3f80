//! The VAE's tensors, by diffusers' names.

use super::{List, Wanted, count};
use crate::config::VaeConfig;
use crate::weights::layout::LayoutSource;

/// All tensors of a VAE with a valid configuration.
pub fn vae(config: &VaeConfig) -> Vec<Wanted> {
    let channels = &config.block_out_channels;
    let (Some(first), Some(last)) = (channels.first(), channels.last()) else {
        return Vec::new();
    };
    let mut list = List::default();

    list.conv("encoder.conv_in", *first, config.in_channels, 3);
    let mut input = *first;
    for (level, out) in channels.iter().enumerate() {
        let block = format!("encoder.down_blocks.{level}");
        for number in 0..config.layers_per_block {
            resnet(&mut list, &format!("{block}.resnets.{number}"), input, *out);
            input = *out;
        }
        if level + 1 < channels.len() {
            list.conv(&format!("{block}.downsamplers.0.conv"), *out, *out, 3);
        }
    }
    middle(&mut list, "encoder", *last, config.mid_block_add_attention);
    list.norm("encoder.conv_norm_out", *last);
    list.conv("encoder.conv_out", 2 * config.latent_channels, *last, 3);

    list.conv("decoder.conv_in", *last, config.latent_channels, 3);
    middle(&mut list, "decoder", *last, config.mid_block_add_attention);
    let mut input = *last;
    for (level, out) in channels.iter().rev().enumerate() {
        let block = format!("decoder.up_blocks.{level}");
        for number in 0..=config.layers_per_block {
            resnet(&mut list, &format!("{block}.resnets.{number}"), input, *out);
            input = *out;
        }
        if level + 1 < channels.len() {
            list.conv(&format!("{block}.upsamplers.0.conv"), *out, *out, 3);
        }
    }
    list.norm("decoder.conv_norm_out", *first);
    list.conv("decoder.conv_out", config.out_channels, *first, 3);
    list.wanted
}

fn resnet(list: &mut List, name: &str, input: usize, out: usize) {
    list.norm(&format!("{name}.norm1"), input);
    list.conv(&format!("{name}.conv1"), out, input, 3);
    list.norm(&format!("{name}.norm2"), out);
    list.conv(&format!("{name}.conv2"), out, out, 3);
    if input != out {
        list.conv(&format!("{name}.conv_shortcut"), out, input, 1);
    }
}

fn middle(list: &mut List, coder: &str, channels: usize, attention: bool) {
    let block = format!("{coder}.mid_block");
    resnet(list, &format!("{block}.resnets.0"), channels, channels);
    resnet(list, &format!("{block}.resnets.1"), channels, channels);
    if attention {
        let attention = format!("{block}.attentions.0");
        list.norm(&format!("{attention}.group_norm"), channels);
        for layer in ["to_q", "to_k", "to_v", "to_out.0"] {
            list.linear(&format!("{attention}.{layer}"), channels, channels);
        }
    }
}

/// The sizes that a file's shapes tell. The rest is not in a file: scaling and shift are FLUX's, the number of
/// normalisation groups is 1 and must not be computed with. `None` when the shapes do not tell.
pub fn vae_sizes(source: &LayoutSource) -> Option<VaeConfig> {
    let has = |name: &str| source.shape(name).is_some();
    let conv1 = |level: usize, number: usize| format!("encoder.down_blocks.{level}.resnets.{number}.conv1.weight");
    let levels = count(has, |level| conv1(level, 0));
    let block_out_channels: Option<Vec<usize>> =
        (0..levels).map(|level| source.shape(&conv1(level, 0))?.first().copied()).collect();
    Some(VaeConfig {
        block_out_channels: block_out_channels?,
        layers_per_block: count(has, |number| conv1(0, number)),
        latent_channels: *source.shape("decoder.conv_in.weight")?.get(1)?,
        mid_block_add_attention: has("encoder.mid_block.attentions.0.group_norm.weight"),
        norm_num_groups: 1,
        ..VaeConfig::flux()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flux_vae_has_the_published_number_of_parameters() {
        assert_eq!(vae(&VaeConfig::flux()).iter().map(Wanted::numbers).sum::<usize>(), 83_819_683);
    }
}
