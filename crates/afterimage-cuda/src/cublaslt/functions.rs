//! The functions of cuBLASLt that are used.
//!
//! Signatures and numbers are those of NVIDIA's cuBLAS reference, sections "cuBLASLt datatypes" and "cuBLASLt API", which releases
//! 12 and 13 share.

use crate::driver::{Address, Handle};
use crate::library_functions::library_functions;
use libloading::Library;
use std::ffi::{OsString, c_int, c_void};
use std::sync::OnceLock;

/// The library's file, which is looked for as any library is; `off` for none.
const VARIABLE: &str = "AFTERIMAGE_CUBLASLT";

/// Names that the library may have, the newest release first.
const LIBRARIES: [&str; 3] = if cfg!(windows) {
    ["cublasLt64_13.dll", "cublasLt64_12.dll", "cublasLt64.dll"]
} else {
    ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"]
};

/// The first release with all that is asked of it: 12.0, as the least driver.
const LEAST_VERSION: usize = 120_000;

/// `cublasLtMatmulAlgo_t`: opaque, 64 bytes.
pub(super) type Algorithm = [u64; 8];

/// `cublasLtMatmulHeuristicResult_t`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChosenAlgorithm {
    pub algorithm: Algorithm,
    /// Bytes of memory that it works in.
    pub workspace: usize,
    pub status: c_int,
    waves: f32,
    reserved: [c_int; 4],
}

library_functions! {
    /// Those that answer with a `cublasStatus_t`.
    pub(super) CublasLtFunctions:
    create = b"cublasLtCreate\0" (*mut Handle);
    destroy = b"cublasLtDestroy\0" (Handle);
    create_product = b"cublasLtMatmulDescCreate\0" (*mut Handle, c_int, c_int);
    set_product = b"cublasLtMatmulDescSetAttribute\0" (Handle, c_int, *const c_void, usize);
    destroy_product = b"cublasLtMatmulDescDestroy\0" (Handle);
    create_layout = b"cublasLtMatrixLayoutCreate\0" (*mut Handle, c_int, u64, u64, i64);
    destroy_layout = b"cublasLtMatrixLayoutDestroy\0" (Handle);
    create_preference = b"cublasLtMatmulPreferenceCreate\0" (*mut Handle);
    set_preference = b"cublasLtMatmulPreferenceSetAttribute\0" (Handle, c_int, *const c_void, usize);
    destroy_preference = b"cublasLtMatmulPreferenceDestroy\0" (Handle);
    choose = b"cublasLtMatmulAlgoGetHeuristic\0" (Handle, Handle, Handle, Handle, Handle, Handle, Handle, c_int, *mut ChosenAlgorithm, *mut c_int);
    multiply = b"cublasLtMatmul\0" (
        Handle, Handle, *const f32, Address, Handle, Address, Handle, *const f32, Address, Handle, Address, Handle,
        *const Algorithm, Address, usize, Handle,
    );
}

/// Whether the library is asked for, and what there is of it.
pub(super) enum FoundLibrary {
    /// Turned off.
    Unwanted,
    /// None is installed.
    Missing,
    /// One that cannot be used, and why.
    Unusable(String),
    /// The functions of each that is installed, the newest first: one may be too new for the driver.
    Usable(Vec<CublasLtRelease>),
}

/// One release of the library.
pub(super) struct CublasLtRelease {
    pub functions: CublasLtFunctions,
    /// 130100 is 13.1.0.
    pub version: usize,
}

impl FoundLibrary {
    /// What there is, looked for once: a library of this size is not unloaded again.
    pub fn get() -> &'static Self {
        static FOUND: OnceLock<FoundLibrary> = OnceLock::new();
        FOUND.get_or_init(CublasLtFunctions::open)
    }
}

impl CublasLtFunctions {
    /// Looks for the library.
    fn open() -> FoundLibrary {
        let wanted = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        if wanted.as_ref().is_some_and(|name| name == "off") {
            return FoundLibrary::Unwanted;
        }
        let mut names: Vec<OsString> = LIBRARIES.map(OsString::from).to_vec();
        if let Some(name) = &wanted {
            names = vec![name.clone()];
        }
        let (mut found, mut missing, mut unusable) = (Vec::<CublasLtRelease>::new(), None, None);
        for name in names {
            // SAFETY: loading the library runs its initialisers, which is what whoever installed it wants.
            match unsafe { Library::new(&name) } {
                Err(error) => missing = Some(reason(&error)),
                Ok(library) => match Self::usable(library) {
                    Err(problem) => unusable = Some(problem),
                    // The name without a number is one of the others, as a rule.
                    Ok(release) if found.iter().all(|other| other.version != release.version) => found.push(release),
                    Ok(_) => {}
                },
            }
        }
        // A library that somebody named has to be there; one that nobody asked for need not.
        match (unusable, missing.filter(|_| wanted.is_some())) {
            _ if !found.is_empty() => FoundLibrary::Usable(found),
            (Some(problem), _) => FoundLibrary::Unusable(problem),
            (None, Some(problem)) => FoundLibrary::Unusable(format!("{VARIABLE}: {problem}")),
            (None, None) => FoundLibrary::Missing,
        }
    }

    /// What a library has to have.
    fn usable(library: Library) -> Result<CublasLtRelease, String> {
        // SAFETY: the function of this name has this signature.
        let version = unsafe { library.get::<unsafe extern "C" fn() -> usize>(b"cublasLtGetVersion\0") };
        // SAFETY: may be called at any time.
        let version = version.map(|version| unsafe { version() });
        let version = version.map_err(|_| "the library has no cublasLtGetVersion".to_owned())?;
        if version < LEAST_VERSION {
            return Err(format!("release {}, expected 12.0 or newer", shown(version)));
        }
        let functions = Self::find(library).map_err(|name| format!("the library has no {name}"))?;
        Ok(CublasLtRelease { functions, version })
    }
}

/// What the system says of a library that it does not load.
fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// A version as people write it: 120903 and 130100 are 12.9.3 and 13.1.0.
pub(super) fn shown(version: usize) -> String {
    format!("{}.{}.{}", version / 10_000, version % 10_000 / 100, version % 100)
}

/// The name of a `cublasStatus_t`.
pub(super) fn status_name(status: c_int) -> &'static str {
    match status {
        1 => "CUBLAS_STATUS_NOT_INITIALIZED",
        3 => "CUBLAS_STATUS_ALLOC_FAILED",
        7 => "CUBLAS_STATUS_INVALID_VALUE",
        8 => "CUBLAS_STATUS_ARCH_MISMATCH",
        11 => "CUBLAS_STATUS_MAPPING_ERROR",
        13 => "CUBLAS_STATUS_EXECUTION_FAILED",
        14 => "CUBLAS_STATUS_INTERNAL_ERROR",
        15 => "CUBLAS_STATUS_NOT_SUPPORTED",
        _ => "an unknown status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_writes_has_its_size() {
        // cublasLt.h: 64 bytes of algorithm, size_t, status, float, int[4].
        assert_eq!(size_of::<ChosenAlgorithm>(), 96);
        assert_eq!(std::mem::offset_of!(ChosenAlgorithm, status), 72);
    }

    #[test]
    fn versions_are_shown_as_people_write_them() {
        assert_eq!((shown(120_903), shown(130_100)), ("12.9.3".to_owned(), "13.1.0".to_owned()));
    }
}
