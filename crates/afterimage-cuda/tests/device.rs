//! The suite that every device has to pass, and the self-test, on the stand-in driver.
//!
//! A driver's library is found when a process starts, so this one starts again, once, with the stand-in in its way.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

use afterimage_core::Error;
use afterimage_cuda::{Arithmetic, Cuda, CudaOptions};
use afterimage_device::{Device, Finish, Precision, View, ViewMut, device_suite, suite};
use afterimage_tensors::{Element, Matrix, SharedBytes};

mod support;

fn on_the_stand_in() {
    support::on_the_stand_in(false, || afterimage_cuda::Driver::open().is_ok());
}

fn card(arithmetic: Arithmetic) -> Cuda {
    on_the_stand_in();
    Cuda::open(0, CudaOptions { arithmetic, ..CudaOptions::default() }).unwrap()
}

device_suite!(stand_in, [card(Arithmetic::F32)]);

#[test]
fn every_kernel_passes_its_self_test() {
    for arithmetic in [Arithmetic::F32, Arithmetic::Bf16, Arithmetic::Fp8, Arithmetic::Int8] {
        let tested = card(arithmetic).self_test().unwrap();
        assert!(tested.struck.is_empty(), "{arithmetic:?}: {:?}", tested.struck);
        assert!(tested.passed.len() > if arithmetic == Arithmetic::F32 { 30 } else { 90 }, "{}", tested.passed.len());
    }
}

#[test]
fn rows_of_integers_are_multiplied_as_integers() {
    let device = card(Arithmetic::Int8);
    assert!(device.wants_rows_of_integers());
    suite::integer_products(&device);
    let tested = device.self_test().unwrap();
    let integers = tested.passed.iter().filter(|name| name.starts_with("product.i8.i8i8."));
    assert_eq!(integers.count(), 8, "{:?}", tested.passed);
}

/// `x · weightᵀ` with the weight in blocks of `element`, read from the file at every use or kept.
fn product(device: &impl Device, element: Element, streamed: bool) -> Vec<f32> {
    let (rows, inputs, outputs) = (40, 256, 48);
    let mut bytes: Vec<u8> =
        (0..outputs * element.row_bytes(inputs).unwrap()).map(|index| (index * 37 % 251) as u8).collect();
    for block in bytes.chunks_exact_mut(element.block_bytes()) {
        if element.block() > 1 {
            block[1] = 0x18;
        } else {
            block[0] &= 0x37;
        }
    }
    let bytes = SharedBytes::new(bytes);
    let bytes = if streamed { bytes.streamed() } else { bytes };
    let matrix = Matrix::new(bytes, element, outputs, inputs).unwrap();
    let weight = device.weight(&matrix).unwrap();
    let values = (0..rows * inputs).map(|index| f32::from((index % 13) as u8) / 8.0 - 0.75).collect();
    let x = device.upload(values).unwrap();
    let mut out = device.allocate(rows * outputs, Precision::Exact).unwrap();
    let layer = || afterimage_device::Dense { weight: &weight, bias: None, low_rank: None };
    for finish in [Finish::Store, Finish::Add, Finish::Add] {
        device.product(View::new(&x, rows, inputs), layer(), finish, ViewMut::new(&mut out, rows, outputs)).unwrap();
    }
    let mut found = vec![0.0; rows * outputs];
    device.read(View::new(&out, rows, outputs), &mut found).unwrap();
    found
}

#[test]
fn weights_that_come_for_every_use_give_the_same_numbers() {
    for arithmetic in [Arithmetic::F32, Arithmetic::Bf16, Arithmetic::Fp8] {
        let device = card(arithmetic);
        for element in [Element::Q8_0, Element::Q4_0, Element::F8E4M3] {
            assert_eq!(product(&device, element, true), product(&device, element, false), "{arithmetic:?} {element:?}");
        }
    }
}

#[test]
fn a_limit_of_memory_is_kept_and_told() {
    on_the_stand_in();
    let options = CudaOptions { memory_limit: Some(64 << 20), ..CudaOptions::default() };
    let device = Cuda::open(0, options).unwrap();
    let first = device.allocate(10 << 20, Precision::Exact).unwrap();
    let error = device.allocate(10 << 20, Precision::Exact).err().unwrap();
    assert!(matches!(&error, Error::Device { problem, .. } if problem.contains("out of memory: 40 MiB")), "{error}");
    drop(first);
    // The same piece again, and pieces of another size in its place.
    drop(device.allocate(10 << 20, Precision::Exact).unwrap());
    device.allocate(12 << 20, Precision::Exact).unwrap();
    assert!(device.peak_bytes() <= 64 << 20);
}
