//! The suite for every device there is.

use afterimage_device::{Cpu, DeviceLimits, Plain, Recording, device_suite, suite};
use afterimage_kernels::simd::Isa;

/// The processor with every instruction set that it has.
fn processors() -> Vec<Cpu> {
    Isa::available().into_iter().map(Cpu::with).collect()
}

device_suite!(cpu, processors());

#[test]
fn all_devices_refuse_the_same() {
    suite::refusals(&Plain);
    suite::refusals(&Recording::new(0.0, DeviceLimits { activation_bytes: 0, wide_rows: 1, memory_bytes: None }));
}

#[test]
fn the_recording_device_counts_what_lives() {
    use afterimage_device::{Device, Precision};
    let device = Recording::new(0.5, DeviceLimits { activation_bytes: 0, wide_rows: 1, memory_bytes: None });
    let first = device.allocate(100, Precision::Working).unwrap();
    let second = device.upload(vec![0.0; 20]).unwrap();
    drop(first);
    let mut values = [0.0; 20];
    device.read(afterimage_device::View::vector(&second, 0, 20), &mut values).unwrap();
    assert!(values.iter().all(|value| (value - 0.5).abs() < f32::EPSILON));
    let tally = device.tally();
    assert_eq!((tally.live_bytes, tally.peak_bytes, tally.count("read")), (80, 480, 1));
}
