//! The FLUX transformer's tensors, by BFL's names.

use super::{List, Wanted};
use crate::config::FluxConfig;

/// Width of the sinusoidal embedding of timestep and guidance, fixed in BFL's and diffusers' code.
const TIME_WIDTH: usize = 256;

/// All tensors of a transformer with a valid configuration.
pub fn flux(config: &FluxConfig) -> Vec<Wanted> {
    let hidden = config.hidden();
    let mut list = List::default();
    list.linear("img_in", hidden, config.in_channels);
    list.linear("txt_in", hidden, config.joint_attention_dim);
    let guidance = config.guidance_embeds.then_some(("guidance_in", TIME_WIDTH));
    for (name, width) in
        [("time_in", TIME_WIDTH), ("vector_in", config.pooled_projection_dim)].into_iter().chain(guidance)
    {
        list.linear(&format!("{name}.in_layer"), hidden, width);
        list.linear(&format!("{name}.out_layer"), hidden, hidden);
    }
    let mut wanted = list.wanted;
    for number in 0..config.num_layers {
        wanted.extend(double_block(config, number));
    }
    for number in 0..config.num_single_layers {
        wanted.extend(single_block(config, number));
    }
    let mut list = List { wanted };
    list.linear("final_layer.linear", config.out_channels(), hidden);
    list.linear("final_layer.adaLN_modulation.1", 2 * hidden, hidden);
    list.wanted
}

/// The tensors of double block `number`.
pub fn double_block(config: &FluxConfig, number: usize) -> Vec<Wanted> {
    let (hidden, mlp) = (config.hidden(), config.mlp());
    let mut list = List::default();
    for stream in ["img", "txt"] {
        let block = format!("double_blocks.{number}.{stream}");
        list.linear(&format!("{block}_mod.lin"), 6 * hidden, hidden);
        list.linear(&format!("{block}_attn.qkv"), 3 * hidden, hidden);
        list.tensor(format!("{block}_attn.norm.query_norm.scale"), &[config.attention_head_dim]);
        list.tensor(format!("{block}_attn.norm.key_norm.scale"), &[config.attention_head_dim]);
        list.linear(&format!("{block}_attn.proj"), hidden, hidden);
        list.linear(&format!("{block}_mlp.0"), mlp, hidden);
        list.linear(&format!("{block}_mlp.2"), hidden, mlp);
    }
    list.wanted
}

/// The tensors of single block `number`.
pub fn single_block(config: &FluxConfig, number: usize) -> Vec<Wanted> {
    let (hidden, mlp) = (config.hidden(), config.mlp());
    let block = format!("single_blocks.{number}");
    let mut list = List::default();
    list.linear(&format!("{block}.modulation.lin"), 3 * hidden, hidden);
    list.linear(&format!("{block}.linear1"), 3 * hidden + mlp, hidden);
    list.linear(&format!("{block}.linear2"), hidden, hidden + mlp);
    list.tensor(format!("{block}.norm.query_norm.scale"), &[config.attention_head_dim]);
    list.tensor(format!("{block}.norm.key_norm.scale"), &[config.attention_head_dim]);
    list.wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_size_counts_are_those_of_the_published_files() {
        let dev = FluxConfig { guidance_embeds: true, ..FluxConfig::default() };
        let wanted = flux(&dev);
        assert_eq!(wanted.len(), 780);
        assert_eq!(wanted.iter().map(Wanted::numbers).sum::<usize>(), 11_901_408_320);
        let wanted = flux(&FluxConfig::default());
        assert_eq!(wanted.len(), 776);
        assert_eq!(wanted.iter().map(Wanted::numbers).sum::<usize>(), 11_891_178_560);
    }
}
