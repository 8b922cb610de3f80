//! The library itself, and its cards.

use crate::driver::StandInDriver;
use crate::host::{HostPointer, Out, put};
use crate::status::{CallOutcome, Fault, StandInStatus};
use std::ffi::c_char;

/// Refuses what is no card's number.
pub(super) fn check_card(driver: &StandInDriver, card: i32) -> Result<usize, Fault> {
    let found = usize::try_from(card).ok().filter(|card| *card < driver.cards.len());
    found.ok_or_else(|| Fault::new(StandInStatus::INVALID_DEVICE, format!("no card {card}")))
}

/// Text that ends with a zero, cut to `room` bytes.
fn put_text(out: HostPointer, room: i32, text: &str) -> CallOutcome {
    let room = usize::try_from(room).ok().filter(|room| *room > 0);
    let room = room.ok_or_else(|| Fault::invalid("no room for a text"))?;
    let mut bytes = text.as_bytes()[..text.len().min(room - 1)].to_vec();
    bytes.push(0);
    out.write(0, &bytes)
}

/// The value of a `CUdevice_attribute`; 0 for those that nobody asks.
fn attribute(driver: &StandInDriver, card: usize, attribute: i32) -> i32 {
    let (major, minor) = driver.settings.capability(card);
    match attribute {
        1..=3 => 1024,           // threads of a block, in x, in y
        4 => 64,                 // in z
        5 => i32::MAX,           // blocks of a grid in x
        6 | 7 => 65_535,         // in y, in z
        8 => 48 << 10,           // shared memory of a block
        10 => 32,                // threads of a warp
        9 | 12 | 82 => 64 << 10, // constant memory; registers of a block, of a multiprocessor
        13 => 1_980_000,         // kHz
        16 => driver.settings.multiprocessors,
        33 => card as i32 + 1,  // PCI bus
        36 => 2_619_000,        // kHz of the memory
        37 => 5120,             // bits of its bus
        38 => 50 << 20,         // bytes of the second-level cache
        39 => 2048,             // threads of a multiprocessor
        40 => 3,                // copy engines
        41 | 78 | 19 | 31 => 1, // one address space; priorities; mapped host memory; concurrent kernels
        75 => major as i32,
        76 => minor as i32,
        81 => driver.settings.shared_memory(card) as i32 + 1024,
        97 => driver.settings.shared_memory(card) as i32,
        115 => i32::from(driver.settings.pools),
        _ => 0,
    }
}

entries! {
    /// Starts the driver.
    Nothing cuInit(flags: u32) |driver, _| {
        if flags != 0 {
            return Err(Fault::invalid(format!("flags {flags}, expected 0")));
        }
        if driver.cards.is_empty() {
            return Err(StandInStatus::NO_DEVICE.into());
        }
        driver.started = true;
        Ok(())
    }

    /// The newest version of CUDA that the driver serves.
    Nothing cuDriverGetVersion(version: Out<'_, i32>) |driver, _| {
        put(version, driver.settings.driver)
    }

    /// How many cards there are.
    Start cuDeviceGetCount(count: Out<'_, i32>) |driver, _| {
        put(count, driver.cards.len() as i32)
    }

    /// The card of a number.
    Start cuDeviceGet(card: Out<'_, i32>, ordinal: i32) |driver, _| {
        check_card(driver, ordinal)?;
        put(card, ordinal)
    }

    /// A card's name, in at most `room` bytes with the zero behind it.
    Start cuDeviceGetName(name: HostPointer, room: i32, card: i32) |driver, _| {
        let card = check_card(driver, card)?;
        put_text(name, room, driver.settings.name(card))
    }

    /// A card's memory in bytes.
    Start cuDeviceTotalMem_v2(bytes: Out<'_, usize>, card: i32) |driver, _| {
        let card = check_card(driver, card)?;
        put(bytes, driver.settings.memory(card) as usize)
    }

    /// A card's identity: its number behind a constant.
    Start cuDeviceGetUuid(uuid: Out<'_, [u8; 16]>, card: i32) |driver, _| {
        let card = check_card(driver, card)?;
        put(uuid, identity(card))
    }

    /// As `cuDeviceGetUuid`.
    Start cuDeviceGetUuid_v2(uuid: Out<'_, [u8; 16]>, card: i32) |driver, _| {
        let card = check_card(driver, card)?;
        put(uuid, identity(card))
    }

    /// What a card can do.
    Start cuDeviceGetAttribute(value: Out<'_, i32>, which: i32, card: i32) |driver, _| {
        let card = check_card(driver, card)?;
        put(value, attribute(driver, card, which))
    }

    /// Where a card sits.
    Start cuDeviceGetPCIBusId(name: HostPointer, room: i32, card: i32) |driver, _| {
        let card = check_card(driver, card)?;
        put_text(name, room, &format!("0000:{:02x}:00.0", card + 1))
    }

    /// NVIDIA's name of a code.
    Nothing cuGetErrorName(code: i32, name: Out<'_, *const c_char>) |_, _| {
        put(name, StandInStatus(code).name().ok_or(StandInStatus::INVALID_VALUE)?.as_ptr())
    }

    /// What a code means.
    Nothing cuGetErrorString(code: i32, text: Out<'_, *const c_char>) |_, _| {
        put(text, StandInStatus(code).text().ok_or(StandInStatus::INVALID_VALUE)?.as_ptr())
    }
}

fn identity(card: usize) -> [u8; 16] {
    let mut uuid = *b"after-standin-\0\0";
    uuid[15] = card as u8;
    uuid
}
