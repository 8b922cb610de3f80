//! Convolutions and pooling.

use crate::args;
use crate::support::*;

#[derive(Clone, Copy, Debug)]
struct Case {
    names: [&'static str; 3],
    channels: usize,
    sides: [usize; 2],
    outputs: usize,
    kernel: usize,
    step: usize,
    before: usize,
    double: bool,
    affine: bool,
    add: bool,
}

impl Case {
    /// Height or width of the output: as many windows as begin inside and, without padding, end there.
    fn out_side(&self, side: usize) -> usize {
        let side = if self.double { 2 * side } else { side };
        match (self.step, self.before, self.kernel) {
            (1, ..) => side,
            (2, 0, 3) => side / 2,
            (step, 0, kernel) => (side - kernel) / step + 1,
            (step, ..) => side.div_ceil(step),
        }
    }

    fn run(&self) {
        let [x_kind, w_kind, out_kind] = self.names;
        let name = format!("convolve.{x_kind}.{w_kind}.{out_kind}");
        let card = PretendedCard::new("strict", &[&name]);
        let Self { channels, sides: [height, width_], outputs, kernel, step, before, .. } = *self;
        let (out_height, out_width) = (self.out_side(height), self.out_side(width_));
        let input = noise(x_kind, channels * height * width_, 1);
        let weight = noise(w_kind, outputs * channels * kernel * kernel, 2);
        let (bias, affine) = (noise("f32", outputs, 3), noise("f32", 2 * channels, 4));
        let old = noise(out_kind, outputs * out_height * out_width, 5);
        let enlarged = if self.double { 2 } else { 1 };
        let read = |channel: usize, y: usize, x: usize| {
            if y < before || x < before || y - before >= height * enlarged || x - before >= width_ * enlarged {
                return 0.0;
            }
            let place = (channel * height + (y - before) / enlarged) * width_ + (x - before) / enlarged;
            let mut value = f64::from(input[place]);
            if self.affine {
                value = value * f64::from(affine[channel]) + f64::from(affine[channels + channel]);
                value /= 1.0 + (-value).exp();
            }
            if w_kind == "bf16" { round_bf16(value) } else { value }
        };
        let mut expected = Vec::new();
        for (place, before_it) in old.iter().enumerate() {
            let (output, y, x) = (place / (out_height * out_width), place / out_width % out_height, place % out_width);
            let mut sum = f64::from(bias[output]) + if self.add { f64::from(*before_it) } else { 0.0 };
            for tap in 0..channels * kernel * kernel {
                let (channel, dy, dx) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
                let weight = f64::from(weight[output * channels * kernel * kernel + tap]);
                sum += weight * read(channel, y * step + dy, x * step + dx);
            }
            expected.push(sum);
        }
        let out = if self.add { card.numbers(out_kind, &old) } else { card.room(old.len() * width(out_kind)) };
        let arguments = args![
            input: at card.numbers(x_kind, &input), weight: at card.numbers(w_kind, &weight),
            bias: at card.numbers("f32", &bias), affine: at if self.affine { card.numbers("f32", &affine) } else { 0 },
            out: at out, channels: channels, height: height, width: width_, out_height: out_height, out_width: out_width,
            outputs: outputs, kernel: kernel, step: step, before: before, double: usize::from(self.double),
            has_affine: usize::from(self.affine), add: usize::from(self.add)
        ];
        let grid = [(out_height * out_width).div_ceil(TILE), outputs.div_ceil(TILE)];
        assert_eq!(card.launch(&name, grid, &arguments), 0, "{}", card.complaint());
        let found = card.read(out_kind, out, expected.len());
        let tolerance = if w_kind == "bf16" { 4e-3 } else { 2e-5 };
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let allowed = tolerance * expected.abs().max(1.0);
            assert!((f64::from(*found) - expected).abs() <= allowed, "{self:?} {index}: {found}, expected {expected}");
        }
    }
}

#[test]
fn convolutions_follow_the_definition() {
    let plain = Case {
        names: ["f32", "f32", "f32"],
        channels: 3,
        sides: [9, 7],
        outputs: 10,
        kernel: 3,
        step: 1,
        before: 1,
        double: false,
        affine: false,
        add: false,
    };
    for names in [["f32", "f32", "f32"], ["bf16", "bf16", "bf16"], ["f32", "bf16", "f32"]] {
        for (affine, add) in [(false, false), (true, true)] {
            let case = Case { names, affine, add, ..plain };
            case.run();
            Case { double: true, ..case }.run();
            Case { kernel: 1, before: 0, ..case }.run();
            Case { step: 2, before: 0, ..case }.run();
            Case { step: 2, before: 1, ..case }.run();
            // A patch embedding: none of the processor's movements.
            Case { kernel: 4, step: 4, before: 0, ..case }.run();
        }
    }
}

#[test]
fn the_largest_number_of_a_window_wins_and_nan_over_all() {
    let (channels, height, width) = (3, 9, 6);
    let card = PretendedCard::new("", &["max_pool.f32"]);
    let mut input = noise("f32", channels * height * width, 1);
    input[height * width + 8] = f32::NAN;
    let out = card.room(4 * channels * (height / 2) * (width / 2));
    let count = channels * (height / 2) * (width / 2);
    let arguments =
        args![input: at card.numbers("f32", &input), out: at out, channels: channels, height: height, width: width];
    assert_eq!(card.launch("max_pool.f32", [count.div_ceil(TILE), 1], &arguments), 0, "{}", card.complaint());
    let found = card.read("f32", out, count);
    for (place, found) in found.iter().enumerate() {
        let (channel, y, x) = (place / 12, place / 3 % 4, place % 3);
        let mut window = Vec::new();
        for (row, column) in (0..9).map(|tap| (2 * y + tap / 3, 2 * x + tap % 3)) {
            if row < height && column < width {
                window.push(input[(channel * height + row) * width + column]);
            }
        }
        let nan = window.iter().any(|value| value.is_nan());
        let largest = window.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!(if nan { found.is_nan() } else { found.to_bits() == largest.to_bits() }, "{place}: {found}");
    }
    assert!(found.iter().any(|value| value.is_nan()));
}
