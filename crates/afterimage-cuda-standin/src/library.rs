//! Putting the library where a program looks for NVIDIA's.

use std::io;
use std::path::{Path, PathBuf};

/// The library's file, which cargo builds beside whatever tests depend on this crate.
///
/// # Errors
/// When it is not there, or the program's own path is unknown.
pub fn library_path() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let name = format!("{}afterimage_cuda_standin{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let found = program.ancestors().skip(1).take(3).map(|folder| [folder.join(&name), folder.join("deps").join(&name)]);
    let found = found.flatten().find(|path| path.is_file());
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no {name} near {}", program.display())))
}

/// Puts the library into `folder` as `libcuda.so` and `libcuda.so.1`, without the functions named in `missing`: as an older
/// driver would be. A child process with `LD_LIBRARY_PATH` set to `folder` loads it.
///
/// # Errors
/// When the library is not found, has no such function, or cannot be written.
pub fn install(folder: &Path, missing: &[&str]) -> io::Result<()> {
    let mut bytes = std::fs::read(library_path()?)?;
    for function in missing {
        // The name in the table of exported symbols: under another one nobody finds the function.
        let name = [b"\0", function.as_bytes(), b"\0"].concat();
        let places: Vec<usize> =
            (0..bytes.len().saturating_sub(name.len())).filter(|at| bytes[*at..].starts_with(&name)).collect();
        if places.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no function {function}")));
        }
        for place in places {
            bytes[place + 1] = b'_';
        }
    }
    std::fs::create_dir_all(folder)?;
    for name in ["libcuda.so", "libcuda.so.1"] {
        std::fs::write(folder.join(name), &bytes)?;
    }
    Ok(())
}

/// Has the library stand for cuBLASLt as well, after [`install`] put it into `folder`: the same file under another name, which is
/// loaded once.
///
/// # Errors
/// When it was not installed, or the name cannot be made.
pub fn install_cublaslt(folder: &Path) -> io::Result<()> {
    std::fs::hard_link(folder.join("libcuda.so.1"), folder.join("libcublasLt.so.13"))
}
