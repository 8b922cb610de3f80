//! One card: its context, and what happens there.

use super::error::DriverError;
use super::functions::{Address, CardHandle, Functions, Handle};
use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

/// `CU_STREAM_NON_BLOCKING`
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_DISABLE_TIMING`
const WITHOUT_TIME: u32 = 2;
/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`
const SHARED_SIZE: c_int = 8;
/// Shared memory that a launch may have without being allowed more.
const SHARED_BY_DEFAULT: u32 = 48 << 10;

/// A card's primary context. Handles of a driver may be used by any thread.
pub(crate) struct CudaContext {
    functions: Arc<Functions>,
    card: CardHandle,
    /// The card's number, for people.
    number: usize,
    handle: Handle,
}

// SAFETY: the driver's functions are safe to be called from any thread with any handle.
unsafe impl Send for CudaContext {}
// SAFETY: as above.
unsafe impl Sync for CudaContext {}

impl CudaContext {
    /// The context of a card.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn new(functions: &Arc<Functions>, card: CardHandle, number: usize) -> Result<Arc<Self>, DriverError> {
        let functions = Arc::clone(functions);
        let mut handle = null_mut();
        // SAFETY: writes one handle.
        let status = unsafe { (functions.retain_context)(&raw mut handle, card) };
        functions.check("cuDevicePrimaryCtxRetain", status).map_err(|error| error.on(number))?;
        Ok(Arc::new(Self { functions, card, number, handle }))
    }

    /// Calls a function with this context current.
    fn call(&self, name: &'static str, call: impl FnOnce(&Functions) -> c_int) -> Result<(), DriverError> {
        self.enter()?;
        self.check(name, call(&self.functions))
    }

    /// Makes this context current in this thread. At every call, which costs little: what another context left current is nobody's
    /// to know.
    fn enter(&self) -> Result<(), DriverError> {
        // SAFETY: the context lives as long as `self`.
        self.check("cuCtxSetCurrent", unsafe { (self.functions.set_context)(self.handle) })
    }

    fn check(&self, name: &'static str, status: c_int) -> Result<(), DriverError> {
        self.functions.check(name, status).map_err(|error| error.on(self.number))
    }

    /// The card as people name it.
    pub fn device(&self) -> String {
        format!("cuda:{}", self.number)
    }

    /// Bytes of memory that nobody has.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn free_bytes(&self) -> Result<u64, DriverError> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two numbers.
        self.call("cuMemGetInfo", |driver| unsafe { (driver.memory_info)(&raw mut free, &raw mut total) })?;
        Ok(free as u64)
    }

    /// Room for `bytes` bytes on the card, at least one; unspecified content.
    ///
    /// # Errors
    /// [`DriverError::Call`], which may say that there is no room.
    pub fn allocate(&self, bytes: usize) -> Result<Address, DriverError> {
        let mut address = 0;
        // SAFETY: writes one address.
        self.call("cuMemAlloc", |driver| unsafe { (driver.allocate)(&raw mut address, bytes.max(1)) })?;
        Ok(address)
    }

    /// Gives room back. What the card still does with it is waited for by the driver.
    ///
    /// # Safety
    /// `address` came from [`CudaContext::allocate`] and is not used afterwards.
    pub unsafe fn free(&self, address: Address) {
        // SAFETY: the caller's promise. A failure here was told by an earlier call.
        let _ = self.call("cuMemFree", |driver| unsafe { (driver.free)(address) });
    }
}

impl Drop for CudaContext {
    fn drop(&mut self) {
        // SAFETY: retained once, by `new`.
        unsafe { (self.functions.release_context)(self.card) };
    }
}

/// A queue of work on a card: one after the other.
pub(crate) struct CudaStream {
    context: Arc<CudaContext>,
    handle: Handle,
}

// SAFETY: as of the context.
unsafe impl Send for CudaStream {}
// SAFETY: as of the context.
unsafe impl Sync for CudaStream {}

