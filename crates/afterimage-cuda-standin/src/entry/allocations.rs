//! Device memory, and host memory that the card reads without the processor.

use crate::driver::StandInDriver;
use crate::host::{HostPointer, Out, put};
use crate::queue::CardWork;
use crate::status::{CallOutcome, Fault, StandInStatus};

/// The byte that new memory is full of: NaN as f32 and bf16.
const POISON: u8 = 0xff;

fn allocate(driver: &mut StandInDriver, card: usize, address: Out<u64>, bytes: usize) -> CallOutcome {
    if bytes == 0 {
        return Err(Fault::invalid("0 bytes"));
    }
    let after = driver.memory.totals(card).live + bytes as u64;
    let room = driver.settings.memory(card).saturating_sub(driver.settings.used);
    let full = after > room || driver.settings.oom_after.is_some_and(|most| after > most);
    // Nothing computes there: pages that nobody touches cost nothing.
    let fill = if driver.settings.skip_after.is_some() { 0 } else { POISON };
    let found = if full { None } else { driver.memory.allocate(card, bytes, fill) };
    put(address, found.ok_or(StandInStatus::OUT_OF_MEMORY)?)
}

fn pin(driver: &mut StandInDriver, place: Out<usize>, bytes: usize) -> CallOutcome {
    if bytes == 0 {
        return Err(Fault::invalid("0 bytes"));
    }
    let start = driver.pinned.allocate(bytes).ok_or(StandInStatus::OUT_OF_MEMORY)?;
    put(place, start.expose_provenance())
}

entries! {
    /// A card's free memory and all of it, in bytes.
    Context cuMemGetInfo_v2(free: Out<'_, usize>, total: Out<'_, usize>) |driver, card| {
        let all = driver.settings.memory(card);
        let taken = driver.memory.totals(card).live + driver.settings.used;
        put(free, all.saturating_sub(taken) as usize)?;
        put(total, all as usize)
    }

    /// Room for some bytes.
    Context cuMemAlloc_v2(address: Out<'_, u64>, bytes: usize) |driver, card| {
        allocate(driver, card, address, bytes)
    }

    /// Room for some bytes in the order of a stream.
    Context cuMemAllocAsync(address: Out<'_, u64>, bytes: usize, stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        if !driver.settings.pools {
            return Err(StandInStatus::NOT_SUPPORTED.into());
        }
        allocate(driver, card, address, bytes)
    }

    /// Frees what nobody uses any more; waits for the card first.
    Context cuMemFree_v2(address: u64) |driver, card| {
        driver.wait_for_all(card)?;
        if address == 0 { Ok(()) } else { driver.memory.free(address) }
    }

    /// Frees in the order of a stream.
    Context cuMemFreeAsync(address: u64, stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        if address == 0 {
            return Err(Fault::invalid("address 0"));
        }
        driver.submit(CardWork::Free { card, address })
    }

    /// Pinned host memory, poisoned.
    Context cuMemHostAlloc(place: Out<'_, usize>, bytes: usize, _flags: u32) |driver, _| {
        pin(driver, place, bytes)
    }

    /// As `cuMemHostAlloc`.
    Context cuMemAllocHost_v2(place: Out<'_, usize>, bytes: usize) |driver, _| {
        pin(driver, place, bytes)
    }

    /// Frees pinned memory; waits for the card first.
    Context cuMemFreeHost(start: HostPointer) |driver, card| {
        driver.wait_for_all(card)?;
        if driver.pinned.free(start.address()) { Ok(()) } else { Err(Fault::invalid("no pinned memory")) }
    }

    /// Pins memory of the host's own.
    Context cuMemHostRegister_v2(start: HostPointer, bytes: usize, _flags: u32) |driver, _| {
        if start.is_null() || bytes == 0 {
            return Err(Fault::invalid("nothing to register"));
        }
        if driver.pinned.register(start.address(), bytes) { Ok(()) } else { Err(StandInStatus::ALREADY_REGISTERED.into()) }
    }

    /// Undoes `cuMemHostRegister`; waits for the card first.
    Context cuMemHostUnregister(start: HostPointer) |driver, card| {
        driver.wait_for_all(card)?;
        if driver.pinned.unregister(start.address()) { Ok(()) } else { Err(StandInStatus::NOT_REGISTERED.into()) }
    }
}
