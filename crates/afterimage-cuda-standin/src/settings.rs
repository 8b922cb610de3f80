//! The pretended machine and the faults that it shows, from `CUDA_STANDIN`: `key=value` or `key`, separated by commas.
//!
//! | key | what | unless given |
//! |---|---|---|
//! | `cards` | how many; with none `cuInit` returns 100 | 1 |
//! | `capability` | compute capability | 9.0 |
//! | `memory` | bytes of a card (`KiB`, `MiB`, `GiB` behind the number are understood here and below) | 16GiB |
//! | `used` | bytes of it that other programs hold | 0 |
//! | `multiprocessors` | how many a card has | 132 |
//! | `name` | the cards' name | `Stand-in` |
//! | `driver` | version, `13000` for 13.0 | 13000 |
//! | `oom_after` | allocations that would make more live bytes than this fail, whatever `memory` tells | never |
//! | `pools=0` | cards cannot allocate in the order of a stream | they can |
//! | `fail` | `ENTRY:CODE@N`: call number N (from 1 on) of an entry point returns that code; `@N..`: that one and all later ones. With or without `_v2`. Codes that break a real context break this one | nothing |
//! | `fail_card` | the card whose context is current when `fail` happens | any |
//! | `once` | a file: what `fail` tells happens in one process alone, the one that makes it | in each |
//! | `times` | with `once`, how many processes it happens in | 1 |
//! | `missing` | entry points that return 500; they cannot be taken out of the library | none |
//! | `late` | what a launch, or a copy that need not wait, does wrong is told by the next call, not by itself | at once |
//! | `lazy` | these run when somebody waits for them, not before; implies `late` | at once |
//! | `strict` | numbers that were never written are found where a kernel reads them | they are NaN |
//! | `record` | a folder that gets launches as cases for Triton's interpreter | none |
//! | `wrong_library` | products of cuBLASLt leave their bias out | they are right |
//! | `skip_after` | launches after so many, such as those of a self-test, run and check nothing; memory starts as zeros: for measuring the host's time | they run |
//!
//! Several values of `capability`, `memory` and `name`, one a card, of `fail` and of `missing` are separated by `+`.

use crate::status::StandInStatus;

/// An entry point that fails when it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InjectedFailure {
    entry: String,
    status: StandInStatus,
    first: u64,
    and_later: bool,
}

/// See the module.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub(crate) struct StandInSettings {
    pub(crate) cards: usize,
    capabilities: Vec<(u32, u32)>,
    memories: Vec<u64>,
    names: Vec<String>,
    pub(crate) used: u64,
    pub(crate) multiprocessors: i32,
    pub(crate) driver: i32,
    pub(crate) oom_after: Option<u64>,
    pub(crate) pools: bool,
    failures: Vec<InjectedFailure>,
    missing: Vec<String>,
    pub(crate) late: bool,
    pub(crate) lazy: bool,
    pub(crate) strict: bool,
    pub(crate) wrong_library: bool,
    pub(crate) skip_after: Option<u64>,
    pub(crate) record: Option<String>,
    fail_card: Option<usize>,
    once: Option<String>,
    times: usize,
}

impl Default for StandInSettings {
    fn default() -> Self {
        Self {
            cards: 1,
            capabilities: vec![(9, 0)],
            memories: vec![16 << 30],
            names: vec!["Stand-in".to_owned()],
            used: 0,
            multiprocessors: 132,
            driver: 13_000,
            oom_after: None,
            pools: true,
            failures: Vec::new(),
            missing: Vec::new(),
            late: false,
            lazy: false,
            strict: false,
            wrong_library: false,
            skip_after: None,
            record: None,
            fail_card: None,
            once: None,
            times: 1,
        }
    }
}

impl StandInSettings {
    /// Reads the value of the variable; the error names what cannot be understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut settings = Self::default();
        for setting in text.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            settings.set(key, value).ok_or_else(|| format!("cannot understand `{setting}`"))?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "cards" => self.cards = value.parse().ok()?,
            "capability" => self.capabilities = each(value, capability)?,
            "memory" => self.memories = each(value, bytes)?,
            "used" => self.used = bytes(value)?,
            "multiprocessors" => self.multiprocessors = value.parse().ok()?,
            "name" => self.names = value.split('+').map(str::to_owned).collect(),
            "driver" => self.driver = value.parse().ok()?,
            "oom_after" => self.oom_after = Some(bytes(value)?),
            "pools" => self.pools = flag(value)?,
            "fail" => self.failures = each(value, failure)?,
            "missing" => self.missing = value.split('+').map(str::to_owned).collect(),
            "late" => self.late = flag(value)?,
            "lazy" => {
                self.lazy = flag(value)?;
                self.late |= self.lazy;
            }
            "wrong_library" => self.wrong_library = flag(value)?,
            "strict" => self.strict = flag(value)?,
            "fail_card" => self.fail_card = Some(value.parse().ok()?),
            "times" => self.times = value.parse().ok()?,
            "once" => self.once = Some(value.to_owned()),
            "record" => self.record = Some(value.to_owned()),
            "skip_after" => self.skip_after = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Major and minor compute capability of a card.
    pub(crate) fn capability(&self, card: usize) -> (u32, u32) {
        of_card(&self.capabilities, card).copied().unwrap_or((9, 0))
    }

