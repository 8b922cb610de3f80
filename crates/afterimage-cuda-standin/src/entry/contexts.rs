//! Primary contexts. A context's handle is its card's number plus one.

use super::cards::check_card;
use crate::driver::{current, set_current};
use crate::host::{Out, put};
use crate::status::{Fault, StandInStatus};

entries! {
    /// A card's context, made if nobody has it.
    Start cuDevicePrimaryCtxRetain(context: Out<'_, usize>, card: i32) |driver, _| {
        let card = check_card(driver, card)?;
        driver.cards[card].retained += 1;
        put(context, card + 1)
    }

    /// One user fewer; with the last one the context goes, and what is in it.
    Start cuDevicePrimaryCtxRelease_v2(card: i32) |driver, _| {
        let card = check_card(driver, card)?;
        if driver.cards[card].retained == 0 {
            return Err(Fault::new(StandInStatus::INVALID_CONTEXT, "released more often than retained"));
        }
        let outcome = driver.wait_for_all(card);
        driver.cards[card].retained -= 1;
        if driver.cards[card].retained == 0 {
            driver.release(card);
        }
        outcome
    }

    /// Takes everything from the context's users.
    Start cuDevicePrimaryCtxReset_v2(card: i32) |driver, _| {
        let card = check_card(driver, card)?;
        driver.release(card);
        Ok(())
    }

    /// How threads are to wait; it does not matter here.
    Start cuDevicePrimaryCtxSetFlags_v2(card: i32, flags: u32) |driver, _| {
        let card = check_card(driver, card)?;
        driver.cards[card].flags = flags;
        Ok(())
    }

    /// Whether anybody has the context.
    Start cuDevicePrimaryCtxGetState(card: i32, flags: Out<'_, u32>, active: Out<'_, i32>) |driver, _| {
        let card = check_card(driver, card)?;
        put(flags, driver.cards[card].flags)?;
        put(active, i32::from(driver.cards[card].retained > 0))
    }

    /// Makes a context the thread's; 0 for none.
    Start cuCtxSetCurrent(context: usize) |driver, _| {
        if context > 0 && driver.cards.get(context - 1).is_none_or(|card| card.retained == 0) {
            return Err(Fault::new(StandInStatus::INVALID_CONTEXT, format!("no context {context:#x}")));
        }
        set_current(context);
        Ok(())
    }

    /// The thread's context.
    Start cuCtxGetCurrent(context: Out<'_, usize>) |_, _| {
        put(context, current())
    }

    /// The card of the thread's context.
    Context cuCtxGetDevice(found: Out<'_, i32>) |_, card| {
        put(found, card as i32)
    }

    /// Waits for everything.
    Context cuCtxSynchronize() |driver, card| {
        driver.wait_for_all(card)
    }

    /// All streams have the same priority.
    Context cuCtxGetStreamPriorityRange(least: Out<'_, i32>, greatest: Out<'_, i32>) |_, _| {
        // Null pointers are allowed.
        if let Some(least) = least { least.write(0); }
        if let Some(greatest) = greatest { greatest.write(0); }
        Ok(())
    }
}
