//! `afterimage doctor`: what there is to compute with, what was tried, what would be used and why not.

use crate::failure::CommandFailure;
use crate::origin::Origins;
use crate::output::{print_json, print_text};
use crate::values;
use afterimage_engine::{CardsReport, DtypeChoice, ExaminedCard, SelfTest, examine_cards, usable_cores, usable_memory};
use afterimage_kernels::simd::Isa;
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;

/// Show what there is to compute with, and try every kernel of the cards
///
/// Names the driver, each card with its memory and the outcome of its self-test, and what `--device auto` takes. Kernels are
/// compiled ahead of time; each is compared with the processor on your own card before anything is made with it, and one
/// that gives other numbers is not used. Other commands keep for later that all were right; this one tries them every time. Exits with 0 also where there is no card.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Arithmetic whose kernels are tried
    #[arg(long, env = "AFTERIMAGE_DTYPE", hide_env_values = true, value_enum, default_value_t)]
    dtype: DtypeChoice,

    /// Print one JSON object instead of lines
    ///
    /// Its fields: `processor` (`instructions`, `cores`, `memory_bytes`), `driver`, `problem`, `cards` (of each `number`, `name`,
    /// `capability`, `memory_bytes`, `free_bytes`, `self_test` with `passed` and `struck`, `cublaslt`, `problem`), `auto` (the device that `--device auto`
    /// takes).
    #[arg(long, env = "AFTERIMAGE_JSON", hide_env_values = true, value_parser = values::switch)]
    json: bool,
}

/// The object of `--json`.
#[derive(Serialize)]
struct DoctorReport {
    processor: ProcessorReport,
    #[serde(flatten)]
    cards: CardsReport,
    auto: String,
}

#[derive(Serialize)]
struct ProcessorReport {
    instructions: &'static str,
    cores: usize,
    memory_bytes: Option<u64>,
}

impl Doctor {
    /// Runs the command.
    pub fn run(&self, _origins: &Origins) -> Result<(), CommandFailure> {
        let cards = examine_cards(self.dtype);
        let usable = cards.cards.iter().find(|card| card.problem.is_none());
        let auto = usable.map_or_else(|| "cpu".to_owned(), |card| format!("cuda:{}", card.card.number));
        let processor = ProcessorReport {
            instructions: Isa::detect().name(),
            cores: usable_cores().map_or(1, usize::from),
            memory_bytes: usable_memory(),
        };
        let report = DoctorReport { processor, cards, auto };
        if self.json { print_json(&report) } else { print_text(&report.text()) }
    }
}

impl DoctorReport {
    fn text(&self) -> String {
        let ProcessorReport { instructions, cores, memory_bytes } = self.processor;
        let mut text = format!("processor: {cores} cores, {instructions}");
        if let Some(bytes) = memory_bytes {
            let _ = write!(text, ", {} of memory", gigabytes(bytes));
        }
        let _ = match (&self.cards.driver, &self.cards.problem) {
            (_, Some(problem)) => write!(text, "\nNVIDIA driver: {problem}"),
            (Some(version), None) => write!(text, "\nNVIDIA driver: CUDA {version}"),
            (None, None) => Ok(()),
        };
        if self.cards.driver.is_some() && self.cards.cards.is_empty() {
            text.push_str("\nno card");
        }
        for card in &self.cards.cards {
            text.push_str(&card_text(card));
        }
        let _ = write!(text, "\n--device auto takes {}", self.auto);
        text
    }
}

fn card_text(examined: &ExaminedCard) -> String {
    let ExaminedCard { card, free_bytes, self_test, cublaslt, seconds, problem } = examined;
    let (major, minor) = card.capability;
    let mut text = format!(
        "\ncuda:{}: {}, compute capability {major}.{minor}, {} of memory",
        card.number,
        card.name,
        gigabytes(card.memory_bytes)
    );
    if let Some(free) = free_bytes {
        let _ = write!(text, ", {} free", gigabytes(*free));
    }
    if let Some(library) = cublaslt {
        let served = self_test.iter().flat_map(SelfTest::library_products).count();
        let _ = write!(text, "\n  cuBLASLt: {library}");
        if served > 0 {
            let _ = write!(text, ", {served} kinds of products");
        }
    }
    if let Some(test) = self_test {
        let _ = write!(
            text,
            "\n  self-test, run now: {} kernels right, {} not, {seconds:.1} s",
            test.passed.len(),
            test.struck.len()
        );
        for kernel in &test.struck {
            let _ = write!(text, "\n  not used: {}: {}", kernel.name, kernel.problem);
        }
    }
    if let Some(problem) = problem {
        let _ = write!(text, "\n  not used: {problem}");
    }
    text
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
