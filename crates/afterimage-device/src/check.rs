//! What fits what. Every device asks here before it works, so that all refuse the same: each function takes an operation's
//! arguments, and its error is [`Error::Internal`], saying what does not fit.

use crate::operation::{
    Attention, AttentionBias, Convolution, Dense, Finish, GroupNorm, HeadNorm, LowRank, Norm, Prelude, Transpose,
};
use crate::view::{DeviceBuffer, MatrixShape, Planes, RotaryShape, View, ViewMut};
use afterimage_core::{Error, Result};

/// Refuses with what `what` says, unless `fits`.
fn require(fits: bool, what: impl FnOnce() -> String) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::internal(what())) }
}

/// That a view lies inside its buffer.
///
/// # Errors
/// [`Error::Internal`]
pub fn view<B: DeviceBuffer>(view: View<B>, name: &str) -> Result<()> {
    let View { offset, rows, cols, stride, .. } = view;
    let end = if rows == 0 || cols == 0 {
        Some(0)
    } else {
        (rows - 1).checked_mul(stride).and_then(|start| start.checked_add(cols)).and_then(|len| len.checked_add(offset))
    };
    let inside = stride >= cols && end.is_some_and(|end| end <= view.buffer.len());
    require(inside, || {
        let len = view.buffer.len();
        format!("{name}: {rows} rows of {cols}, {stride} apart, from {offset} on do not fit {len} numbers")
    })
}

/// A view of a given shape.
fn shaped<B: DeviceBuffer>(x: View<B>, rows: usize, cols: usize, name: &str) -> Result<()> {
    require((x.rows, x.cols) == (rows, cols), || {
        format!("{name}: {} rows of {}, expected {rows} of {cols}", x.rows, x.cols)
    })?;
    view(x, name)
}

/// A vector of `cols` numbers.
fn vector<B: DeviceBuffer>(x: View<B>, cols: usize, name: &str) -> Result<()> {
    shaped(x, 1, cols, name)
}

fn output<B: DeviceBuffer>(out: &ViewMut<B>, rows: usize, cols: usize) -> Result<()> {
    shaped(out.as_view(), rows, cols, "output")
}

fn gapless<B>(x: View<B>, name: &str) -> Result<()> {
    require(x.stride == x.cols || x.rows <= 1, || format!("{name}: rows of {} with gaps", x.cols))
}

/// Host numbers against a view.
///
/// # Errors
/// [`Error::Internal`]
pub fn transfer<B: DeviceBuffer>(values: usize, x: View<B>, name: &str) -> Result<()> {
    let numbers = x.rows.checked_mul(x.cols);
    require(numbers == Some(values), || format!("{name}: {values} numbers for {} rows of {}", x.rows, x.cols))?;
    view(x, name)
}

/// [`crate::Device::copy`]
///
/// # Errors
/// [`Error::Internal`]
pub fn copy<B: DeviceBuffer>(from: View<B>, out: &ViewMut<B>) -> Result<()> {
    view(from, "input")?;
    output(out, from.rows, from.cols)
}

/// [`crate::Device::rotary`]
///
/// # Errors
/// [`Error::Internal`]
pub fn rotary(angles: usize, head_dim: usize) -> Result<()> {
    let whole = head_dim >= 2 && head_dim.is_multiple_of(2) && angles.is_multiple_of(head_dim / 2);
    require(whole, || format!("{angles} angles for heads of {head_dim}"))
}

/// [`crate::Device::gather`]
///
/// # Errors
/// [`Error::Internal`]
pub fn gather<W: MatrixShape, B: DeviceBuffer>(table: &W, ids: &[u32], out: &ViewMut<B>) -> Result<()> {
    let rows = table.rows();
    if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
        return Err(Error::internal(format!("row {id} of a table of {rows}")));
    }
    output(out, ids.len(), table.cols())
}

/// [`crate::Device::product`]
///
/// # Errors
/// [`Error::Internal`]
pub fn product<W: MatrixShape, B: DeviceBuffer>(
    x: View<B>,
    layer: &Dense<W, B>,
    finish: &Finish<B>,
    out: &ViewMut<B>,
) -> Result<()> {
    let (inputs, outputs) = (layer.weight.cols(), layer.weight.rows());
    shaped(x, x.rows, inputs, "input")?;
    if let Some(bias) = layer.bias {
        vector(bias, outputs, "bias")?;
    }
    if let Finish::AddGated(gate) = finish {
        vector(*gate, outputs, "gate")?;
    }
    if let Some(LowRank { down, up }) = &layer.low_rank {
        let fits = (down.cols(), up.rows(), up.cols()) == (inputs, outputs, down.rows());
        require(fits, || {
            let [down, up] = [down, up].map(|matrix| format!("{} x {}", matrix.rows(), matrix.cols()));
            format!("low rank: {down} and {up} beside {outputs} x {inputs}")
        })?;
    }
    output(out, x.rows, outputs)
}

/// [`crate::Device::attention`]; the width of one head.
///
/// # Errors
/// [`Error::Internal`]
pub fn attention<B: DeviceBuffer>(attention: &Attention<B>, out: &ViewMut<B>) -> Result<usize> {
    let Attention { heads, queries, keys, values, ref bias, .. } = *attention;
    let width = queries.cols;
    require(heads > 0 && width.is_multiple_of(heads), || format!("{heads} heads in rows of {width}"))?;
    require(keys.rows > 0 || queries.rows == 0, || "attention without keys".to_owned())?;
    view(queries, "queries")?;
    shaped(keys, keys.rows, width, "keys")?;
    shaped(values, keys.rows, width, "values")?;
    match *bias {
        AttentionBias::None => {}
        AttentionBias::Keys { offset, gated, gate } => {
            vector(offset, keys.rows, "offsets of keys")?;
            vector(gated, keys.rows, "gated bias of keys")?;
            vector(gate, queries.rows, "gates of queries")?;
        }
        AttentionBias::Pairs(table) => {
            let tables = if table.rows == keys.rows { 1 } else { heads };
            shaped(table, tables * keys.rows, queries.rows, "bias of pairs")?;
            gapless(table, "bias of pairs")?;
        }
    }
    output(out, queries.rows, width)?;
    Ok(width / heads)
}

