//! A card that is open.

use crate::buffer::{CudaBuffer, MOST_NUMBERS, NumberType};
use crate::cublaslt::CublasLt;
use crate::driver::{Card, CudaContext, CudaStream, Driver, PinnedMemory};
use crate::failure::CardFailure;
use crate::kernels::Kernels;
use crate::memory::{CardMemory, MemoryPool};
use crate::table;
use crate::weight::{CudaWeight, Keeping, Layout, Staging, Streaming, WeightPlace, pack};
use afterimage_core::{Error, Result};
use afterimage_device::Device;
use afterimage_tensors::Matrix;
use std::sync::Arc;

/// The least compute capability that kernels are for: Ampere, with bf16.
const LEAST_CAPABILITY: (u32, u32) = (8, 0);

/// Memory of the card that stays free: kernels that are loaded, fragments, what a desktop asks for meanwhile.
const LEFT_FREE: u64 = 512 << 20;

/// What products are made of. Sums are f32, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// f32, and activations as well: equals the processor's.
    F32,
    /// bf16, and activations between operations as well.
    #[default]
    Bf16,
    /// As [`Arithmetic::Bf16`]; weights that are stored as 8-bit floats are multiplied as such by rows that are rounded to them,
    /// where the card can.
    Fp8,
    /// As [`Arithmetic::Bf16`]; weights of 8-bit integers that have one factor a row are multiplied as such by rows that are rounded
    /// to them.
    Int8,
}

/// How a card is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct CudaOptions {
    /// What products are made of.
    pub arithmetic: Arithmetic,
    /// The most memory to take, in bytes.
    pub memory_limit: Option<u64>,
}

/// An NVIDIA card. Operations are queued one after the other; only reading waits.
pub struct Cuda {
    pub(crate) name: String,
    pub(crate) card: Card,
    driver_version: i32,
    pub(crate) arithmetic: Arithmetic,
    pub(crate) kernels: Kernels,
    /// NVIDIA's library for products, where it is used.
    pub(crate) library: Option<CublasLt>,
    /// What there is to tell of it.
    library_note: String,
    pub(crate) pool: Arc<MemoryPool>,
    streaming: Arc<Streaming>,
    staging: Staging,
    /// What may be taken of the card's memory.
    pub(crate) usable_bytes: u64,
    pub(crate) stream: Arc<CudaStream>,
    pub(crate) context: Arc<CudaContext>,
}

impl Cuda {
    /// Opens card `number` of this machine.
    ///
    /// # Errors
    /// [`Error::Device`] when there is no driver, no such card, or one that is too old.
    pub fn open(number: usize, options: CudaOptions) -> Result<Self> {
        let name = format!("cuda:{number}");
        let refusal = |problem: String| Error::Device { device: name.clone(), problem };
        let driver = Driver::open().map_err(|error| refusal(error.to_string()))?;
        let cards = driver.cards().map_err(|error| refusal(error.to_string()))?;
        let Some(card) = cards.iter().find(|card| card.number == number).cloned() else {
            return Err(refusal(no_such_card(&cards)));
        };
        if let Some(problem) = card.refusal(driver.version()) {
            return Err(refusal(problem));
        }
        let context = driver.context(number).map_err(|error| refusal(error.to_string()))?;
        let stream = Arc::new(CudaStream::new(&context).map_err(CardFailure::of)?);
        let kernels = Kernels::new(&context, card.capability)?;
        let (library, library_note) = open_library(&context, &stream, card.capability, options.arithmetic)?;
        let free = context.free_bytes().map_err(CardFailure::of)?;
        let free = free.saturating_sub(LEFT_FREE);
        let taken = library.as_ref().map_or(0, CublasLt::own_bytes);
        let usable_bytes = options.memory_limit.map_or(free, |limit| limit.saturating_sub(taken).min(free));
        let pool = MemoryPool::new(&context, &stream, usable_bytes);
        let streaming = Streaming::new(&context, &stream, &pool)?;
        let staging = Staging::new(&context, &stream);
        Ok(Self {
            name,
            card,
            driver_version: driver.version(),
            arithmetic: options.arithmetic,
            kernels,
            library,
            library_note,
            pool,
            streaming,
            staging,
            usable_bytes,
            stream,
            context,
        })
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What a self-test's outcome depends on: program, kernels, arithmetic, driver, card.
    pub fn kernels_key(&self) -> String {
        let Card { name, uuid, capability: (major, minor), .. } = &self.card;
        let uuid = u128::from_be_bytes(*uuid);
        // Releases of the driver that offer the same CUDA differ in their compilers.
        let release = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
        format!(
            "afterimage {}, kernels {:016x}, cuBLASLt {}, {}, CUDA {}, {release}, card {uuid:032x}, {name}, {major}.{minor}",
            env!("CARGO_PKG_VERSION"),
            table::fingerprint(),
            self.library_note,
            self.arithmetic(),
            self.driver_version
        )
    }

    /// The version of NVIDIA's library for products, or why it is not used.
    pub fn library(&self) -> &str {
        &self.library_note
    }

    /// The most memory that was in use at once, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.pool.peak_bytes()
    }

    /// Bytes of the card's memory that nobody has.
    ///
    /// # Errors
    /// [`Error::Device`]
    pub fn free_bytes(&self) -> Result<u64> {
        self.context.free_bytes().map_err(CardFailure::of)
    }

    /// Whether nothing is rounded below f32.
    pub(crate) fn is_exact(&self) -> bool {
        self.arithmetic == Arithmetic::F32
    }

