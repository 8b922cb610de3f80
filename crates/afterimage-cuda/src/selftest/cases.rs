//! Operations on small operands, such that together they need every kernel.

use super::operands::{OperandShape, eight_bit_rows, eight_bit_weight, noise, read, rows_of_integers, vector, weight};
use afterimage_core::Result;
use afterimage_device::{
    Activation, Attention, AttentionBias, Combine, Convolution, Dense, Device, Finish, GroupNorm, HeadNorm, LowRank,
    Movement, Norm, Planes, Precision, Prelude, Transpose, View, ViewMut,
};
use afterimage_tensors::Element;

const FUNCTIONS: [Activation; 5] =
    [Activation::Silu, Activation::QuickGelu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];

/// One operation on operands of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct SelfTestCase {
    operation: TestedOperation,
    /// How the input is kept, and the output.
    x: Precision,
    out: Precision,
    /// Whether addresses and strides are multiples of 16.
    is_aligned: bool,
    /// Nothing of it is rounded, whatever the device.
    pub is_exact: bool,
}

#[derive(Clone, Copy, Debug)]
enum TestedOperation {
    Copy,
    Transpose,
    Gather(Element),
    /// Rows, how the weight is stored, the finish, rank of an adapter.
    Product(usize, Element, usize, usize),
    /// As `Product`, of rows of 8-bit floats with factors that differ, and such a weight: nothing is rounded on the way in.
    EightBitProduct(usize, usize),
    /// As `Product`, of floats whose sums are long.
    DeepProduct(usize),
    /// As `Product`, of rows that were rounded to integers and a weight of such rows.
    IntegerProduct(usize, usize, usize),
    /// Heads, their width, the bias.
    Attention(usize, usize, usize),
    Norm(usize),
    Rotate,
    Convolve(usize, Movement, bool),
    GroupNorm,
    MaxPool,
    Quantise,
    Activate(Activation),
    Combine(bool),
    Magnitudes,
}

/// Every case for a device whose working numbers are exact or not, and which multiplies rows of integers or not.
pub(super) fn cases(exact: bool, integers: bool) -> Vec<SelfTestCase> {
    use Precision::{Exact, Working};
    let pairs: &[(Precision, Precision)] = if exact {
        &[(Exact, Exact)]
    } else {
        &[(Exact, Exact), (Exact, Working), (Working, Exact), (Working, Working)]
    };
    let single: &[Precision] = if exact { &[Exact] } else { &[Exact, Working] };
    let mut cases = Vec::new();
    // What is in order first: the others are read through copies.
    let mut both = |operation, x, out, is_exact| {
        for is_aligned in [false, true] {
            cases.push(SelfTestCase { operation, x, out, is_aligned, is_exact });
        }
    };
    for &(x, out) in pairs {
        both(TestedOperation::Copy, x, out, x == Exact && out == Exact);
        both(TestedOperation::Transpose, x, out, false);
        both(TestedOperation::Combine(false), x, out, false);
        both(TestedOperation::Combine(true), x, out, false);
        (0..3).for_each(|kind| both(TestedOperation::Norm(kind), x, out, false));
        both(TestedOperation::Convolve(3, Movement::Same, true), x, out, false);
        both(TestedOperation::Convolve(3, Movement::Double, false), x, out, false);
        both(TestedOperation::Convolve(3, Movement::Halve, false), x, out, false);
        both(TestedOperation::Convolve(1, Movement::Strided, true), x, out, false);
        both(TestedOperation::Magnitudes, x, out, false);
        let elements: &[Element] = if exact {
            &[Element::F32]
        } else {
            &[Element::F32, Element::Q8_0, Element::Q5_1, Element::Q4_0, Element::Q4_1, Element::F8E4M3]
        };
        for (number, &element) in elements.iter().enumerate() {
            // Finishes in turns: they are the same code in every kernel.
            both(TestedOperation::Product(5, element, number % 4, 0), x, out, false);
            both(TestedOperation::Product(150, element, (number + 1) % 4, 0), x, out, false);
            both(TestedOperation::Product(70, element, (number + 2) % 4, 24), x, out, false);
        }
    }
    if !exact {
        for &(x, out) in pairs {
            both(TestedOperation::EightBitProduct(150, 3), x, out, false);
        }
    }
    if integers {
        for &(x, out) in pairs {
            both(TestedOperation::IntegerProduct(5, 3, 0), x, out, false);
            both(TestedOperation::IntegerProduct(150, 0, 0), x, out, false);
            both(TestedOperation::IntegerProduct(70, 1, 24), x, out, false);
        }
    }
    for &x in single {
        for element in [Element::F32, Element::Q8_0, Element::Q5_1, Element::Q4_1, Element::F8E4M3] {
            both(TestedOperation::Gather(element), x, x, false);
        }
        for bias in 0..4 {
            for head in [24, 64, 72, 128] {
                both(TestedOperation::Attention(2, head, bias), x, x, false);
            }
        }
        both(TestedOperation::Attention(1, 512, 0), x, x, false);
        both(TestedOperation::Rotate, x, x, false);
        both(TestedOperation::GroupNorm, x, x, false);
        both(TestedOperation::MaxPool, x, x, false);
        both(TestedOperation::Quantise, x, x, false);
        for function in FUNCTIONS {
            both(TestedOperation::Activate(function), x, x, false);
        }
    }
    cases
}

