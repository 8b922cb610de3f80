//! Attention without a table of scores.

use crate::family::Bias;
use crate::frame::LaunchFrame;
use crate::memory::AddressExtent;
use crate::numbers::StandInNumber;
use crate::status::Fault;
use afterimage_kernels::attention::{AttentionBias, AttentionInputs, AttentionShape, Tokens, attention_on};
use afterimage_kernels::gemm::{Narrow, RowsMut};
use afterimage_kernels::simd::Isa;

pub(super) fn run(frame: &mut LaunchFrame, x: StandInNumber, bias: Bias, head: usize) -> Result<(), Fault> {
    let head_dim = frame.positive("head_dim")?;
    if head_dim > head {
        return Err(Fault::invalid(format!("head_dim: {head_dim}, expected at most {head}")));
    }
    let (queries, keys, heads) = (frame.size("queries")?, frame.positive("keys")?, frame.launch.grid[1] as usize);
    let width = heads * head_dim;
    frame.check_strides(&["q_stride", "k_stride", "v_stride", "out_stride"])?;
    let rows = |frame: &LaunchFrame, rows: usize, stride: &str| -> Result<AddressExtent, Fault> {
        let stride_numbers = frame.size(stride)?;
        if stride_numbers < width && rows > 1 {
            return Err(Fault::invalid(format!("{stride}: {stride_numbers} for rows of {width} numbers")));
        }
        Ok(AddressExtent::strided(rows, width, stride_numbers))
    };
    let shape = rows(frame, queries, "q_stride")?;
    let q = frame.read("q", x, shape)?;
    let shape = rows(frame, keys, "k_stride")?;
    let k = frame.read("k", x, shape)?;
    let shape = rows(frame, keys, "v_stride")?;
    let v = frame.read("v", x, shape)?;

    let (offset, gated, gate, pairs);
    let bias = match bias {
        Bias::None => AttentionBias::None,
        Bias::Keys => {
            offset = frame.read("offset", StandInNumber::F32, AddressExtent::vector(keys))?;
            gated = frame.read("gated", StandInNumber::F32, AddressExtent::vector(keys))?;
            gate = frame.read("gate", StandInNumber::F32, AddressExtent::vector(queries))?;
            AttentionBias::Keys { offset: &offset, gated: &gated, gate: &gate }
        }
        Bias::Pairs => {
            let stride = frame.size("pairs_stride")?;
            let per_head = stride > 0;
            let tables =
                AddressExtent::strided(if per_head { heads } else { 1 }, keys * queries, stride.max(keys * queries));
            if per_head && stride < keys * queries && heads > 1 {
                return Err(Fault::invalid(format!("pairs_stride: {stride} for tables of {} numbers", keys * queries)));
            }
            pairs = frame.read("pairs", StandInNumber::F32, tables)?;
            AttentionBias::Pairs { values: &pairs, per_head }
        }
    };
    let shape = AttentionShape { queries, keys, heads, head_dim, scale: frame.float("scale")? };
    let tokens = |data| Tokens { data, row_stride: width, offset: 0 };
    let inputs = AttentionInputs { queries: tokens(&q), keys: tokens(&k), values: tokens(&v) };
    let mut values = vec![0.0; queries * width];
    let out = RowsMut { data: &mut values, stride: width };
    attention_on(Isa::detect(), Narrow::default(), &shape, inputs, &bias, out);
    let target = rows(frame, queries, "out_stride")?;
    frame.write("out", x, target, &values)
}