impl CudaStream {
    /// An empty queue.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn new(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        let mut handle = null_mut();
        // SAFETY: writes one handle.
        context.call("cuStreamCreate", |driver| unsafe { (driver.create_stream)(&raw mut handle, NON_BLOCKING) })?;
        Ok(Self { context: Arc::clone(context), handle })
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// [`DriverError::Call`], which may be that of any earlier work.
    pub fn synchronise(&self) -> Result<(), DriverError> {
        // SAFETY: the stream lives.
        self.context.call("cuStreamSynchronize", |driver| unsafe { (driver.synchronise_stream)(self.handle) })
    }

    /// Copies bytes to the card. They may be dropped when this returns unless they are pinned.
    ///
    /// # Safety
    /// `to` has room for them; pinned bytes stay as they are until the copy is done.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub unsafe fn copy_to_card(&self, from: &[u8], to: Address) -> Result<(), DriverError> {
        let (start, len) = (from.as_ptr().cast(), from.len());
        // SAFETY: the caller's promise.
        self.context.call("cuMemcpyHtoDAsync", |driver| unsafe { (driver.copy_to_card)(to, start, len, self.handle) })
    }

    /// Copies bytes from the card, and waits for everything before.
    ///
    /// # Safety
    /// `from` has as many bytes.
    ///
    /// # Errors
    /// [`DriverError::Call`], which may be that of any earlier work.
    pub unsafe fn copy_to_host(&self, from: Address, to: &mut [u8]) -> Result<(), DriverError> {
        let (start, len) = (to.as_mut_ptr().cast(), to.len());
        let stream = self.handle;
        // SAFETY: the caller's promise; the bytes are borrowed until the copy is done, below.
        self.context.call("cuMemcpyDtoHAsync", |driver| unsafe { (driver.copy_to_host)(start, from, len, stream) })?;
        self.synchronise()
    }

    /// Runs a kernel after everything before.
    ///
    /// # Safety
    /// `arguments` points at what the kernel's parameters want, and these at memory of the sizes that it reads and writes.
    ///
    /// # Errors
    /// [`DriverError::Call`], which may be that of any earlier work.
    pub unsafe fn launch(
        &self,
        function: Handle,
        grid: [u32; 3],
        threads: u32,
        shared: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<(), DriverError> {
        let [x, y, z] = grid;
        // SAFETY: the caller's promise.
        self.context.call("cuLaunchKernel", |driver| unsafe {
            (driver.launch)(function, x, y, z, threads, 1, 1, shared, self.handle, arguments.as_mut_ptr(), null_mut())
        })
    }

    /// Has `ask` ask a library for work on this queue, with the context current.
    ///
    /// # Errors
    /// [`DriverError::Call`] when the context cannot be used.
    pub fn with_handle<T>(&self, ask: impl FnOnce(Handle) -> T) -> Result<T, DriverError> {
        self.context.enter()?;
        Ok(ask(self.handle))
    }

    /// Has what comes next wait for `event`.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn wait_for(&self, event: &CudaEvent) -> Result<(), DriverError> {
        // SAFETY: both live; flags must be 0.
        self.context.call("cuStreamWaitEvent", |driver| unsafe { (driver.stream_waits)(self.handle, event.handle, 0) })
    }

    /// Records that everything asked so far is done, when it is.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn record(&self, event: &CudaEvent) -> Result<(), DriverError> {
        // SAFETY: both live.
        self.context.call("cuEventRecord", |driver| unsafe { (driver.record_event)(event.handle, self.handle) })
    }
}

impl Drop for CudaStream {
    fn drop(&mut self) {
        // SAFETY: nobody has the handle any more; the driver finishes what is queued.
        let _ = self.context.call("cuStreamDestroy", |driver| unsafe { (driver.destroy_stream)(self.handle) });
    }
}

/// A point in a stream.
pub(crate) struct CudaEvent {
    context: Arc<CudaContext>,
    handle: Handle,
}

// SAFETY: as of the context.
unsafe impl Send for CudaEvent {}
// SAFETY: as of the context.
unsafe impl Sync for CudaEvent {}

