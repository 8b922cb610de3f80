//! Cubins, and the functions in them.

use crate::driver::StandInDriver;
use crate::handles::{Function, Loaded, SHARED_BY_DEFAULT, unknown};
use crate::host::{HostPointer, Out, put};
use crate::status::{CallOutcome, Fault, StandInStatus};
use crate::table::{StandInTable, image_length};

/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`
const DYNAMIC_SHARED: i32 = 8;

/// The table of kernels from the file in `CUDA_STANDIN_TABLE`.
fn read_table() -> Result<StandInTable, Fault> {
    let named = |problem: String| Fault::new(StandInStatus::UNKNOWN, format!("CUDA_STANDIN_TABLE: {problem}"));
    let path = std::env::var("CUDA_STANDIN_TABLE").map_err(|error| named(error.to_string()))?;
    let text = std::fs::read_to_string(&path).map_err(|error| named(format!("{path}: {error}")))?;
    StandInTable::parse(&text).map_err(|problem| named(format!("{path}: {problem}")))
}

fn load(driver: &mut StandInDriver, card: usize, module: Out<usize>, image: HostPointer) -> CallOutcome {
    if driver.table.is_none() {
        driver.table = Some(read_table()?);
    }
    let capability = driver.settings.capability(card);
    // A cubin, as long as its header says, or the text of PTX.
    let read = |offset: usize, bytes: usize| image.read(offset, bytes).unwrap_or_default();
    let bytes = if image.array::<4>()? == *b"\x7fELF" {
        let length =
            image_length(read).ok_or_else(|| Fault::new(StandInStatus::INVALID_IMAGE, "no ELF file of 64 bits"))?;
        image.read(0, length)?
    } else {
        image.text()?
    };
    let table = driver.table.as_ref().ok_or(StandInStatus::UNKNOWN)?;
    let (variant, architecture) = table.identify(&bytes, capability)?;
    let handle = driver.handles.next();
    driver.handles.modules.insert(handle, Loaded { card, variant, architecture });
    put(module, handle)
}

entries! {
    /// Loads a cubin.
    Context cuModuleLoadData(module: Out<'_, usize>, image: HostPointer) |driver, card| {
        load(driver, card, module, image)
    }

    /// Loads a cubin; the compiler's options do not matter.
    Context cuModuleLoadDataEx(
        module: Out<'_, usize>,
        image: HostPointer,
        _options: u32,
        _names: HostPointer,
        _values: HostPointer,
    ) |driver, card| {
        load(driver, card, module, image)
    }

    /// Forgets a cubin and its functions; waits for the card first.
    Context cuModuleUnload(module: usize) |driver, card| {
        driver.wait_for_all(card)?;
        driver.handles.functions.retain(|_, function| function.module != module);
        driver.handles.modules.remove(&module).map(|_| ()).ok_or_else(|| unknown("module", module))
    }

    /// A function of a cubin.
    Context cuModuleGetFunction(function: Out<'_, usize>, module: usize, name: HostPointer) |driver, _| {
        let loaded = driver.handles.modules.get(&module).ok_or_else(|| unknown("module", module))?.clone();
        let name = String::from_utf8_lossy(&name.text()?).into_owned();
        if loaded.variant.entry != name {
            let message = format!("{} has {}, not {name}", loaded.variant.name, loaded.variant.entry);
            return Err(Fault::new(StandInStatus::NOT_FOUND, message));
        }
        let handle = driver.handles.next();
        driver.handles.functions.insert(handle, Function { loaded, module, most_shared: SHARED_BY_DEFAULT });
        put(function, handle)
    }

    /// Allows a function more shared memory, up to what the card has.
    Context cuFuncSetAttribute(function: usize, attribute: i32, value: i32) |driver, card| {
        let most = driver.settings.shared_memory(card);
        let function = driver.handles.function(function)?;
        if attribute == DYNAMIC_SHARED {
            let wanted = u32::try_from(value).ok().filter(|wanted| *wanted <= most);
            function.most_shared = wanted.ok_or_else(|| {
                Fault::invalid(format!("{}: {value} bytes of shared memory of {most}", function.loaded.variant.name))
            })?;
        }
        Ok(())
    }

    /// What is known of a function.
    Context cuFuncGetAttribute(value: Out<'_, i32>, attribute: i32, function: usize) |driver, _| {
        let function = driver.handles.function(function)?;
        let Loaded { variant, architecture, .. } = &function.loaded;
        put(value, match attribute {
            0 => variant.targets.get(architecture).map_or(0, |target| 32 * target.warps as i32),
            4 => 128, // registers
            DYNAMIC_SHARED => function.most_shared as i32,
            _ => 0,
        })
    }

    /// Functions are there at once.
    Context cuFuncLoad(function: usize) |driver, _| {
        driver.handles.function(function).map(|_| ())
    }
}
