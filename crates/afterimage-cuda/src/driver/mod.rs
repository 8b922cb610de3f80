//! NVIDIA's driver, as far as it is used.
//!
//! | file | what |
//! |---|---|
//! | `functions.rs` | the library and its functions |
//! | `error.rs` | what they answer |
//! | `context.rs` | one card: context, streams, events, copies, launches |

mod context;
mod error;
mod functions;

pub(crate) use context::{CudaContext, CudaEvent, CudaStream, Module, PinnedMemory};
pub use error::DriverError;
pub(crate) use functions::{Address, Handle};

use functions::{CardHandle, Functions};
use std::ffi::{CStr, c_int};
use std::sync::{Arc, OnceLock};

/// The first version of CUDA whose cubins ours are: 12.0, driver 525.
const LEAST_VERSION: i32 = 12_000;

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`, `_MINOR`, `_MULTIPROCESSOR_COUNT`,
/// `_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN`
const ATTRIBUTES: [c_int; 4] = [75, 76, 16, 97];

/// The driver of this machine.
#[derive(Clone)]
pub struct Driver {
    functions: Arc<Functions>,
    version: i32,
}

/// What is known of a card before it is used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Card {
    /// Its number, from 0.
    pub number: usize,
    /// As the driver calls it.
    pub name: String,
    /// What tells it from all others; nothing that reports should hold.
    #[serde(skip)]
    pub uuid: [u8; 16],
    /// Compute capability.
    pub capability: (u32, u32),
    /// All its memory, in bytes.
    pub memory_bytes: u64,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// The most shared memory that a block may have, in bytes.
    pub shared_bytes: u32,
}

impl Driver {
    /// The driver, opened and initialised once.
    ///
    /// # Errors
    /// Every kind of [`DriverError`].
    pub fn open() -> Result<Self, DriverError> {
        static DRIVER: OnceLock<Result<Driver, DriverError>> = OnceLock::new();
        DRIVER.get_or_init(Self::initialise).clone()
    }

    fn initialise() -> Result<Self, DriverError> {
        let functions = Functions::open()?;
        let mut version = 0;
        // SAFETY: may be called before `cuInit`; writes one number.
        functions.check("cuDriverGetVersion", unsafe { (functions.driver_version)(&raw mut version) })?;
        if version < LEAST_VERSION {
            return Err(DriverError::OldDriver(version));
        }
        // SAFETY: flags must be 0.
        functions.check("cuInit", unsafe { (functions.init)(0) })?;
        Ok(Self { functions: Arc::new(functions), version })
    }

    /// The version of CUDA that the driver offers: 13000 is 13.0.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// All cards that answer, as the driver numbers them.
    ///
    /// # Errors
    /// [`DriverError::Call`].
    pub fn cards(&self) -> Result<Vec<Card>, DriverError> {
        let mut count = 0;
        // SAFETY: writes one number.
        self.check("cuDeviceGetCount", unsafe { (self.functions.card_count)(&raw mut count) })?;
        let (mut cards, mut failure) = (Vec::new(), None);
        for number in 0..count {
            match self.card(number) {
                Ok(card) => cards.push(card),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            // One that is broken hides no other.
            Some(error) if cards.is_empty() => Err(error),
            _ => Ok(cards),
        }
    }

    fn card(&self, number: c_int) -> Result<Card, DriverError> {
        let functions = &self.functions;
        let handle = self.handle(number)?;
        let mut name = [0; 256];
        // SAFETY: writes at most as many bytes as it is told.
        self.check("cuDeviceGetName", unsafe { (functions.card_name)(name.as_mut_ptr(), 256, handle) })?;
        name[255] = 0;
        // SAFETY: ends with a zero, at the latest there.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        let mut uuid = [0; 16];
        // SAFETY: writes 16 bytes.
        self.check("cuDeviceGetUuid", unsafe { (functions.card_uuid)(&raw mut uuid, handle) })?;
        let mut memory = 0;
        // SAFETY: writes one number.
        self.check("cuDeviceTotalMem", unsafe { (functions.card_memory)(&raw mut memory, handle) })?;
        let mut found = [0; ATTRIBUTES.len()];
        for (value, attribute) in found.iter_mut().zip(ATTRIBUTES) {
            // SAFETY: writes one number.
            let status = unsafe { (functions.card_attribute)(&raw mut *value, attribute, handle) };
            self.check("cuDeviceGetAttribute", status)?;
        }
        let [major, minor, multiprocessors, shared_bytes] = found.map(|value| value.max(0).cast_unsigned());
        Ok(Card {
            number: number as usize,
            name,
            uuid,
            capability: (major, minor),
            memory_bytes: memory as u64,
            multiprocessors,
            shared_bytes,
        })
    }

    /// The context of a card, in which everything happens.
    ///
    /// # Errors
    /// [`DriverError::Call`]
    pub(crate) fn context(&self, number: usize) -> Result<Arc<CudaContext>, DriverError> {
        CudaContext::new(&self.functions, self.handle(number as c_int)?, number)
    }

    fn handle(&self, number: c_int) -> Result<CardHandle, DriverError> {
        let mut handle = 0;
        // SAFETY: writes one number.
        self.check("cuDeviceGet", unsafe { (self.functions.card)(&raw mut handle, number) })?;
        Ok(handle)
    }

    fn check(&self, call: &'static str, status: c_int) -> Result<(), DriverError> {
        self.functions.check(call, status)
    }
}
