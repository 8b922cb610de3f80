//! Who may ask a process: those who have the database's secret.

use crate::files::{Purpose, Signer};
use afterimage_jobs::ProcessId;
use afterimage_jobs::remote::DatabaseTime;

/// Seconds that a pass is valid: it goes with one request, so only clocks that differ use it up.
const VALID: i64 = 60;

/// Makes and checks passes. Each is for one process and a minute of the database's clock. Clones share it.
#[derive(Clone, Debug)]
pub struct Passes {
    signer: Signer,
    time: DatabaseTime,
}

impl Passes {
    /// Passes signed by `signer`, valid by `time`.
    pub const fn new(signer: Signer, time: DatabaseTime) -> Self {
        Self { signer, time }
    }

    /// A pass to ask `process`; `None` before the database was heard of.
    pub fn to(&self, process: &ProcessId) -> Option<String> {
        let expires = self.seconds()? + VALID;
        Some(format!("{expires}.{}", self.signer.sign(Purpose::Ask, process.as_str(), expires)))
    }

    /// Whether `pass` lets its bearer ask `process` now.
    pub fn admits(&self, process: &ProcessId, pass: &str) -> bool {
        let Some(now) = self.seconds() else { return false };
        let Some((expires, signature)) = pass.split_once('.') else { return false };
        // One that is valid for longer was not made by us, whatever it is signed with.
        let Some(expires) = expires.parse().ok().filter(|expires| *expires <= now + 2 * VALID) else { return false };
        self.signer.check(Purpose::Ask, process.as_str(), expires, signature, now)
    }

    fn seconds(&self) -> Option<i64> {
        self.time.now().map(|now| now.0.div_euclid(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_jobs::Timestamp;
    use proptest::prelude::*;

    const NOON: i64 = 1_800_000_000_000;

    fn passes(secret: u8, milliseconds: i64) -> Passes {
        let time = DatabaseTime::default();
        time.note(Timestamp(milliseconds));
        Passes::new(Signer::new([secret; 32]), time)
    }

    #[test]
    fn a_pass_is_for_one_process_and_a_minute() {
        let (one, other) = (ProcessId::random(), ProcessId::random());
        let pass = passes(1, NOON).to(&one).unwrap();
        assert!(passes(1, NOON).admits(&one, &pass));
        assert!(passes(1, NOON + 50_000).admits(&one, &pass));
        assert!(passes(1, NOON - 50_000).admits(&one, &pass), "one that heard the database a little earlier");
        assert!(!passes(1, NOON + 60_000).admits(&one, &pass), "old");
        assert!(!passes(1, NOON - 70_000).admits(&one, &pass), "of another time");
        assert!(!passes(1, NOON).admits(&other, &pass), "another process");
        assert!(!passes(2, NOON).admits(&one, &pass), "another database");
        let unheard = Passes::new(Signer::new([1; 32]), DatabaseTime::default());
        assert!(!unheard.admits(&one, &pass));
        assert_eq!(unheard.to(&one), None);
    }

    proptest! {
        #[test]
        fn nothing_else_is_a_pass(text in "[0-9]{0,12}\\.?.{0,50}") {
            prop_assert!(!passes(1, NOON).admits(&ProcessId::random(), &text));
        }
    }
}
