//! NVIDIA's cards: which one is used and how, and what people are told of them.

use crate::kept_self_tests;
use crate::options::DtypeChoice;
use afterimage_core::{Error, Result};
use afterimage_cuda::{Arithmetic, Card, Cuda, CudaOptions, Driver, DriverError, SelfTest};
use afterimage_device::Device;
use serde::Serialize;

/// What `dtype` means on a card.
fn options(dtype: DtypeChoice) -> CudaOptions {
    let arithmetic = match dtype {
        DtypeChoice::F32 => Arithmetic::F32,
        DtypeChoice::Auto | DtypeChoice::Bf16 => Arithmetic::Bf16,
        DtypeChoice::Int8 => Arithmetic::Int8,
        DtypeChoice::Fp8 => Arithmetic::Fp8,
    };
    CudaOptions { arithmetic, ..CudaOptions::default() }
}

/// Card `number`, after its self-test, unless that was passed before.
///
/// # Errors
/// [`afterimage_core::Error::Device`] saying what is there and what would work.
pub(crate) fn open(number: usize, dtype: DtypeChoice) -> Result<Cuda> {
    let cuda = Cuda::open(number, options(dtype))?;
    let card = &cuda.card().name;
    if let Some(passed) = kept_self_tests::find(&cuda) {
        tracing::info!(device = cuda.name(), card, passed, "the card's self-test is known from before");
        return Ok(cuda);
    }
    let SelfTest { struck, passed, missing } = tried(&cuda)?;
    for kernel in &struck {
        let (kernel, problem) = (kernel.name, &kernel.problem);
        tracing::warn!(device = cuda.name(), card, kernel, problem, "a kernel failed its self-test and is not used");
    }
    if let Some(problem) = missing.into_iter().next() {
        return Err(Error::Device { device: cuda.name().to_owned(), problem });
    }
    tracing::info!(device = cuda.name(), card, passed = passed.len(), struck = struck.len(), "self-test of the card");
    Ok(cuda)
}

/// Tries every kernel. That all are right is kept; what is not right is tried again every time, since it may have been the moment's.
fn tried(cuda: &Cuda) -> Result<SelfTest> {
    let test = cuda.self_test()?;
    if test.struck.is_empty() && test.missing.is_empty() {
        kept_self_tests::keep(cuda, &test);
    } else {
        kept_self_tests::forget(cuda);
    }
    Ok(test)
}

/// The first card that can be opened, `None` where there is none. A machine without a driver is nothing to tell of.
pub(crate) fn best(dtype: DtypeChoice) -> Option<Cuda> {
    let cards = match Driver::open().and_then(|driver| driver.cards()) {
        Ok(cards) => cards,
        Err(DriverError::NoLibrary) => return None,
        Err(error) => {
            tracing::warn!(%error, "no card is used");
            return None;
        }
    };
    cards.iter().find_map(|card| match open(card.number, dtype) {
        Ok(cuda) => Some(cuda),
        Err(error) => {
            tracing::warn!(%error, "the card is not used");
            None
        }
    })
}

/// The numbers of all cards that can be used; why one is left out is said in the log.
///
/// # Errors
/// When there is no driver, or none of them can be.
pub(crate) fn usable() -> std::result::Result<Vec<usize>, String> {
    let driver = Driver::open().map_err(|error| error.to_string())?;
    let mut usable = Vec::new();
    for card in driver.cards().map_err(|error| error.to_string())? {
        match card.refusal(driver.version()) {
            None => usable.push(card.number),
            Some(problem) => tracing::warn!(device = format!("cuda:{}", card.number), problem, "the card is not used"),
        }
    }
    if usable.is_empty() { Err("there is no card that can be used; use cpu".to_owned()) } else { Ok(usable) }
}

/// What `afterimage doctor` tells of cards.
#[derive(Debug, Serialize)]
pub struct CardsReport {
    /// The driver's version of CUDA, such as `13.0`; `None` without a driver.
    pub driver: Option<String>,
    /// Why there is no driver, or none that is usable.
    pub problem: Option<String>,
    /// Each card.
    pub cards: Vec<ExaminedCard>,
}

/// One card, tried out.
#[derive(Debug, Serialize)]
pub struct ExaminedCard {
    /// As the driver tells.
    #[serde(flatten)]
    pub card: Card,
    /// Bytes that nobody has; `None` when the card could not be opened.
    pub free_bytes: Option<u64>,
    /// What became of its kernels; `None` when the card could not be opened.
    pub self_test: Option<SelfTest>,
    /// The version of NVIDIA's library for products, cuBLASLt, or why it is not used; `None` when the card could not be opened.
    pub cublaslt: Option<String>,
    /// Seconds that the self-test took.
    pub seconds: f64,
    /// Why it is not used.
    pub problem: Option<String>,
}

/// Looks at driver and cards, and tries every card's kernels with `dtype`.
pub fn examine_cards(dtype: DtypeChoice) -> CardsReport {
    let driver = match Driver::open() {
        Ok(driver) => driver,
        Err(error) => return CardsReport { driver: None, problem: Some(error.to_string()), cards: Vec::new() },
    };
    let version = format!("{}.{}", driver.version() / 1000, driver.version() % 1000 / 10);
    match driver.cards() {
        Ok(cards) => {
            let cards = cards.into_iter().map(|card| examine(card, dtype)).collect();
            CardsReport { driver: Some(version), problem: None, cards }
        }
        Err(error) => CardsReport { driver: Some(version), problem: Some(error.to_string()), cards: Vec::new() },
    }
}

fn examine(card: Card, dtype: DtypeChoice) -> ExaminedCard {
    let start = std::time::Instant::now();
    let tried = Cuda::open(card.number, options(dtype))
        .and_then(|cuda| Ok((cuda.free_bytes()?, tried(&cuda)?, cuda.library().to_owned())));
    let seconds = start.elapsed().as_secs_f64();
    let (free_bytes, self_test, cublaslt, problem) = match tried {
        Ok((free, test, library)) => {
            let problem = test.missing.first().cloned();
            (Some(free), Some(test), Some(library), problem)
        }
        Err(error) => (None, None, None, Some(error.to_string())),
    };
    ExaminedCard { card, free_bytes, self_test, cublaslt, seconds, problem }
}
