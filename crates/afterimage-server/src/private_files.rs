//! Files of the server that only its own user may read.

/// Makes every file and folder that this process creates from now on readable by its own user only, whatever the umask
/// was: 600 and 700. Child processes inherit it. To be called before threads start.
pub fn keep_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}
