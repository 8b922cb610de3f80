//! Group norms in two steps: moments of parts, then one scale and shift a channel.

use crate::frame::LaunchFrame;
use crate::memory::AddressExtent;
use crate::numbers::StandInNumber;
use crate::status::Fault;
use rayon::prelude::*;

/// Numbers of a part: how many, their mean, the sum of squares about it.
const MOMENTS: usize = 3;

pub(super) fn partial(frame: &mut LaunchFrame, x: StandInNumber) -> Result<(), Fault> {
    let groups = frame.launch.grid[0] as usize;
    let (pixels, splits) = (frame.size("pixels")?, frame.positive("splits")?);
    let group_numbers = frame.positive("channels_a_group")? * pixels;
    let input = frame.read("input", x, AddressExtent::dense(groups, group_numbers))?;
    let part = group_numbers.div_ceil(splits).max(1);
    let moments: Vec<f32> = (0..groups * splits)
        .into_par_iter()
        .flat_map_iter(|place| {
            let (group, split) = (place / splits, place % splits);
            let group = &input[group * group_numbers..][..group_numbers];
            let numbers = &group[(split * part).min(group_numbers)..((split + 1) * part).min(group_numbers)];
            let count = numbers.len() as f64;
            let mean = numbers.iter().map(|value| f64::from(*value)).sum::<f64>() / count.max(1.0);
            let squares: f64 = numbers.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum();
            [count as f32, mean as f32, squares as f32]
        })
        .collect();
    frame.write("partial", StandInNumber::F32, AddressExtent::dense(groups * splits, MOMENTS), &moments)
}

pub(super) fn finish(frame: &mut LaunchFrame) -> Result<(), Fault> {
    let (channels, per_group) = (frame.size("channels")?, frame.positive("channels_a_group")?);
    let (splits, epsilon) = (frame.positive("splits")?, f64::from(frame.float("epsilon")?));
    if !channels.is_multiple_of(per_group) {
        return Err(Fault::invalid(format!("channels: {channels} in groups of {per_group}")));
    }
    let moments =
        frame.read("partial", StandInNumber::F32, AddressExtent::dense(channels / per_group * splits, MOMENTS))?;
    let weight = frame.read("weight", StandInNumber::F32, AddressExtent::vector(channels))?;
    let bias = frame.read("bias", StandInNumber::F32, AddressExtent::vector(channels))?;
    let mut out = vec![0.0; 2 * channels];
    for (group, parts) in moments.chunks_exact(splits * MOMENTS).enumerate() {
        let parts = || parts.as_chunks::<MOMENTS>().0.iter().map(|part| part.map(f64::from));
        let count: f64 = parts().map(|[count, ..]| count).sum();
        let mean = parts().map(|[count, mean, _]| count * mean).sum::<f64>() / count;
        let squares = parts().map(|[count, other, squares]| squares + count * (other - mean).powi(2)).sum::<f64>();
        for channel in group * per_group..(group + 1) * per_group {
            let scale = f64::from(weight[channel]) / (squares / count + epsilon).sqrt();
            out[channel] = scale as f32;
            out[channels + channel] = (f64::from(bias[channel]) - mean * scale) as f32;
        }
    }
    frame.write("out", StandInNumber::F32, AddressExtent::vector(2 * channels), &out)
}
