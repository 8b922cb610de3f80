//! Streams and events.

use crate::driver::StandInDriver;
use crate::handles::{StandInEvent, unknown};
use crate::host::{Out, put};
use crate::status::{CallOutcome, Fault, StandInStatus};
use std::time::Instant;

/// `CU_EVENT_DISABLE_TIMING`
const WITHOUT_TIME: u32 = 2;

fn create(driver: &mut StandInDriver, card: usize, stream: Out<usize>) -> CallOutcome {
    let handle = driver.handles.next();
    driver.handles.streams.insert(handle, card);
    put(stream, handle)
}

/// Milliseconds between two recorded events.
fn elapsed(driver: &mut StandInDriver, card: usize, from: usize, to: usize) -> Result<f32, Fault> {
    let mut times = [Instant::now(); 2];
    for (time, handle) in times.iter_mut().zip([from, to]) {
        let event = *driver.handles.event(handle, card)?;
        let (asked, recorded) = event.recorded.filter(|_| event.timed).ok_or(StandInStatus::INVALID_HANDLE)?;
        if driver.queue.done < asked {
            return Err(StandInStatus::NOT_READY.into());
        }
        *time = recorded;
    }
    Ok((times[1].duration_since(times[0]).as_secs_f64() * 1000.0) as f32)
}

entries! {
    /// A stream.
    Context cuStreamCreate(stream: Out<'_, usize>, _flags: u32) |driver, card| {
        create(driver, card, stream)
    }

    /// A stream; priorities do not matter.
    Context cuStreamCreateWithPriority(stream: Out<'_, usize>, _flags: u32, _priority: i32) |driver, card| {
        create(driver, card, stream)
    }

    /// What the stream was asked for still happens.
    Context cuStreamDestroy_v2(stream: usize) |driver, card| {
        let owned = driver.handles.streams.get(&stream) == Some(&card);
        if owned && driver.handles.streams.remove(&stream).is_some() { Ok(()) } else { Err(unknown("stream", stream)) }
    }

    /// Waits for what a stream was asked for.
    Context cuStreamSynchronize(stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        driver.wait_for_all(card)
    }

    /// Has a stream wait for an event.
    Context cuStreamWaitEvent(stream: usize, event: usize, _flags: u32) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        driver.handles.events.get(&event).map(|_| ()).ok_or_else(|| unknown("event", event))
    }

    /// Whether what a stream was asked for is done.
    Context cuStreamQuery(stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        let done = driver.is_done(driver.queue.asked);
        driver.working(card)?;
        if done { Ok(()) } else { Err(StandInStatus::NOT_READY.into()) }
    }

    /// Streams are never captured.
    Context cuStreamIsCapturing(stream: usize, state: Out<'_, i32>) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        put(state, 0)
    }

    /// An event.
    Context cuEventCreate(event: Out<'_, usize>, flags: u32) |driver, card| {
        let handle = driver.handles.next();
        driver.handles.events.insert(handle, StandInEvent { card, timed: flags & WITHOUT_TIME == 0, recorded: None });
        put(event, handle)
    }

    /// The event happens when what was asked for before is done.
    Context cuEventRecord(event: usize, stream: usize) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        let asked = driver.queue.asked;
        driver.handles.event(event, card)?.recorded = Some((asked, Instant::now()));
        Ok(())
    }

    /// No event any more.
    Context cuEventDestroy_v2(event: usize) |driver, card| {
        driver.handles.event(event, card)?;
        driver.handles.events.remove(&event);
        Ok(())
    }

    /// Waits for an event.
    Context cuEventSynchronize(event: usize) |driver, card| {
        let recorded = driver.handles.event(event, card)?.recorded;
        driver.wait(card, recorded.map_or(0, |(asked, _)| asked))
    }

    /// Whether an event happened.
    Context cuEventQuery(event: usize) |driver, card| {
        let recorded = driver.handles.event(event, card)?.recorded;
        let done = driver.is_done(recorded.map_or(0, |(asked, _)| asked));
        driver.working(card)?;
        if done { Ok(()) } else { Err(StandInStatus::NOT_READY.into()) }
    }

    /// Milliseconds from one event to another.
    Context cuEventElapsedTime(milliseconds: Out<'_, f32>, from: usize, to: usize) |driver, card| {
        put(milliseconds, elapsed(driver, card, from, to)?)
    }

    /// As `cuEventElapsedTime`.
    Context cuEventElapsedTime_v2(milliseconds: Out<'_, f32>, from: usize, to: usize) |driver, card| {
        put(milliseconds, elapsed(driver, card, from, to)?)
    }
}
