//! Products by NVIDIA's library, on the stand-in that pretends it.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

use afterimage_cuda::{Arithmetic, Cuda, CudaOptions};
use afterimage_device::{Cpu, Dense, Device, Finish, Precision, View, ViewMut, suite};
use afterimage_tensors::{Element, Matrix, SharedBytes};

mod support;

fn card(arithmetic: Arithmetic) -> Cuda {
    let open = || Cuda::open(0, CudaOptions { arithmetic, ..CudaOptions::default() });
    support::on_the_stand_in(true, || open().is_ok());
    let device = open().unwrap();
    // What was not tried is not asked for.
    let tested = device.self_test().unwrap();
    assert!(tested.struck.is_empty() && tested.missing.is_empty(), "{arithmetic:?}: {tested:?}");
    device
}

#[test]
fn its_products_pass_their_self_test() {
    // What it is asked for, with f32 the last: there it is not.
    for (arithmetic, expected) in
        [(Arithmetic::Bf16, 6), (Arithmetic::Int8, 6), (Arithmetic::Fp8, 12), (Arithmetic::F32, 0)]
    {
        let device = card(arithmetic);
        let tested = device.self_test().unwrap();
        assert!(tested.struck.is_empty() && tested.missing.is_empty(), "{arithmetic:?}: {tested:?}");
        let ours = tested.passed.iter().filter(|name| name.starts_with("product.")).count();
        let found = tested.passed.iter().filter(|name| name.starts_with("cublaslt.")).count();
        // Our own are tried as well: they serve what is not aligned.
        assert_eq!(found, expected, "{arithmetic:?}: {:?}", tested.passed);
        assert!(ours >= if expected == 0 { 4 } else { 40 }, "{arithmetic:?}: {:?}", tested.passed);
        let version = if expected == 0 { "not used for f32" } else { "13.1.0" };
        assert_eq!(device.library(), version);
    }
}

#[test]
fn rows_of_integers_stay_with_our_own_kernels() {
    suite::integer_products(&card(Arithmetic::Int8));
}

/// `x · weightᵀ` and a bias into a part of a wider buffer, once for each finish.
fn products(device: &impl Device, element: Element, shape: (usize, usize, usize)) -> Vec<f32> {
    (0..4).flat_map(|finish| product(device, element, shape, finish)).collect()
}

/// One of them.
fn product(
    device: &impl Device,
    element: Element,
    (rows, inputs, outputs): (usize, usize, usize),
    finish: usize,
) -> Vec<f32> {
    let len = outputs * element.row_bytes(inputs).unwrap();
    let exact = |at: usize| (((at * 29) % 31) as f32 / 16.0 - 1.0).to_le_bytes();
    let bytes: Vec<u8> = match element {
        Element::F32 => (0..outputs * inputs).flat_map(exact).collect(),
        _ => (0..len).map(|at| (at * 37 % 251) as u8 & 0xb7).collect(),
    };
    let matrix = Matrix::new(SharedBytes::new(bytes), element, outputs, inputs).unwrap();
    let weight = device.weight(&matrix).unwrap();
    let values = (0..rows * inputs).map(|index| f32::from((index % 13) as u8) / 8.0 - 0.75).collect();
    let exact = device.upload(values).unwrap();
    let mut x = device.allocate(rows * inputs, Precision::Working).unwrap();
    device.copy(View::new(&exact, rows, inputs), ViewMut::new(&mut x, rows, inputs)).unwrap();
    let vector = |seed: usize| {
        let values = (0..outputs).map(|index| f32::from((index * seed % 17) as u8) / 8.0 - 1.0).collect();
        device.upload(values).unwrap()
    };
    let (bias, gate) = (vector(3), vector(5));
    let finishes = [Finish::Store, Finish::GeluTanh, Finish::Add, Finish::AddGated(View::vector(&gate, 0, outputs))];
    let wide = outputs + 32;
    let mut out = device.upload(vec![0.5; rows * wide]).unwrap();
    let layer = Dense { weight: &weight, bias: Some(View::vector(&bias, 0, outputs)), low_rank: None };
    let part = ViewMut::new(&mut out, rows, outputs).at(16).strided(wide);
    let finish = finishes.into_iter().nth(finish).unwrap();
    device.product(View::new(&x, rows, inputs), layer, finish, part).unwrap();
    let mut found = vec![0.0; rows * wide];
    device.read(View::new(&out, rows, wide), &mut found).unwrap();
    found
}

#[test]
fn a_gated_sum_is_made_in_parts_where_it_is_large() {
    // 1,024 rows of so many columns are what there is room for.
    let shape = (1100, 32, 1 << 14);
    let (device, oracle) = (card(Arithmetic::Bf16), Cpu::detect());
    let (found, expected) = (product(&device, Element::F32, shape, 3), product(&oracle, Element::F32, shape, 3));
    let largest = expected.iter().fold(1.0_f32, |largest, number| largest.max(number.abs()));
    let far = found.iter().zip(&expected).position(|(found, expected)| (found - expected).abs() > 0.02 * largest);
    assert_eq!(far, None);
}

#[test]
fn its_numbers_are_the_processors_wherever_they_go() {
    let oracle = Cpu::detect();
    for (arithmetic, element, tolerance) in [
        (Arithmetic::Bf16, Element::F32, 0.02),
        (Arithmetic::Fp8, Element::F8E4M3, 0.1),
        (Arithmetic::Fp8, Element::F32, 0.02),
    ] {
        let device = card(arithmetic);
        // One that is aligned, one that is not, one with too few rows.
        for shape in [(40, 256, 48), (33, 160, 47), (3, 256, 48)] {
            let (found, expected) = (products(&device, element, shape), products(&oracle, element, shape));
            let largest = expected.iter().fold(1.0_f32, |largest, number| largest.max(number.abs()));
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let is_near = (found - expected).abs() <= tolerance * largest;
                assert!(is_near, "{arithmetic:?} {element:?} {shape:?} {place}: {found}, expected {expected}");
            }
        }
    }
}

#[test]
fn a_bias_that_was_written_again_is_not_the_one_of_before() {
    let device = card(Arithmetic::Bf16);
    let (rows, inputs, outputs) = (32, 64, 48);
    let weight = device.weight(&Matrix::from_f32(&vec![0.0; outputs * inputs], outputs, inputs)).unwrap();
    let mut x = device.allocate(rows * inputs, Precision::Working).unwrap();
    device.write(&vec![1.0; rows * inputs], ViewMut::new(&mut x, rows, inputs)).unwrap();
    let mut bias = device.upload(vec![1.0; outputs]).unwrap();
    let mut out = device.allocate(rows * outputs, Precision::Working).unwrap();
    for (expected, is_written) in [(1.0, false), (1.0, false), (2.0, true)] {
        if is_written {
            device.write(&vec![expected; outputs], ViewMut::new(&mut bias, 1, outputs)).unwrap();
        }
        let layer = Dense { weight: &weight, bias: Some(View::vector(&bias, 0, outputs)), low_rank: None };
        let to = ViewMut::new(&mut out, rows, outputs);
        device.product(View::new(&x, rows, inputs), layer, Finish::Store, to).unwrap();
        let mut found = vec![0.0; rows * outputs];
        device.read(View::new(&out, rows, outputs), &mut found).unwrap();
        assert_eq!(found, vec![expected; rows * outputs]);
    }
}
