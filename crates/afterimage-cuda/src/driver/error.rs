//! What a driver can answer beside success.

/// `CUresult`
pub(crate) type DriverStatus = std::ffi::c_int;

/// A failure of the driver, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// No library of a driver on this machine.
    #[error("no NVIDIA driver is installed (libcuda.so.1 is not found)")]
    NoLibrary,
    /// A library without a function that is needed.
    #[error("the NVIDIA driver is too old or damaged: it has no {0}; expected driver 525 or newer")]
    MissingFunction(String),
    /// A driver from before CUDA 12.
    #[error("the NVIDIA driver is too old: it offers CUDA {}.{}, expected 12.0 (driver 525) or newer", .0 / 1000, .0 % 1000 / 10)]
    OldDriver(i32),
    /// A number other than success.
    #[error("{call}: {name} ({status}){}", if detail.is_empty() { String::new() } else { format!(": {detail}") })]
    Call {
        /// The driver's function.
        call: &'static str,
        /// What it answered.
        status: i32,
        /// The number's name, as the driver knows it.
        name: String,
        /// The driver's sentence about it.
        detail: String,
        /// The card that it is about, where it is about one.
        card: Option<usize>,
    },
}

/// `CUDA_ERROR_OUT_OF_MEMORY`
const OUT_OF_MEMORY: DriverStatus = 2;

/// After these nothing works in this process any more (CUDA driver API, `CUresult`: "leaves the process in an inconsistent
/// state"): errors of memory (214, 220), a contained error (226), illegal address, launch time-out, assertion, hardware stack, illegal
/// instruction, misaligned address, invalid address space, invalid program counter, launch failure, leaked tensor memory
/// (700 to 721), a terminated server of several processes (809), an unknown one.
const STICKY: [DriverStatus; 15] = [214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 809, 999];

impl DriverError {
    /// The same about card `number`.
    pub(crate) fn on(mut self, number: usize) -> Self {
        if let Self::Call { card, .. } = &mut self {
            *card = Some(number);
        }
        self
    }

    /// The device that it is about, as people name it.
    pub(crate) fn device(&self) -> String {
        match self {
            Self::Call { card: Some(number), .. } => format!("cuda:{number}"),
            _ => "cuda".to_owned(),
        }
    }

    /// Whether there was no room.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Call { status: OUT_OF_MEMORY, .. })
    }

    /// Whether the process cannot use the card any more.
    pub fn is_sticky(&self) -> bool {
        matches!(self, Self::Call { status, .. } if STICKY.contains(status))
    }
}
