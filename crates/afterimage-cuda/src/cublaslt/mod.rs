//! Large matrix products by cuBLASLt, NVIDIA's own library, where it is installed.
//!
//! It is no part of the driver: it comes with CUDA's toolkit and with the wheels of `PyTorch`. Where it is not found, or does not do what is
//! asked, or failed its self-test, our own kernels serve. It is asked for products of bf16, and of 8-bit floats with a scale a row,
//! whose operands are aligned; weights that are stored otherwise are always ours.
//!
//! | file | what |
//! |---|---|
//! | `functions.rs` | the library and its functions |
//! | `product.rs` | what is asked for |
//! | `plan.rs` | how: descriptors, and the algorithm that the library chooses for a shape |

mod functions;
mod plan;
mod product;

pub(crate) use product::{LibraryAddresses, LibraryFinish, LibraryOperands, LibraryProduct};

use crate::buffer::NumberType;
use crate::driver::{Address, CudaContext, CudaStream, DriverError, Handle};
use crate::times::KernelTimes;
use functions::{CublasLtFunctions, CublasLtRelease, FoundLibrary, shown};
use plan::{LibraryFailure, ProductPlan};
use product::{KINDS, NAMES};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Bytes that algorithms may work in: what NVIDIA recommends for Hopper and newer (cuBLAS reference, `cublasSetWorkspace`), and a
/// little for older cards.
const WORKSPACE_FROM_9: usize = 32 << 20;
const WORKSPACE_BEFORE: usize = 8 << 20;

/// Bytes for a product that something else becomes of: 5,461 rows of FLUX's width in bf16, so that a picture of 1024² is made at once.
const SCRATCH: usize = 32 << 20;

/// Plans that are kept: sizes of pictures come and go.
const MOST_PLANS: usize = 1024;

/// The first release with scales for rows (its headers: `CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F`).
const LEAST_WITH_ROW_SCALES: usize = 120_900;

/// What a self-test is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LibraryTrial {
    /// There is none.
    #[default]
    Over,
    /// Our own kernels: the library is asked for nothing.
    OfOurOwn,
    /// The library: it is asked for everything.
    OfTheLibrary,
}

/// The library on a card.
pub(crate) struct CublasLt {
    functions: &'static CublasLtFunctions,
    version: usize,
    handle: Handle,
    workspace: Address,
    workspace_bytes: usize,
    scratch: Address,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// By what was asked for; `None` where the library has nothing for it.
    plans: Mutex<HashMap<LibraryProduct, Option<ProductPlan>>>,
    /// Why products of a kind are not asked for any more.
    struck: [OnceLock<String>; KINDS],
    /// Asked for since somebody asked.
    launched: [AtomicBool; KINDS],
    /// Kinds whose numbers were right in a self-test: no other is asked for.
    trusted: [AtomicBool; KINDS],
    trial: Mutex<LibraryTrial>,
    /// Held while `scratch` is in use.
    gated: Mutex<()>,
}

// SAFETY: the library's functions may be called from any thread with any handle (cuBLAS reference, "Thread safety"); plans, which
// calls change, are behind a lock.
unsafe impl Send for CublasLt {}
// SAFETY: as above.
unsafe impl Sync for CublasLt {}

impl CublasLt {
    /// The library for a card's stream; where there is none, what to tell of that.
    ///
    /// # Errors
    /// Those of the driver when memory to work in cannot be had.
    pub fn open(
        context: &Arc<CudaContext>,
        stream: &Arc<CudaStream>,
        capability: (u32, u32),
    ) -> Result<Result<Self, String>, DriverError> {
        let releases = match FoundLibrary::get() {
            FoundLibrary::Usable(releases) => releases,
            FoundLibrary::Unwanted => return Ok(Err("turned off".to_owned())),
            FoundLibrary::Missing => return Ok(Err("not found".to_owned())),
            FoundLibrary::Unusable(problem) => return Ok(Err(format!("not used: {problem}"))),
        };
        let mut problem = String::new();
        for release in releases {
            let mut handle = null_mut();
            // SAFETY: writes one handle, given back by `drop`.
            let status = stream.with_handle(|_| unsafe { (release.functions.create)(&raw mut handle) })?;
            match LibraryFailure::check("cublasLtCreate", status) {
                Ok(()) => return Self::with_room(release, handle, context, stream, capability),
                Err(failure) => problem = format!("not used: {failure}"),
            }
        }
        Ok(Err(problem))
    }

