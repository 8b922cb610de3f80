//! cuBLASLt, as far as it is asked: products of two matrices.
//!
//! The library that tests install is found under this name, too; it is the same file, so that it is loaded once.

use crate::cublaslt::{LibraryCall, check_sums, library_status};
use crate::descriptors::{LibraryLayout, LibraryObject};
use crate::driver::StandInDriver;
use crate::host::{HostPointer, Out, put};
use crate::queue::CardWork;
use crate::status::{CallOutcome, Fault, StandInStatus};
use std::collections::BTreeMap;

/// The release that is pretended: 13.1.0.
const VERSION: usize = 130_100;

/// As `entries!`, for functions that answer with a `cublasStatus_t`.
macro_rules! library_entries {
    ($($(#[$doc:meta])* $needs:ident $name:ident($($argument:ident: $type:ty),* $(,)?)
        |$driver:pat_param, $card:pat_param| $body:block)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($argument: $type),*) -> i32 {
            let needs = crate::driver::CallNeeds::$needs;
            library_status(crate::driver::enter(stringify!($name), needs, |$driver, $card| $body))
        }
    )*};
}

/// The version of the library.
#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetVersion() -> usize {
    VERSION
}

fn create(driver: &mut StandInDriver, out: Out<usize>, object: LibraryObject) -> CallOutcome {
    let handle = driver.handles.next();
    driver.library.insert(handle, object);
    put(out, handle)
}

fn destroy(driver: &mut StandInDriver, handle: usize) -> CallOutcome {
    match driver.library.remove(&handle) {
        Some(_) => Ok(()),
        None => Err(Fault::invalid(format!("no object {handle:#x} of the library"))),
    }
}

fn set(driver: &mut StandInDriver, handle: usize, attribute: i32, from: HostPointer, bytes: usize) -> CallOutcome {
    let value = from.read(0, bytes)?;
    match driver.library.get_mut(&handle) {
        Some(object) => object.set(attribute, &value),
        None => Err(Fault::invalid(format!("no object {handle:#x} of the library"))),
    }
}

fn number(from: HostPointer, place: usize) -> Result<u64, Fault> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&from.read(8 * place, 8)?);
    Ok(u64::from_le_bytes(bytes))
}

fn factor(from: HostPointer) -> Result<f32, Fault> {
    Ok(f32::from_le_bytes(from.array()?))
}

library_entries! {
    /// A handle on the library for the current context.
    Context cublasLtCreate(library: Out<'_, usize>) |driver, card| {
        create(driver, library, LibraryObject::Library { card })
    }

    /// No handle any more.
    Start cublasLtDestroy(library: usize) |driver, _| {
        destroy(driver, library)
    }

    /// The descriptor of a product.
    Nothing cublasLtMatmulDescCreate(product: Out<'_, usize>, compute: i32, scale: i32) |driver, _| {
        check_sums(compute, scale)?;
        create(driver, product, LibraryObject::Product(BTreeMap::new()))
    }

    /// An attribute of a product.
    Nothing cublasLtMatmulDescSetAttribute(product: usize, attribute: i32, from: HostPointer, bytes: usize) |driver, _| {
        set(driver, product, attribute, from, bytes)
    }

    /// No descriptor any more.
    Nothing cublasLtMatmulDescDestroy(product: usize) |driver, _| {
        destroy(driver, product)
    }

    /// The layout of a matrix in columns.
    Nothing cublasLtMatrixLayoutCreate(layout: Out<'_, usize>, number: i32, rows: u64, cols: u64, stride: i64) |driver, _| {
        create(driver, layout, LibraryObject::Layout(LibraryLayout { number, rows, cols, stride }))
    }

    /// No layout any more.
    Nothing cublasLtMatrixLayoutDestroy(layout: usize) |driver, _| {
        destroy(driver, layout)
    }

    /// Wishes for an algorithm.
    Nothing cublasLtMatmulPreferenceCreate(preference: Out<'_, usize>) |driver, _| {
        create(driver, preference, LibraryObject::Preference(BTreeMap::new()))
    }

    /// A wish.
    Nothing cublasLtMatmulPreferenceSetAttribute(preference: usize, attribute: i32, from: HostPointer, bytes: usize) |driver, _| {
        set(driver, preference, attribute, from, bytes)
    }

    /// No wishes any more.
    Nothing cublasLtMatmulPreferenceDestroy(preference: usize) |driver, _| {
        destroy(driver, preference)
    }

    /// The best algorithm.
    Context cublasLtMatmulAlgoGetHeuristic(
        library: usize,
        product: usize,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        preference: usize,
        wanted: i32,
        results: HostPointer,
        found: Out<'_, i32>,
    ) |driver, card| {
        if wanted < 1 {
            return Err(Fault::invalid("no algorithm is wanted"));
        }
        let chosen = driver.choose(card, LibraryCall { library, product, layouts: [a, b, c, d] }, preference)?;
        results.write(0, &chosen)?;
        put(found, 1)
    }

    /// A product, by the twin of our own.
    Context cublasLtMatmul(
        library: usize,
        product: usize,
        alpha: HostPointer,
        a: u64,
        a_layout: usize,
        b: u64,
        b_layout: usize,
        beta: HostPointer,
        c: u64,
        c_layout: usize,
        d: u64,
        d_layout: usize,
        algorithm: HostPointer,
        workspace: u64,
        workspace_bytes: usize,
        stream: usize,
    ) |driver, card| {
        driver.handles.check_stream(stream, card)?;
        let call = LibraryCall { library, product, layouts: [a_layout, b_layout, c_layout, d_layout] };
        let factors = (factor(alpha)?, factor(beta)?);
        let algorithm = [number(algorithm, 0)?, number(algorithm, 1)?];
        if !driver.count_launch("cublasLtMatmul") {
            return Ok(());
        }
        let launch = driver.library_launch(card, call, [a, b, c, d], factors, algorithm, (workspace, workspace_bytes))?;
        driver.submit(CardWork::Launch(launch))
    }
}

/// Faults of the library's own are its own codes, none of which breaks a context.
const _: () = assert!(!StandInStatus(7).is_sticky() && !StandInStatus(15).is_sticky());