impl CudaEvent {
    /// A point that nobody has recorded: nothing waits for it.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn new(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        Self::with_flags(context, WITHOUT_TIME)
    }

    /// The same with the time at which it is reached.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn timed(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        Self::with_flags(context, 0)
    }

    fn with_flags(context: &Arc<CudaContext>, flags: u32) -> Result<Self, DriverError> {
        let mut handle = null_mut();
        // SAFETY: writes one handle.
        context.call("cuEventCreate", |driver| unsafe { (driver.create_event)(&raw mut handle, flags) })?;
        Ok(Self { context: Arc::clone(context), handle })
    }

    /// Milliseconds from an earlier event to this one; both were waited for.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn milliseconds_since(&self, earlier: &Self) -> Result<f32, DriverError> {
        let mut milliseconds = 0.0;
        let (from, to) = (earlier.handle, self.handle);
        let out = &raw mut milliseconds;
        // SAFETY: both live; writes one number.
        self.context.call("cuEventElapsedTime", |driver| unsafe { (driver.elapsed)(out, from, to) })?;
        Ok(milliseconds)
    }

    /// Waits until it is reached.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn synchronise(&self) -> Result<(), DriverError> {
        // SAFETY: the event lives.
        self.context.call("cuEventSynchronize", |driver| unsafe { (driver.synchronise_event)(self.handle) })
    }
}

impl Drop for CudaEvent {
    fn drop(&mut self) {
        // SAFETY: nobody has the handle any more.
        let _ = self.context.call("cuEventDestroy", |driver| unsafe { (driver.destroy_event)(self.handle) });
    }
}

/// A cubin that is loaded, and a function of it.
pub(crate) struct Module {
    context: Arc<CudaContext>,
    image: Handle,
    function: Handle,
}

// SAFETY: as of the context.
unsafe impl Send for Module {}
// SAFETY: as of the context.
unsafe impl Sync for Module {}

impl Module {
    /// Loads a cubin, or PTX that ends with a zero, and finds `entry`, allowed `shared` bytes of shared memory.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn load(context: &Arc<CudaContext>, image: &[u8], entry: &CStr, shared: u32) -> Result<Self, DriverError> {
        let mut handle = null_mut();
        let start = image.as_ptr().cast();
        // SAFETY: the driver reads an image whose length its own header tells; ours are whole.
        context.call("cuModuleLoadData", |driver| unsafe { (driver.load_module)(&raw mut handle, start) })?;
        let mut loaded = Self { context: Arc::clone(context), image: handle, function: null_mut() };
        let function = &raw mut loaded.function;
        // SAFETY: writes one handle.
        context.call("cuModuleGetFunction", |driver| unsafe { (driver.function)(function, handle, entry.as_ptr()) })?;
        if shared > SHARED_BY_DEFAULT {
            // SAFETY: the function was just found.
            context.call("cuFuncSetAttribute", |driver| unsafe {
                (driver.set_function_attribute)(loaded.function, SHARED_SIZE, shared.cast_signed())
            })?;
        }
        Ok(loaded)
    }

    /// For launches, as long as the module.
    pub fn function(&self) -> Handle {
        self.function
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: nobody launches the function any more; the driver waits for what runs.
        let _ = self.context.call("cuModuleUnload", |driver| unsafe { (driver.unload_module)(self.image) });
    }
}

/// Host memory that the card reads without the processor.
pub(crate) struct PinnedMemory {
    context: Arc<CudaContext>,
    start: *mut u8,
    len: usize,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for PinnedMemory {}
// SAFETY: as above; only `&mut self` writes.
unsafe impl Sync for PinnedMemory {}

impl PinnedMemory {
    /// Zeros.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn new(context: &Arc<CudaContext>, len: usize) -> Result<Self, DriverError> {
        let mut start = null_mut();
        // SAFETY: writes one address; flag 0 is plain pinned memory.
        context.call("cuMemHostAlloc", |driver| unsafe { (driver.allocate_pinned)(&raw mut start, len.max(1), 0) })?;
        let start: *mut u8 = start.cast();
        // SAFETY: `len` bytes were just allocated.
        unsafe { start.write_bytes(0, len) };
        Ok(Self { context: Arc::clone(context), start, len })
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes from `new`, written there.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        // SAFETY: from `new`. Whoever copies from it waits before it is dropped.
        let _ = self.context.call("cuMemFreeHost", |driver| unsafe { (driver.free_pinned)(self.start.cast()) });
    }
}