    /// A handle with memory to work in. A card that has none left works without the library.
    fn with_room(
        release: &'static CublasLtRelease,
        handle: Handle,
        context: &Arc<CudaContext>,
        stream: &Arc<CudaStream>,
        capability: (u32, u32),
    ) -> Result<Result<Self, String>, DriverError> {
        let workspace_bytes = if capability >= (9, 0) { WORKSPACE_FROM_9 } else { WORKSPACE_BEFORE };
        let mut library = Self {
            functions: &release.functions,
            version: release.version,
            handle,
            workspace: 0,
            workspace_bytes,
            scratch: 0,
            context: Arc::clone(context),
            stream: Arc::clone(stream),
            plans: Mutex::default(),
            struck: [const { OnceLock::new() }; KINDS],
            launched: [const { AtomicBool::new(false) }; KINDS],
            trusted: [const { AtomicBool::new(false) }; KINDS],
            trial: Mutex::default(),
            gated: Mutex::default(),
        };
        for (own, bytes) in [(&mut library.workspace, workspace_bytes), (&mut library.scratch, SCRATCH)] {
            match context.allocate(bytes) {
                Ok(address) => *own = address,
                Err(error) if error.is_out_of_memory() => {
                    return Ok(Err("not used: the card has no memory left for it".to_owned()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(library))
    }

    /// Its version, such as `12.9.3`.
    pub fn version(&self) -> String {
        shown(self.version)
    }

    /// Bytes of the card's memory that it has for itself.
    pub fn own_bytes(&self) -> u64 {
        (self.workspace_bytes + SCRATCH) as u64
    }

    /// Room for a product of rows of `cols` bf16 that is used up before the next, and how many of them at once.
    pub fn scratch(&self, cols: usize) -> (Address, usize) {
        /// Rows that a card likes to work on together.
        const TOGETHER: usize = 128;
        let rows = SCRATCH / (NumberType::Bf16.bytes() * cols.max(1));
        (self.scratch, if rows > TOGETHER { rows / TOGETHER * TOGETHER } else { rows })
    }

    /// Whether it multiplies rows of 8-bit floats with a scale each.
    pub fn has_row_scales(&self) -> bool {
        self.version >= LEAST_WITH_ROW_SCALES
    }

    /// What is tried.
    pub fn set_trial(&self, trial: LibraryTrial) {
        *self.trial.lock().unwrap_or_else(PoisonError::into_inner) = trial;
    }

    /// Products of these names gave the right numbers, here or when it was kept.
    pub fn trust<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            if let Some(kind) = NAMES.iter().position(|other| *other == name) {
                self.trusted[kind].store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether a product of this kind may be asked for.
    pub fn serves(&self, product: &LibraryProduct) -> bool {
        let kind = product.kind();
        let is_wanted = match *self.trial.lock().unwrap_or_else(PoisonError::into_inner) {
            LibraryTrial::Over => self.trusted[kind].load(Ordering::Relaxed),
            LibraryTrial::OfTheLibrary => true,
            LibraryTrial::OfOurOwn => false,
        };
        is_wanted && self.struck[kind].get().is_none()
    }

    /// Keeps others from using [`CublasLt::scratch`] until the answer is dropped.
    pub fn alone(&self) -> MutexGuard<'_, ()> {
        self.gated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a product after everything before; `false` when the library does not do it, and nothing was asked for.
    ///
    /// # Errors
    /// Those of the driver.
    ///
    /// # Safety
    /// The addresses are of memory of the sizes that `product` tells.
    pub unsafe fn multiply(
        &self,
        times: &KernelTimes,
        product: &LibraryProduct,
        addresses: &LibraryAddresses,
    ) -> Result<bool, DriverError> {
        if !self.serves(product) || !product.is_aligned(addresses) {
            return Ok(false);
        }
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= MOST_PLANS && !plans.contains_key(product) {
            plans.clear();
        }
        let kind = product.kind();
        let plan = match plans.entry(*product) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => match self.plan(product, addresses)? {
                Ok(plan) => unknown.insert(Some(plan)),
                Err(failure) if failure.is_not_supported() => unknown.insert(None),
                // The moment's: asked again at the next time.
                Err(failure) if failure.is_want_of_memory() => return Ok(false),
                Err(failure) => {
                    self.strike_kind(kind, &failure.to_string());
                    return Ok(false);
                }
            },
        };
        let Some(plan) = plan else { return Ok(false) };
        let mut outcome = Ok(());
        times.note((&self.context, &self.stream), NAMES[kind], || {
            outcome = self.stream.with_handle(|stream| {
                // SAFETY: the caller's promise; all work that uses the workspace is on this stream.
                unsafe { plan.multiply(self.handle, addresses, self.workspace, stream) }
            })?;
            Ok(())
        })?;
        match outcome {
            Ok(()) => self.launched[kind].store(true, Ordering::Relaxed),
            // What is wrong with the card itself, the driver tells when our own kernel is launched in its place.
            Err(problem) => self.strike_kind(kind, &problem.to_string()),
        }
        Ok(outcome.is_ok())
    }

    /// The plan for a product. That the library does not do it is no fault.
    fn plan(
        &self,
        product: &LibraryProduct,
        addresses: &LibraryAddresses,
    ) -> Result<Result<ProductPlan, LibraryFailure>, DriverError> {
        let plan = || ProductPlan::new(self.functions, self.handle, product, addresses, self.workspace_bytes);
        // The library asks the driver about the current context.
        self.stream.with_handle(|_| plan())
    }

    fn strike_kind(&self, kind: usize, problem: &str) {
        // The first reason stays.
        if self.struck[kind].set(problem.to_owned()).is_ok() {
            let product = NAMES[kind];
            tracing::warn!(
                device = self.context.device(),
                product,
                problem,
                "cuBLASLt is not asked for such products any more"
            );
        }
    }

    /// Nobody asks for products of this name any more; whether there is such a name.
    pub fn strike(&self, name: &str, problem: &str) -> bool {
        let kind = NAMES.iter().position(|other| *other == name);
        kind.inspect(|kind| self.strike_kind(*kind, problem)).is_some()
    }

    /// What is struck, and why.
    pub fn struck(&self) -> impl Iterator<Item = (&'static str, &str)> {
        NAMES
            .iter()
            .zip(&self.struck)
            .filter_map(|(name, problem)| problem.get().map(|problem| (*name, problem.as_str())))
    }

    /// What is asked for from here on is what [`CublasLt::launched`] names.
    pub fn forget_launches(&self) {
        self.launched.iter().for_each(|launched| launched.store(false, Ordering::Relaxed));
    }

    /// The kinds of products that were asked for.
    pub fn launched(&self) -> impl Iterator<Item = &'static str> {
        let launched =
            |(name, launched): (&&'static str, &AtomicBool)| launched.load(Ordering::Relaxed).then_some(*name);
        NAMES.iter().zip(&self.launched).filter_map(launched)
    }
}

impl Drop for CublasLt {
    fn drop(&mut self) {
        self.plans.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        // SAFETY: made by `open`, used no more.
        let _ = self.stream.with_handle(|_| unsafe { (self.functions.destroy)(self.handle) });
        for own in [self.workspace, self.scratch] {
            if own != 0 {
                // SAFETY: nobody has it, and the card's own `drop` waited for what used it.
                unsafe { self.context.free(own) };
            }
        }
    }
}
