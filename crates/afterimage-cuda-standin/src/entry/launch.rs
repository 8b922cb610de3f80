//! Launches.

use crate::driver::StandInDriver;
use crate::frame::{Argument, Launch};
use crate::handles::{Function, Loaded};
use crate::host::HostPointer;
use crate::queue::CardWork;
use crate::status::{CallOutcome, Fault, StandInStatus};
use crate::table::StandInVariant;

/// Pointers that the compiler adds to every kernel's parameters: room for it to use, none of ours wants any.
const SCRATCH_POINTERS: usize = 2;

/// The most blocks in the second and third direction.
const MOST_BLOCKS: u32 = 65_535;

/// The arguments, each of the type that the table has for it.
fn arguments(variant: &StandInVariant, parameters: HostPointer) -> Result<Vec<Argument>, Fault> {
    let mut arguments = Vec::with_capacity(variant.params.len());
    for (index, (name, kind)) in variant.params.iter().enumerate() {
        let value = parameters.entry(index)?;
        if value.is_null() {
            return Err(Fault::invalid(format!("{name}: no argument")));
        }
        arguments.push(match kind.as_str() {
            pointer if pointer.starts_with('*') => Argument::Pointer(u64::from_le_bytes(value.array()?)),
            "i32" => Argument::Integer(i32::from_le_bytes(value.array()?)),
            "f32" | "fp32" => Argument::Float(f32::from_le_bytes(value.array()?)),
            other => return Err(Fault::invalid(format!("{name}: the table has a type {other}"))),
        });
    }
    for index in 0..SCRATCH_POINTERS {
        let value = parameters.entry(variant.params.len() + index)?;
        if value.is_null() || value.array::<8>()? != [0; 8] {
            return Err(Fault::invalid("the two pointers behind the parameters are not null"));
        }
    }
    Ok(arguments)
}

/// Refuses blocks of another size than the kernel was compiled for, and what no card takes.
fn check_sizes(function: &Function, grid: [u32; 3], block: [u32; 3], shared: u32) -> CallOutcome {
    let Loaded { variant, architecture, .. } = &function.loaded;
    let target = variant.targets.get(architecture).ok_or(StandInStatus::UNKNOWN)?;
    if grid.contains(&0) || grid[0] > i32::MAX as u32 || grid[1] > MOST_BLOCKS || grid[2] > MOST_BLOCKS {
        return Err(Fault::invalid(format!("grid {grid:?}")));
    }
    if block != [32 * target.warps, 1, 1] {
        return Err(Fault::invalid(format!("block {block:?}, expected {} threads", 32 * target.warps)));
    }
    if shared != target.shared {
        return Err(Fault::invalid(format!("{shared} bytes of shared memory, expected {}", target.shared)));
    }
    if shared > function.most_shared {
        let most = function.most_shared;
        return Err(Fault::invalid(format!("{shared} bytes of shared memory, {most} are allowed: cuFuncSetAttribute")));
    }
    Ok(())
}

fn launch(
    driver: &mut StandInDriver,
    card: usize,
    function: usize,
    sizes: ([u32; 3], [u32; 3], u32),
    parameters: (HostPointer, HostPointer),
) -> CallOutcome {
    let (grid, block, shared) = sizes;
    let function = driver.handles.function(function)?;
    let variant = &function.loaded.variant;
    let named = |fault: Fault| Fault { message: format!("{}: {}", variant.name, fault.message), ..fault };
    if function.loaded.card != card {
        return Err(named(Fault::new(StandInStatus::INVALID_HANDLE, "a function of another card")));
    }
    check_sizes(function, grid, block, shared).map_err(named)?;
    let (variant, architecture) = (variant.clone(), function.loaded.architecture.clone());
    if !driver.count_launch(&variant.name) {
        return Ok(());
    }
    let (parameters, extra) = parameters;
    if !extra.is_null() {
        return Err(StandInStatus::NOT_SUPPORTED.into());
    }
    let arguments = arguments(&variant, parameters)
        .map_err(|fault| Fault { message: format!("{}: {}", variant.name, fault.message), ..fault })?;
    driver.submit(CardWork::Launch(Launch { variant, architecture, card, arguments, grid }))
}

entries! {
    /// Runs a kernel's twin.
    Context cuLaunchKernel(
        function: usize,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: usize,
        parameters: HostPointer,
        extra: HostPointer,
    ) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        let sizes = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z], shared);
        launch(driver, card, function, sizes, (parameters, extra))
    }
}
