//! The library as programs load it.

#![cfg(target_os = "linux")]

use afterimage_cuda_standin::{StandInReport, install};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::process::Command;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// `RTLD_NOW`
const NOW: c_int = 2;

fn open(path: &Path) -> *mut c_void {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
    // SAFETY: the library has no initialisers.
    let library = unsafe { dlopen(path.as_ptr(), NOW) };
    assert!(!library.is_null(), "{path:?}");
    library
}

fn symbol(library: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: the library is open.
    unsafe { dlsym(library, name.as_ptr()) }
}

/// What the child process of the next test does.
#[test]
fn child() {
    let Some(folder) = std::env::var_os("STANDIN_CHILD") else { return };
    let library = open(&Path::new(&folder).join("libcuda.so.1"));
    // SAFETY: `cuInit` has this signature.
    let init: extern "C" fn(u32) -> i32 = unsafe { std::mem::transmute(symbol(library, c"cuInit")) };
    // SAFETY: `cuDeviceGetCount` has this signature.
    let count: extern "C" fn(&mut i32) -> i32 = unsafe { std::mem::transmute(symbol(library, c"cuDeviceGetCount")) };
    let mut cards = 0;
    assert_eq!((init(0), count(&mut cards), cards), (0, 0, 3));
    assert!(symbol(library, c"cuMemHostAlloc").is_null(), "taken out");
    assert!(!symbol(library, c"cuLaunchKernel").is_null());
}

#[test]
fn a_program_loads_it_with_its_settings_and_leaves_a_report() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), &["cuMemHostAlloc"]).unwrap();
    assert!(install(folder.path(), &["cuNothing"]).is_err());
    let report = folder.path().join("report-{pid}.json");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child"])
        .env("STANDIN_CHILD", folder.path())
        .env("CUDA_STANDIN", "cards=3")
        .env("CUDA_STANDIN_REPORT", &report)
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    let text = std::fs::read(folder.path().join(format!("report-{}.json", child.id()))).unwrap();
    let report: StandInReport = serde_json::from_slice(&text).unwrap();
    assert_eq!((report.cards.len(), report.calls["cuInit"], report.complaints.len()), (3, 1, 0));
}
