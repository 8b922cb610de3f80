//! Kernels on a card, loaded when they are first launched.

use crate::driver::{CudaContext, CudaStream, Module};
use crate::failure::CardFailure;
use crate::kernel_name::KernelName;
use crate::table::{self, KernelVariant, ParameterKind, Tile};
use crate::times::KernelTimes;
use afterimage_core::{Error, Result};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// All kernels that a card can run.
pub(crate) struct Kernels {
    context: Arc<CudaContext>,
    variants: Vec<LoadedKernel>,
    /// Numbers of these by name.
    by_name: HashMap<&'static str, usize>,
    /// What was looked for before.
    resolved: RwLock<HashMap<KernelName, Resolved>>,
    /// Somebody wanted a kernel that is not there, or struck.
    missed: AtomicBool,
    pub times: KernelTimes,
}

/// The kernels of a name, by number.
#[derive(Clone, Copy)]
struct Resolved {
    /// For all operands.
    plain: Option<usize>,
    /// For aligned ones.
    aligned: Option<usize>,
}

/// One of them.
pub(crate) struct LoadedKernel {
    pub variant: KernelVariant,
    module: OnceLock<Module>,
    /// Failed its self-test: nobody may use it.
    struck: AtomicBool,
    /// Launched since somebody asked.
    launched: AtomicBool,
}

impl Kernels {
    /// Those for a card of this compute capability.
    ///
    /// # Errors
    /// [`Error::Internal`] when the embedded table is damaged.
    pub fn new(context: &Arc<CudaContext>, capability: (u32, u32)) -> Result<Self> {
        let kernel = |variant: KernelVariant| LoadedKernel {
            variant,
            module: OnceLock::new(),
            struck: AtomicBool::new(false),
            launched: AtomicBool::new(false),
        };
        let variants: Vec<LoadedKernel> = table::variants(capability)?.into_iter().map(kernel).collect();
        let by_name = variants.iter().enumerate().map(|(number, kernel)| (kernel.variant.name, number)).collect();
        let resolved = RwLock::default();
        Ok(Self {
            context: Arc::clone(context),
            variants,
            by_name,
            resolved,
            missed: AtomicBool::new(false),
            times: KernelTimes::default(),
        })
    }

    /// The kernel of a name for all operands, unless it is struck.
    pub fn find(&self, name: KernelName) -> Option<&LoadedKernel> {
        self.usable(self.resolve(name).plain)
    }

    /// The kernel of a name for aligned operands where these are, unless it is struck.
    pub fn find_aligned(&self, name: KernelName, arguments: &KernelArguments) -> Option<&LoadedKernel> {
        self.usable(self.resolve(name).aligned).filter(|kernel| kernel.accepts(arguments))
    }

    fn usable(&self, number: Option<usize>) -> Option<&LoadedKernel> {
        self.variants.get(number?).filter(|kernel| !kernel.struck.load(Ordering::Relaxed))
    }

    /// The kernels of a name, put together once.
    fn resolve(&self, name: KernelName) -> Resolved {
        let known = self.resolved.read().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
        known.unwrap_or_else(|| {
            let of = |name: &str| self.by_name.get(name).copied();
            let text = name.to_string();
            let found = Resolved { plain: of(&text), aligned: of(&format!("{text}.aligned")) };
            self.resolved.write().unwrap_or_else(PoisonError::into_inner).insert(name, found);
            found
        })
    }

    /// Nobody uses the kernel of this name any more.
    pub fn strike(&self, name: &str) {
        if let Some(kernel) = self.by_name.get(name).and_then(|number| self.variants.get(*number)) {
            kernel.struck.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that somebody could not go on without a kernel.
    pub fn note_missing(&self) {
        self.missed.store(true, Ordering::Relaxed);
    }

    /// Whether somebody could not, since [`Kernels::forget_launches`].
    pub fn was_missing(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// What is launched from here on is what [`Kernels::launched`] names.
    pub fn forget_launches(&self) {
        self.missed.store(false, Ordering::Relaxed);
        self.variants.iter().for_each(|kernel| kernel.launched.store(false, Ordering::Relaxed));
    }

    /// The kernels that were launched, or that were to be, copies first: whatever an operation is, they bring its numbers.
    pub fn launched(&self) -> Vec<&'static str> {
        let launched = self.variants.iter().filter(|kernel| kernel.launched.load(Ordering::Relaxed));
        let mut names: Vec<_> = launched.map(|kernel| kernel.variant.name).collect();
        names.sort_by_key(|name| (!name.starts_with("copy"), *name));
        names
    }

    /// Loads a kernel unless it is loaded.
    fn module<'a>(&self, kernel: &'a LoadedKernel) -> Result<&'a Module> {
        if let Some(module) = kernel.module.get() {
            return Ok(module);
        }
        let variant = &kernel.variant;
        let entry = CString::new(variant.entry).map_err(|_| Error::internal("a kernel's name"))?;
        let image = table::image(variant)?;
        let module = Module::load(&self.context, &image, &entry, variant.built.shared)
            .map_err(|error| CardFailure::in_kernel(variant.name, error))?;
        // Two threads may load it; one is kept.
        Ok(kernel.module.get_or_init(|| module))
    }