    /// Bytes of a card.
    pub(crate) fn memory(&self, card: usize) -> u64 {
        of_card(&self.memories, card).copied().unwrap_or(0)
    }

    pub(crate) fn name(&self, card: usize) -> &str {
        of_card(&self.names, card).map_or("", String::as_str)
    }

    pub(crate) fn is_missing(&self, entry: &str) -> bool {
        self.missing.iter().any(|missing| same_entry(missing, entry))
    }

    /// What call number `call` of an entry point returns instead of doing its work, with this card current.
    pub(crate) fn failure(&self, entry: &str, call: u64, card: Option<usize>) -> Option<StandInStatus> {
        if self.fail_card.is_some_and(|wanted| card != Some(wanted)) {
            return None;
        }
        let hit = |failure: &&InjectedFailure| {
            same_entry(&failure.entry, entry) && (call == failure.first || failure.and_later && call > failure.first)
        };
        self.failures.iter().find(hit).filter(|_| self.may_fail()).map(|failure| failure.status)
    }

    /// Whether no others failed before, where some alone are to: the file lists them.
    fn may_fail(&self) -> bool {
        let Some(path) = &self.once else { return true };
        let mark = std::process::id().to_string();
        let mut failed = std::fs::read_to_string(path).unwrap_or_default();
        if failed.lines().any(|line| line == mark) {
            return true;
        }
        failed = format!("{failed}{mark}\n");
        failed.lines().count() <= self.times && std::fs::write(path, failed).is_ok()
    }

    /// The most dynamic shared memory that a block may ask for.
    pub(crate) fn shared_memory(&self, card: usize) -> u32 {
        let kib = match self.capability(card) {
            (8, 0 | 7) => 163,
            (8 | 12, _) => 99,
            _ => 227,
        };
        kib << 10
    }
}

/// The value for a card: the last one serves all further cards.
fn of_card<T>(values: &[T], card: usize) -> Option<&T> {
    values.get(card).or(values.last())
}

fn same_entry(name: &str, entry: &str) -> bool {
    name == entry || entry.strip_suffix("_v2").is_some_and(|short| short == name)
}

fn each<T>(value: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    value.split('+').map(parse).collect()
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "" | "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

fn bytes(value: &str) -> Option<u64> {
    let digits = value.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &value[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn capability(value: &str) -> Option<(u32, u32)> {
    let (major, minor) = value.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn failure(value: &str) -> Option<InjectedFailure> {
    let (entry, rest) = value.split_once(':')?;
    let (code, call) = rest.split_once('@').unwrap_or((rest, "1.."));
    let (first, and_later) = call.strip_suffix("..").map_or((call, false), |first| (first, true));
    let (status, first) = (StandInStatus(code.parse().ok()?), first.parse().ok()?);
    Some(InjectedFailure { entry: entry.to_owned(), status, first, and_later })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_understood() {
        let text = "cards=2, capability=8.9+12.0,memory=2GiB+512MiB,used=7KiB,multiprocessors=7,name=One+Two,driver=12020,\
                    oom_after=99,pools=0,fail=cuLaunchKernel:700@3+cuMemAlloc:2@2..,missing=cuMemAllocAsync,lazy,strict,skip_after=5";
        let settings = StandInSettings::parse(text).unwrap();
        assert_eq!((settings.cards, settings.capability(0), settings.capability(1)), (2, (8, 9), (12, 0)));
        assert_eq!((settings.memory(0), settings.memory(1), settings.memory(7)), (2 << 30, 512 << 20, 512 << 20));
        assert_eq!((settings.used, settings.multiprocessors, settings.driver), (7 << 10, 7, 12_020));
        assert_eq!((settings.name(0), settings.name(1), settings.oom_after), ("One", "Two", Some(99)));
        assert!(!settings.pools && settings.late && settings.lazy && settings.strict);
        assert_eq!(settings.skip_after, Some(5));
        let calls = [1, 2, 3, 4];
        assert_eq!(
            calls.map(|n| settings.failure("cuLaunchKernel", n, None).map(|s| s.0)),
            [None, None, Some(700), None]
        );
        let allocations = calls.map(|n| settings.failure("cuMemAlloc_v2", n, Some(0)).map(|s| s.0));
        assert_eq!(allocations, [None, Some(2), Some(2), Some(2)]);
        let of_one = StandInSettings::parse("fail=cuLaunchKernel:700@1..,fail_card=1").unwrap();
        let hit = |card| of_one.failure("cuLaunchKernel", 4, card).map(|status| status.0);
        assert_eq!([hit(None), hit(Some(0)), hit(Some(1))], [None, None, Some(700)]);
        assert!(settings.is_missing("cuMemAllocAsync") && !settings.is_missing("cuMemAlloc_v2"));
        assert_eq!((settings.shared_memory(0), StandInSettings::default().shared_memory(0)), (99 << 10, 227 << 10));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for wrong in ["card=1", "cards=one", "memory=3 apples", "capability=9", "fail=cuInit", "lazy=maybe"] {
            assert_eq!(StandInSettings::parse(wrong).unwrap_err(), format!("cannot understand `{wrong}`"));
        }
        assert_eq!(StandInSettings::parse("").unwrap().cards, 1);
    }
}
