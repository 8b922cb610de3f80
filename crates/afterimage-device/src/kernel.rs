//! Arguments that were checked, as `afterimage-kernels` takes them: for its fast operations and for their plain twins.

use crate::host::HostBuffer;
use crate::operation::{AttentionBias, Convolution, Prelude};
use crate::view::{Planes, View};
use afterimage_kernels::{attention, conv};
use afterimage_tensors::Matrix;

pub(crate) fn kernel_planes<'a>(planes: &Planes<'a, HostBuffer>) -> conv::Planes<'a> {
    let Planes { channels, height, width, .. } = *planes;
    conv::Planes { data: planes.view().numbers(), channels, height, width }
}

pub(crate) fn kernel_bias<'a>(bias: &AttentionBias<'a, HostBuffer>, keys: usize) -> attention::AttentionBias<'a> {
    match bias {
        AttentionBias::None => attention::AttentionBias::None,
        AttentionBias::Keys { offset, gated, gate } => {
            let (offset, gated, gate) = (offset.numbers(), gated.numbers(), gate.numbers());
            attention::AttentionBias::Keys { offset, gated, gate }
        }
        AttentionBias::Pairs(table) => {
            attention::AttentionBias::Pairs { values: table.numbers(), per_head: table.rows != keys }
        }
    }
}

pub(crate) fn kernel_tokens<'a>(tokens: &View<'a, HostBuffer>) -> attention::Tokens<'a> {
    attention::Tokens { data: tokens.numbers(), row_stride: tokens.stride, offset: 0 }
}

/// Hands a convolution to `run`.
pub(crate) fn with_kernel<T>(
    convolution: &Convolution<'_, Matrix, HostBuffer>,
    run: impl FnOnce(&conv::Convolution) -> T,
) -> T {
    let Convolution { weight, bias, kernel, movement, ref prelude, add } = *convolution;
    let affine: Vec<&[f32]> = match prelude {
        Prelude::None => Vec::new(),
        Prelude::AffineSilu(affine) => affine.each_row().collect(),
    };
    let prelude = match affine[..] {
        [scale, shift] => conv::Prelude::AffineSilu { scale, shift },
        _ => conv::Prelude::None,
    };
    run(&conv::Convolution { weight, bias: bias.numbers(), kernel, movement, prelude, add })
}