    /// Runs a kernel on `grid` blocks.
    ///
    /// # Errors
    /// [`Error::Internal`] when arguments are not what it wants, [`Error::Device`] when the card fails.
    ///
    /// # Safety
    /// The addresses among `arguments` are of memory of the sizes that the kernel reads and writes, for these numbers.
    pub unsafe fn launch(
        &self,
        stream: &CudaStream,
        kernel: &LoadedKernel,
        grid: [u32; 3],
        arguments: &KernelArguments,
    ) -> Result<()> {
        let variant = &kernel.variant;
        if arguments.kinds() != variant.parameters {
            let (given, wanted) = (arguments.kinds().len(), variant.parameters.len());
            return Err(Error::internal(format!("kernel {}: {given} arguments, expected {wanted}", variant.name)));
        }
        if grid.contains(&0) {
            return Ok(());
        }
        kernel.launched.store(true, Ordering::Relaxed);
        let module = self.module(kernel)?;
        let mut pointers = [null_mut::<c_void>(); MOST];
        for (pointer, value) in pointers.iter_mut().zip(&arguments.values) {
            *pointer = std::ptr::from_ref(value).cast_mut().cast();
        }
        let (threads, shared) = (32 * variant.built.warps, variant.built.shared);
        let launch = || {
            // SAFETY: a slot for each parameter, of its kind, checked above, and zeros for two more; the addresses are the
            // caller's promise.
            unsafe { stream.launch(module.function(), grid, threads, shared, &mut pointers[..arguments.count + 2]) }
        };
        self.times
            .note((&self.context, stream), variant.name, launch)
            .map_err(|error| CardFailure::in_kernel(variant.name, error))
    }
}

impl LoadedKernel {
    /// What a block works on.
    pub fn tile(&self) -> Tile {
        self.variant.built.tile
    }

    /// Whether operands are aligned as this kernel wants them.
    pub fn accepts(&self, arguments: &KernelArguments) -> bool {
        arguments.values.iter().zip(&self.variant.multiples).all(|(value, multiple)| value.is_multiple_of(*multiple))
    }
}

/// More parameters than any kernel has, with the two that Triton adds.
const MOST: usize = 28;

/// A kernel's arguments, in its order.
pub(crate) struct KernelArguments {
    values: [u64; MOST],
    kinds: [ParameterKind; MOST],
    count: usize,
}

impl KernelArguments {
    pub fn new() -> Self {
        Self { values: [0; MOST], kinds: [ParameterKind::Pointer; MOST], count: 0 }
    }

    fn push(mut self, kind: ParameterKind, value: u64) -> Self {
        // Two slots stay free for Triton's own; what does not fit is refused as another number of arguments.
        if self.count < MOST - 2 {
            self.values[self.count] = value;
            self.kinds[self.count] = kind;
            self.count += 1;
        }
        self
    }

    /// An address; 0 where nothing is read.
    pub fn pointer(self, address: u64) -> Self {
        self.push(ParameterKind::Pointer, address)
    }

    /// A number that was checked to fit 31 bits, as everything inside a buffer is.
    pub fn integer(self, value: usize) -> Self {
        self.push(ParameterKind::Integer, u64::from(u32::try_from(value).unwrap_or(u32::MAX)))
    }

    pub fn flag(self, value: bool) -> Self {
        self.integer(usize::from(value))
    }

    pub fn float(self, value: f32) -> Self {
        self.push(ParameterKind::Float, u64::from(value.to_bits()))
    }

    fn kinds(&self) -> &[ParameterKind] {
        &self.kinds[..self.count]
    }
}