    /// How activations between operations are kept.
    pub(crate) fn working(&self) -> NumberType {
        if self.is_exact() { NumberType::F32 } else { NumberType::Bf16 }
    }

    /// A buffer of so many numbers.
    pub(crate) fn buffer(&self, numbers: usize, number: NumberType) -> Result<CudaBuffer> {
        if numbers > MOST_NUMBERS {
            return Err(Error::Device {
                device: self.name.clone(),
                problem: format!("a buffer of {numbers} numbers; at most {MOST_NUMBERS} fit, use a smaller size"),
            });
        }
        Ok(CudaBuffer::new(self.pool.allocate(numbers * number.bytes())?, numbers, number))
    }

    /// Bytes of the host in memory of the card.
    pub(crate) fn uploaded(&self, bytes: &[u8]) -> Result<CardMemory> {
        let memory = self.pool.allocate(bytes.len())?;
        // SAFETY: as many bytes were allocated.
        unsafe { self.copy_and_wait(bytes, memory.address()) }?;
        Ok(memory)
    }

    /// Copies bytes that may go away afterwards. Of memory that is not pinned the driver may return before it was read, on machines
    /// whose card reads it itself.
    ///
    /// # Safety
    /// `to` has room for them.
    pub(crate) unsafe fn copy_and_wait(&self, bytes: &[u8], to: u64) -> Result<()> {
        // SAFETY: the caller's promise; waited for below, before the bytes can go.
        unsafe { self.stream.copy_to_card(bytes, to) }.map_err(CardFailure::of)?;
        self.stream.synchronise().map_err(CardFailure::of)
    }

    /// Takes a weight over, for convolutions: they are made of floats.
    pub(crate) fn take_kernel_over(&self, matrix: &Matrix) -> Result<CudaWeight> {
        self.take_over_as(matrix, Layout::of_floats(matrix, self.is_exact()))
    }

    /// Takes a weight over.
    pub(crate) fn take_over(&self, matrix: &Matrix) -> Result<CudaWeight> {
        self.take_over_as(matrix, Layout::of(matrix, self.keeping()))
    }

    /// What weights are kept for. Kernels that failed their self-test are none.
    fn keeping(&self) -> Keeping {
        match self.arithmetic {
            Arithmetic::F32 => Keeping::Exact,
            Arithmetic::Int8 if self.has_integer_products() => Keeping::RowsOfIntegers,
            Arithmetic::Int8 | Arithmetic::Bf16 | Arithmetic::Fp8 => Keeping::Rounded,
        }
    }

    fn take_over_as(&self, matrix: &Matrix, layout: Layout) -> Result<CudaWeight> {
        let (rows, cols) = (matrix.rows(), matrix.cols());
        let place = if matrix.is_streamed() {
            let mut bytes = PinnedMemory::new(&self.context, layout.bytes).map_err(CardFailure::of)?;
            pack(matrix, &layout, bytes.bytes_mut());
            WeightPlace::Streamed(self.streaming.keep(bytes))
        } else {
            let memory = self.pool.allocate_lasting(layout.bytes)?;
            // SAFETY: as many bytes were allocated.
            unsafe { self.staging.copy(layout.bytes, memory.address(), |bytes| pack(matrix, &layout, bytes)) }?;
            WeightPlace::Resident(memory)
        };
        matrix.used();
        Ok(CudaWeight { rows, cols, layout, place })
    }
}

/// The library for products of fewer bits than f32, and what there is to tell of it.
fn open_library(
    context: &Arc<CudaContext>,
    stream: &Arc<CudaStream>,
    capability: (u32, u32),
    arithmetic: Arithmetic,
) -> Result<(Option<CublasLt>, String)> {
    if arithmetic == Arithmetic::F32 {
        return Ok((None, "not used for f32".to_owned()));
    }
    Ok(match CublasLt::open(context, stream, capability).map_err(CardFailure::of)? {
        Ok(library) => {
            let version = library.version();
            (Some(library), version)
        }
        Err(note) => (None, note),
    })
}

impl Card {
    /// Why a driver of this version cannot use the card with what is in this program, if it is known before trying.
    pub fn refusal(&self, version: i32) -> Option<String> {
        if self.capability < LEAST_CAPABILITY {
            let (major, minor) = self.capability;
            return Some(format!(
                "{} has compute capability {major}.{minor}; expected 8.0 (Ampere) or newer, or --device cpu",
                self.name
            ));
        }
        too_old(self, version)
    }
}

/// Why a driver cannot load what there is for a card: the newer targets' cubins are of CUDA 13, the text for the others of 12.9.
fn too_old(card: &Card, version: i32) -> Option<String> {
    let (least, release) = match card.capability {
        (8, minor) if minor != 7 => (12_000, "525"),
        (9 | 10 | 12, 0) => (13_000, "580"),
        _ => (12_090, "575"),
    };
    (version < least).then(|| {
        let shown = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
        format!(
            "{} needs a driver that offers CUDA {} (driver {release}) or newer, this one offers {}",
            card.name,
            shown(least),
            shown(version)
        )
    })
}

fn no_such_card(cards: &[Card]) -> String {
    if cards.is_empty() {
        return "the driver finds no card; use --device cpu".to_owned();
    }
    let names: Vec<String> = cards.iter().map(|card| format!("cuda:{} ({})", card.number, card.name)).collect();
    format!("there is no such card; this machine has {}", names.join(", "))
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Kernels and memory go next: nothing may run that uses them. A failure was told by an earlier call.
        let _ = self.stream.synchronise();
    }
}