/// [`crate::Device::norm`]
///
/// # Errors
/// [`Error::Internal`]
pub fn norm<B: DeviceBuffer>(x: View<B>, norm: &Norm<B>, out: &ViewMut<B>) -> Result<()> {
    require(x.cols > 0, || "a norm of rows of 0".to_owned())?;
    view(x, "input")?;
    match *norm {
        Norm::Layer { weight, bias } => {
            vector(weight, x.cols, "weight")?;
            vector(bias, x.cols, "bias")?;
        }
        Norm::Modulated { scale, shift } => {
            vector(scale, x.cols, "scale")?;
            vector(shift, x.cols, "shift")?;
        }
        Norm::Rms { weight } => vector(weight, x.cols, "weight")?,
    }
    output(out, x.rows, x.cols)
}

/// [`crate::Device::rotate_heads`]; the number of heads.
///
/// # Errors
/// [`Error::Internal`]
pub fn rotate_heads<R: RotaryShape, B: DeviceBuffer>(norm: &HeadNorm<R, B>, x: &ViewMut<B>) -> Result<usize> {
    let (head_dim, tokens) = (norm.rotary.head_dim(), norm.rotary.tokens());
    vector(norm.weight, head_dim, "weight")?;
    require(x.cols.is_multiple_of(head_dim), || format!("heads of {head_dim} in rows of {}", x.cols))?;
    let last = norm.first_token.checked_add(x.rows);
    require(last.is_some_and(|last| last <= tokens), || {
        format!("{} tokens from {} on in a table of {tokens}", x.rows, norm.first_token)
    })?;
    view(x.as_view(), "heads")?;
    Ok(x.cols / head_dim)
}

/// [`crate::Device::convolve`]
///
/// # Errors
/// [`Error::Internal`]
pub fn convolve<W: MatrixShape, B: DeviceBuffer>(
    convolution: &Convolution<W, B>,
    input: Planes<B>,
    out: &ViewMut<B>,
) -> Result<()> {
    let Convolution { weight, bias, kernel, movement, ref prelude, .. } = *convolution;
    require(kernel % 2 == 1, || format!("a kernel of {kernel}; odd ones only"))?;
    let inputs = input.channels * kernel * kernel;
    require(weight.cols() == inputs, || format!("kernels of {} numbers, expected {inputs}", weight.cols()))?;
    vector(bias, weight.rows(), "bias")?;
    if let Prelude::AffineSilu(affine) = *prelude {
        shaped(affine, 2, input.channels, "scale and shift")?;
    }
    view(input.view(), "planes")?;
    gapless(out.as_view(), "output")?;
    output(out, weight.rows(), movement.output_side(input.height) * movement.output_side(input.width))
}

/// [`crate::Device::group_norm`]
///
/// # Errors
/// [`Error::Internal`]
pub fn group_norm<B: DeviceBuffer>(norm: &GroupNorm<B>, out: &ViewMut<B>) -> Result<()> {
    let (groups, channels) = (norm.groups, norm.input.channels);
    require(groups > 0 && channels.is_multiple_of(groups), || format!("{groups} groups of {channels} channels"))?;
    vector(norm.weight, channels, "weight")?;
    vector(norm.bias, channels, "bias")?;
    view(norm.input.view(), "planes")?;
    output(out, 2, channels)
}

/// [`crate::Device::max_pool`]
///
/// # Errors
/// [`Error::Internal`]
pub fn max_pool<B: DeviceBuffer>(input: Planes<B>, out: &ViewMut<B>) -> Result<()> {
    view(input.view(), "planes")?;
    output(out, input.channels, (input.height / 2) * (input.width / 2))
}

/// [`crate::Device::dequantise_rows`]
///
/// # Errors
/// [`Error::Internal`]
pub fn dequantise<Q: MatrixShape, B: DeviceBuffer>(rows: &Q, out: &ViewMut<B>) -> Result<()> {
    output(out, rows.rows(), rows.cols())
}

/// [`crate::Device::combine`]
///
/// # Errors
/// [`Error::Internal`]
pub fn combine<B: DeviceBuffer>(y: View<B>, x: &ViewMut<B>) -> Result<()> {
    view(x.as_view(), "output")?;
    let rows = if y.rows == 1 { 1 } else { x.rows };
    shaped(y, rows, x.cols, "input")
}

/// [`crate::Device::magnitudes`]
///
/// # Errors
/// [`Error::Internal`]
pub fn magnitudes<B: DeviceBuffer>(x: View<B>, y: View<B>, out: &ViewMut<B>) -> Result<()> {
    require(x.rows > 0 && x.cols > 0, || "a mean of nothing".to_owned())?;
    view(x, "input")?;
    shaped(y, x.rows, x.cols, "other input")?;
    output(out, 1, 2)
}

/// [`crate::Device::transpose`]
///
/// # Errors
/// [`Error::Internal`]
pub fn transpose<B: DeviceBuffer>(transpose: &Transpose<B>, out: &ViewMut<B>) -> Result<()> {
    let input = transpose.input;
    view(input, "input")?;
    if let Some(affine) = transpose.affine {
        shaped(affine, 2, input.rows, "scale and shift")?;
    }
    output(out, input.cols, input.rows)
}
