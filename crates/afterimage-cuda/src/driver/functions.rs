//! The driver's functions that are used, found by name when the library is opened.
//!
//! Declared here instead of taken from a crate of bindings: those that load at run time panic where a function is missing,
//! and their enumerations of errors make an unknown number, which a newer driver may answer, undefined behaviour. The
//! signatures are those of NVIDIA's driver API reference, 64 bits.

use super::error::{DriverError, DriverStatus};
use crate::library_functions::library_functions;
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// `CUdevice`
pub(crate) type CardHandle = c_int;
/// `CUdeviceptr`
pub(crate) type Address = u64;
/// `CUcontext`, `CUstream`, `CUevent`, `CUmodule`, `CUfunction`
pub(crate) type Handle = *mut c_void;

/// Names that the library may have.
const LIBRARIES: [&str; 2] = if cfg!(windows) { ["nvcuda.dll", "nvcuda"] } else { ["libcuda.so.1", "libcuda.so"] };

library_functions! {
    /// The driver's functions, as long as the library that they are in.
    pub(crate) Functions:
    init = b"cuInit\0" (c_uint);
    driver_version = b"cuDriverGetVersion\0" (*mut c_int);
    card_count = b"cuDeviceGetCount\0" (*mut c_int);
    card = b"cuDeviceGet\0" (*mut CardHandle, c_int);
    card_name = b"cuDeviceGetName\0" (*mut c_char, c_int, CardHandle);
    card_uuid = b"cuDeviceGetUuid_v2\0" (*mut [u8; 16], CardHandle);
    card_memory = b"cuDeviceTotalMem_v2\0" (*mut usize, CardHandle);
    card_attribute = b"cuDeviceGetAttribute\0" (*mut c_int, c_int, CardHandle);
    retain_context = b"cuDevicePrimaryCtxRetain\0" (*mut Handle, CardHandle);
    release_context = b"cuDevicePrimaryCtxRelease_v2\0" (CardHandle);
    set_context = b"cuCtxSetCurrent\0" (Handle);
    memory_info = b"cuMemGetInfo_v2\0" (*mut usize, *mut usize);
    allocate = b"cuMemAlloc_v2\0" (*mut Address, usize);
    free = b"cuMemFree_v2\0" (Address);
    allocate_pinned = b"cuMemHostAlloc\0" (*mut *mut c_void, usize, c_uint);
    free_pinned = b"cuMemFreeHost\0" (*mut c_void);
    copy_to_card = b"cuMemcpyHtoDAsync_v2\0" (Address, *const c_void, usize, Handle);
    copy_to_host = b"cuMemcpyDtoHAsync_v2\0" (*mut c_void, Address, usize, Handle);
    create_stream = b"cuStreamCreate\0" (*mut Handle, c_uint);
    destroy_stream = b"cuStreamDestroy_v2\0" (Handle);
    synchronise_stream = b"cuStreamSynchronize\0" (Handle);
    stream_waits = b"cuStreamWaitEvent\0" (Handle, Handle, c_uint);
    create_event = b"cuEventCreate\0" (*mut Handle, c_uint);
    destroy_event = b"cuEventDestroy_v2\0" (Handle);
    record_event = b"cuEventRecord\0" (Handle, Handle);
    synchronise_event = b"cuEventSynchronize\0" (Handle);
    elapsed = b"cuEventElapsedTime\0" (*mut f32, Handle, Handle);
    load_module = b"cuModuleLoadData\0" (*mut Handle, *const c_void);
    unload_module = b"cuModuleUnload\0" (Handle);
    function = b"cuModuleGetFunction\0" (*mut Handle, Handle, *const c_char);
    set_function_attribute = b"cuFuncSetAttribute\0" (Handle, c_int, c_int);
    launch = b"cuLaunchKernel\0" (Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void);
    error_name = b"cuGetErrorName\0" (DriverStatus, *mut *const c_char);
    error_string = b"cuGetErrorString\0" (DriverStatus, *mut *const c_char);
}

impl Functions {
    /// Opens the driver's library.
    ///
    /// # Errors
    /// [`DriverError::NoLibrary`], [`DriverError::MissingFunction`].
    pub fn open() -> Result<Self, DriverError> {
        for name in LIBRARIES {
            // SAFETY: loading the driver runs its initialisers, which is what whoever installed it wants.
            if let Ok(library) = unsafe { Library::new(name) } {
                return Self::find(library).map_err(DriverError::MissingFunction);
            }
        }
        Err(DriverError::NoLibrary)
    }
}

impl Functions {
    /// Success, or what `call` answered.
    ///
    /// # Errors
    /// [`DriverError::Call`]
    pub fn check(&self, call: &'static str, status: DriverStatus) -> Result<(), DriverError> {
        if status == 0 {
            return Ok(());
        }
        let text = |find: unsafe extern "C" fn(DriverStatus, *mut *const c_char) -> DriverStatus| {
            let mut text = std::ptr::null();
            // SAFETY: both functions write the address of a text that lasts, or null.
            let known = unsafe { find(status, &raw mut text) } == 0 && !text.is_null();
            if !known {
                return String::new();
            }
            // SAFETY: as above; it ends with a zero.
            unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
        };
        let name = text(self.error_name);
        let name = if name.is_empty() { "an unknown error".to_owned() } else { name };
        Err(DriverError::Call { call, status, name, detail: text(self.error_string), card: None })
    }
}
