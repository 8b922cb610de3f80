//! Tests on the stand-in driver. A driver's library is found when a process starts, so each test program starts again, once, with
//! the stand-in in its way.

/// Replaces this process with one that finds the stand-in driver, and cuBLASLt if that is wanted. In that one, `load` is asked to
/// load what there is.
pub fn on_the_stand_in(with_cublaslt: bool, load: impl FnOnce() -> bool) {
    use std::os::unix::process::CommandExt;
    static FIRST: std::sync::Mutex<()> = std::sync::Mutex::new(());
    const TABLE: &str = "CUDA_STANDIN_TABLE";
    if std::env::var_os(TABLE).is_some() {
        // Once it is loaded nobody needs the file.
        let loaded = load();
        if let (true, Some(folder)) = (loaded, std::env::var_os("LD_LIBRARY_PATH")) {
            let _ = std::fs::remove_dir_all(folder);
        }
        return;
    }
    // The first test to come here does it for all; nobody leaves this.
    let _first = FIRST.lock();
    let folder = std::env::temp_dir().join(format!("afterimage-standin-{}", std::process::id()));
    afterimage_cuda_standin::install(&folder, &[]).unwrap();
    if with_cublaslt {
        afterimage_cuda_standin::install_cublaslt(&folder).unwrap();
    }
    let error = std::process::Command::new(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env("LD_LIBRARY_PATH", &folder)
        .env(TABLE, concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/table.json"))
        // Work happens when somebody waits for it, as late as on a card, and what was never written is found.
        .env("CUDA_STANDIN", "lazy,strict")
        .exec();
    panic!("{error}");
}