/// A finish of products of its own number; others have a bias, but for sums of what is not aligned.
const STORE_WITHOUT_BIAS: usize = 4;

/// Products that NVIDIA's library may do: of every kind of weight that it takes, with every finish.
pub(super) fn library_cases() -> Vec<SelfTestCase> {
    let mut cases = Vec::new();
    let of_finish = |finish| {
        let of_floats = TestedOperation::Product(150, Element::F32, finish, 0);
        [of_floats, TestedOperation::DeepProduct(finish), TestedOperation::EightBitProduct(150, finish)]
    };
    for operation in (0..=STORE_WITHOUT_BIAS).flat_map(of_finish) {
        for out in [Precision::Working, Precision::Exact] {
            cases.push(SelfTestCase { operation, x: Precision::Working, out, is_aligned: true, is_exact: false });
        }
    }
    cases
}

impl SelfTestCase {
    /// Whether its rows may be rounded to 8-bit floats.
    pub fn is_of_eight_bits(&self) -> bool {
        matches!(self.operation, TestedOperation::Product(_, Element::F8E4M3, _, _))
    }

    /// Does it, and reads the output with its gaps.
    pub fn run<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        match self.operation {
            TestedOperation::Product(rows, element, finish, rank) => {
                // Beyond one step in depth; whole blocks of every type.
                let depth = if self.is_aligned || element != Element::F32 { 288 } else { 133 };
                let from = self.shape(rows, depth);
                let x = from.buffer(device, self.x, 1)?;
                let weight = weight(device, element, self.outputs(rows).cols, from.cols, 3)?;
                self.product(device, (&x, from), &weight, finish, rank)
            }
            TestedOperation::DeepProduct(finish) => {
                let from = self.shape(64, 4096);
                let x = from.buffer(device, self.x, 1)?;
                let weight = weight(device, Element::F32, self.outputs(64).cols, from.cols, 3)?;
                self.product(device, (&x, from), &weight, finish, 0)
            }
            TestedOperation::EightBitProduct(rows, finish) => {
                let from = self.shape(rows, 288);
                let x = eight_bit_rows(device, from, self.x, 1)?;
                let weight = eight_bit_weight(device, self.outputs(rows).cols, from.cols, 3)?;
                self.product(device, (&x, from), &weight, finish, 0)
            }
            TestedOperation::IntegerProduct(rows, finish, rank) => {
                let from = self.shape(rows, 288);
                // What is rounded already is the same however the product rounds it.
                let x = from.buffer(device, self.x, 1)?;
                let mut rounded = from.buffer(device, self.x, 8)?;
                device.dequantise_rows(&device.quantise_rows(from.view(&x))?, from.view_mut(&mut rounded))?;
                let weight = rows_of_integers(device, self.outputs(rows).cols, from.cols, 3)?;
                self.product(device, (&rounded, from), &weight, finish, rank)
            }
            TestedOperation::Attention(heads, head_dim, bias) => self.attention(device, heads, head_dim, bias),
            TestedOperation::Convolve(kernel, movement, prelude) => self.convolve(device, kernel, movement, prelude),
            TestedOperation::Gather(element) => self.gather(device, element),
            TestedOperation::GroupNorm => self.group_norm(device),
            TestedOperation::MaxPool => self.max_pool(device),
            TestedOperation::Rotate => self.rotate(device),
            TestedOperation::Quantise => self.quantise(device),
            TestedOperation::Magnitudes => self.magnitudes(device),
            TestedOperation::Activate(function) => {
                let shape = self.shape(7, 48);
                let mut x = shape.buffer(device, self.x, 1)?;
                device.activate(function, shape.view_mut(&mut x))?;
                read(device, &x, shape.len())
            }
            TestedOperation::Copy
            | TestedOperation::Transpose
            | TestedOperation::Combine(_)
            | TestedOperation::Norm(_) => self.rows(device),
        }
    }

    fn shape(&self, rows: usize, cols: usize) -> OperandShape {
        if self.is_aligned {
            OperandShape { rows, cols: cols.next_multiple_of(16), gap: 16 }
        } else {
            OperandShape { rows, cols, gap: 3 }
        }
    }

    /// Operations from rows to rows.
    fn rows<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let from = self.shape(19, 77);
        let to = match self.operation {
            TestedOperation::Transpose => OperandShape { rows: from.cols, cols: from.rows, gap: from.gap },
            _ => from,
        };
        let x = from.buffer(device, self.x, 1)?;
        let mut out = to.buffer(device, self.out, 2)?;
        let (a, b) = (vector(device, from.cols, 3)?, vector(device, from.cols, 4)?);
        let [a, b] = [&a, &b].map(|vector| View::vector(vector, 0, from.cols));
        match self.operation {
            TestedOperation::Copy => device.copy(from.view(&x), to.view_mut(&mut out))?,
            TestedOperation::Combine(false) => {
                device.combine(Combine::Add { factor: 0.5 }, from.view(&x), to.view_mut(&mut out))?;
            }
            TestedOperation::Combine(true) => {
                let row = View { rows: 1, ..from.view(&x) };
                device.combine(Combine::Multiply, row, to.view_mut(&mut out))?;
            }
            TestedOperation::Norm(0) => {
                device.norm(from.view(&x), Norm::Layer { weight: a, bias: b }, 1e-6, to.view_mut(&mut out))?;
            }
            TestedOperation::Norm(1) => {
                device.norm(from.view(&x), Norm::Modulated { scale: a, shift: b }, 1e-6, to.view_mut(&mut out))?;
            }
            TestedOperation::Norm(_) => {
                device.norm(from.view(&x), Norm::Rms { weight: a }, 1e-6, to.view_mut(&mut out))?;
            }
            _ => {
                let affine = vector(device, 2 * from.rows, 5)?;
                let affine = Some(View::new(&affine, 2, from.rows));
                let transpose = Transpose { input: from.view(&x), affine, add: self.is_aligned };
                device.transpose(transpose, to.view_mut(&mut out))?;
            }
        }
        read(device, &out, to.len())
    }

    /// The output of a product.
    fn outputs(&self, rows: usize) -> OperandShape {
        self.shape(rows, 150)
    }

    fn product<D: Device>(
        &self,
        device: &D,
        (x, from): (&D::Buffer, OperandShape),
        weight_: &D::Weight,
        finish: usize,
        rank: usize,
    ) -> Result<Vec<f32>> {
        let to = self.outputs(from.rows);
        let mut out = to.buffer(device, self.out, 2)?;
        let (bias, gate) = (vector(device, to.cols, 4)?, vector(device, to.cols, 5)?);
        let down = weight(device, Element::F32, rank, from.cols, 6)?;
        let up = weight(device, Element::F32, to.cols, rank, 7)?;
        let low_rank = (rank > 0).then_some(LowRank { down: &down, up: &up });
        let has_bias = finish != STORE_WITHOUT_BIAS && (finish != 2 || self.is_aligned);
        let layer = Dense { weight: weight_, bias: has_bias.then(|| View::vector(&bias, 0, to.cols)), low_rank };
        let finish = match finish {
            0 | STORE_WITHOUT_BIAS => Finish::Store,
            1 => Finish::GeluTanh,
            2 => Finish::Add,
            _ => Finish::AddGated(View::vector(&gate, 0, to.cols)),
        };
        device.product(from.view(x), layer, finish, to.view_mut(&mut out))?;
        read(device, &out, to.len())
    }

    fn attention<D: Device>(&self, device: &D, heads: usize, head_dim: usize, bias: usize) -> Result<Vec<f32>> {
        let width = heads * head_dim;
        let (queries, keys) = if self.is_aligned { (80, 208) } else { (75, 199) };
        let (from, to) = (self.shape(keys, width), self.shape(queries, width));
        let q = to.buffer(device, self.x, 1)?;
        let (k, v) = (from.buffer(device, self.x, 2)?, from.buffer(device, self.x, 3)?);
        let mut out = to.buffer(device, self.out, 4)?;
        let (offset, gated) = (vector(device, keys, 5)?, vector(device, keys, 6)?);
        let gate = vector(device, queries, 7)?;
        let tables = if bias == 3 { heads } else { 1 };
        let mut table = noise(tables * keys * queries, 8);
        // Some pairs are out of sight; key 0 stays for everybody.
        for (index, value) in table.iter_mut().enumerate() {
            if *value > 0.5 && !(index / queries).is_multiple_of(keys) {
                *value = f32::NEG_INFINITY;
            }
        }
        let table = device.upload(table)?;
        let bias = match bias {
            0 => AttentionBias::None,
            1 => AttentionBias::Keys {
                offset: View::vector(&offset, 0, keys),
                gated: View::vector(&gated, 0, keys),
                gate: View::vector(&gate, 0, queries),
            },
            _ => AttentionBias::Pairs(View::new(&table, tables * keys, queries)),
        };
        let attention = Attention {
            heads,
            scale: 1.5 / (head_dim as f32).sqrt(),
            queries: to.view(&q),
            keys: from.view(&k),
            values: from.view(&v),
            bias,
        };
        device.attention(attention, to.view_mut(&mut out))?;
        read(device, &out, to.len())
    }

    fn convolve<D: Device>(&self, device: &D, kernel: usize, movement: Movement, prelude: bool) -> Result<Vec<f32>> {
        let (height, width) = if self.is_aligned { (12, 16) } else { (9, 13) };
        let (inputs, outputs) = (20, 35);
        let from = OperandShape { rows: inputs, cols: height * width, gap: 0 };
        let [out_height, out_width] = [height, width].map(|side| movement.output_side(side));
        let to = OperandShape { rows: outputs, cols: out_height * out_width, gap: 0 };
        let input = from.buffer(device, self.x, 1)?;
        let mut out = to.buffer(device, self.out, 2)?;
        let weight = weight(device, Element::F32, outputs, inputs * kernel * kernel, 3)?;
        let (bias, affine) = (vector(device, outputs, 4)?, vector(device, 2 * inputs, 5)?);
        let convolution = Convolution {
            weight: &weight,
            bias: View::vector(&bias, 0, outputs),
            kernel,
            movement,
            prelude: if prelude { Prelude::AffineSilu(View::new(&affine, 2, inputs)) } else { Prelude::None },
            add: prelude,
        };
        let input = Planes { buffer: &input, channels: inputs, height, width };
        device.convolve(convolution, input, to.view_mut(&mut out))?;
        read(device, &out, to.len())
    }

    fn gather<D: Device>(&self, device: &D, element: Element) -> Result<Vec<f32>> {
        let to = self.shape(5, 96);
        let cols = to.cols.next_multiple_of(element.block());
        let to = OperandShape { cols, ..to };
        let table = weight(device, element, 7, cols, 1)?;
        let mut out = to.buffer(device, self.out, 2)?;
        device.gather(&table, &[6, 0, 3, 3, 1], to.view_mut(&mut out))?;
        read(device, &out, to.len())
    }

    fn group_norm<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        // More than one part a group.
        let (channels, height, width) = (8, 160, 128);
        let shape = OperandShape { rows: channels, cols: height * width, gap: 0 };
        let input = shape.buffer(device, self.x, 1)?;
        let (weight, bias) = (vector(device, channels, 2)?, vector(device, channels, 3)?);
        let mut out = vector(device, 2 * channels, 4)?;
        let norm = GroupNorm {
            groups: 2,
            weight: View::vector(&weight, 0, channels),
            bias: View::vector(&bias, 0, channels),
            epsilon: 1e-6,
            input: Planes { buffer: &input, channels, height, width },
        };
        device.group_norm(norm, ViewMut::new(&mut out, 2, channels))?;
        read(device, &out, 2 * channels)
    }

    fn max_pool<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let (channels, height, width) = (5, 11, 14);
        let (from, cols) = (OperandShape { rows: channels, cols: height * width, gap: 0 }, (height / 2) * (width / 2));
        let to = OperandShape { rows: channels, cols, gap: 0 };
        let input = from.buffer(device, self.x, 1)?;
        let mut out = to.buffer(device, self.out, 2)?;
        device.max_pool(Planes { buffer: &input, channels, height, width }, to.view_mut(&mut out))?;
        read(device, &out, to.len())
    }

    fn rotate<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let (tokens, heads, head_dim) = (9, 3, 32);
        let shape = self.shape(tokens, heads * head_dim);
        let mut x = shape.buffer(device, self.x, 1)?;
        let weight = vector(device, head_dim, 2)?;
        let angles: Vec<f64> = noise((tokens + 2) * head_dim / 2, 3).into_iter().map(f64::from).collect();
        let rotary = device.rotary(&angles, head_dim)?;
        let norm =
            HeadNorm { weight: View::vector(&weight, 0, head_dim), epsilon: 1e-6, rotary: &rotary, first_token: 2 };
        device.rotate_heads(norm, shape.view_mut(&mut x))?;
        read(device, &x, shape.len())
    }

    fn quantise<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let shape = self.shape(9, 77);
        let x = shape.buffer(device, self.x, 1)?;
        let rows = device.quantise_rows(shape.view(&x))?;
        let mut out = shape.buffer(device, self.out, 2)?;
        device.dequantise_rows(&rows, shape.view_mut(&mut out))?;
        read(device, &out, shape.len())
    }

    fn magnitudes<D: Device>(&self, device: &D) -> Result<Vec<f32>> {
        let shape = self.shape(9, 77);
        let (x, y) = (shape.buffer(device, self.x, 1)?, shape.buffer(device, self.out, 2)?);
        let mut out = vector(device, 2, 3)?;
        device.magnitudes(shape.view(&x), shape.view(&y), ViewMut::new(&mut out, 1, 2))?;
        read(device, &out, 2)
    }
}
