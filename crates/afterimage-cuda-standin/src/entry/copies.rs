//! Copies and fills. Those without a stream, and those whose host memory is not pinned and that read from the card, are done
//! when they return.

use crate::driver::StandInDriver;
use crate::host::HostPointer;
use crate::queue::CardWork;
use crate::status::{CallOutcome, Fault, StandInStatus};

fn to_card(driver: &mut StandInDriver, card: usize, to: u64, from: HostPointer, bytes: usize) -> CallOutcome {
    if bytes == 0 {
        return Ok(());
    }
    let from_pinned = driver.pinned.contains(from.address(), bytes);
    driver.submit(if driver.settings.lazy && !from_pinned {
        CardWork::FromHost { card, to, values: from.read(0, bytes)? }
    } else {
        CardWork::FromPinned { card, to, from: from.address(), bytes }
    })
}

fn to_host(driver: &mut StandInDriver, card: usize, to: HostPointer, from: u64, bytes: usize) -> CallOutcome {
    if bytes == 0 {
        return Ok(());
    }
    driver.submit(CardWork::ToHost { card, from, to: to.address(), bytes })?;
    if driver.pinned.contains(to.address(), bytes) { Ok(()) } else { driver.wait_for_all(card) }
}

fn on_card(driver: &mut StandInDriver, card: usize, to: u64, from: u64, bytes: usize) -> CallOutcome {
    let source = driver.memory.card_of(from).unwrap_or(card);
    driver.submit(CardWork::Copy { cards: (source, card), from, to, bytes })
}

fn fill(driver: &mut StandInDriver, card: usize, to: u64, pattern: [u8; 4], bytes: usize) -> CallOutcome {
    driver.submit(CardWork::Fill { card, to, pattern, bytes })
}

/// `CUDA_MEMCPY2D`: rows from one place to another.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RowsCopy {
    /// Bytes before the first one of a row.
    pub from_x: usize,
    /// Rows before the first one.
    pub from_y: usize,
    /// 1 for the host, 2 for a card.
    pub from_kind: u32,
    /// If it is the host.
    pub from_host: HostPointer,
    /// If it is a card.
    pub from_card: u64,
    /// Not pretended.
    pub from_array: usize,
    /// Bytes from one row to the next.
    pub from_pitch: usize,
    /// As `from_x`.
    pub to_x: usize,
    /// As `from_y`.
    pub to_y: usize,
    /// As `from_kind`.
    pub to_kind: u32,
    /// If it is the host.
    pub to_host: HostPointer,
    /// If it is a card.
    pub to_card: u64,
    /// Not pretended.
    pub to_array: usize,
    /// As `from_pitch`.
    pub to_pitch: usize,
    /// Bytes of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl RowsCopy {
    fn run(&self, driver: &mut StandInDriver, card: usize) -> CallOutcome {
        const HOST: u32 = 1;
        const CARD: u32 = 2;
        if self.width > self.from_pitch.min(self.to_pitch) && self.height > 1 {
            return Err(Fault::invalid(format!("rows of {} bytes in fewer", self.width)));
        }
        for row in 0..self.height {
            let from = (self.from_y + row) * self.from_pitch + self.from_x;
            let to = (self.to_y + row) * self.to_pitch + self.to_x;
            let (from_card, to_card_address) = (self.from_card + from as u64, self.to_card + to as u64);
            let host = |start: HostPointer, offset: usize| HostPointer::at(start.address() + offset);
            match (self.from_kind, self.to_kind) {
                (HOST, CARD) => to_card(driver, card, to_card_address, host(self.from_host, from), self.width)?,
                (CARD, HOST) => to_host(driver, card, host(self.to_host, to), from_card, self.width)?,
                (CARD, CARD) => on_card(driver, card, to_card_address, from_card, self.width)?,
                _ => return Err(StandInStatus::NOT_SUPPORTED.into()),
            }
        }
        Ok(())
    }
}

entries! {
    /// From the host, done on return.
    Context cuMemcpyHtoD_v2(to: u64, from: HostPointer, bytes: usize) |driver, card| {
        to_card(driver, card, to, from, bytes)?;
        driver.wait_for_all(card)
    }

    /// From the host.
    Context cuMemcpyHtoDAsync_v2(to: u64, from: HostPointer, bytes: usize, stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        to_card(driver, card, to, from, bytes)
    }

    /// To the host, done on return.
    Context cuMemcpyDtoH_v2(to: HostPointer, from: u64, bytes: usize) |driver, card| {
        to_host(driver, card, to, from, bytes)?;
        driver.wait_for_all(card)
    }

    /// To the host.
    Context cuMemcpyDtoHAsync_v2(to: HostPointer, from: u64, bytes: usize, stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        to_host(driver, card, to, from, bytes)
    }

    /// On the card.
    Context cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) |driver, card| {
        on_card(driver, card, to, from, bytes)
    }

    /// On the card.
    Context cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        on_card(driver, card, to, from, bytes)
    }

    /// Rows, done on return.
    Context cuMemcpy2D_v2(copy: Option<&RowsCopy>) |driver, card| {
        copy.ok_or(StandInStatus::INVALID_VALUE)?.run(driver, card)?;
        driver.wait_for_all(card)
    }

    /// Rows.
    Context cuMemcpy2DAsync_v2(copy: Option<&RowsCopy>, stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        copy.ok_or(StandInStatus::INVALID_VALUE)?.run(driver, card)
    }

    /// `bytes` bytes of one value.
    Context cuMemsetD8_v2(to: u64, value: u8, bytes: usize) |driver, card| {
        fill(driver, card, to, [value; 4], bytes)
    }

    /// `bytes` bytes of one value.
    Context cuMemsetD8Async(to: u64, value: u8, bytes: usize, stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        fill(driver, card, to, [value; 4], bytes)
    }

    /// `words` words of one value.
    Context cuMemsetD32_v2(to: u64, value: u32, words: usize) |driver, card| {
        fill(driver, card, to, value.to_le_bytes(), 4 * words)
    }

    /// `words` words of one value.
    Context cuMemsetD32Async(to: u64, value: u32, words: usize, stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        fill(driver, card, to, value.to_le_bytes(), 4 * words)
    }
}
