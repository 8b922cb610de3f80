//! The progress bar of transfers from the hub and of checking what came.

use crate::cancel;
use afterimage_hub::{Licence, PullObserver, RepositoryName};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::Duration;

/// What stands in the line of a transfer whose length is known.
const TEMPLATE: &str = "{msg} {bar:30} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";

/// Shows how many bytes have come, and passes Ctrl-C on. Nothing is shown where nobody looks.
pub struct PullProgress {
    bar: ProgressBar,
}

impl PullProgress {
    /// Draws on standard error when that is a terminal and `quiet` is not set.
    pub fn new(quiet: bool) -> Self {
        let shown = !quiet && io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::default_spinner());
        bar.set_message("asking the hub");
        Self { bar }
    }

    /// Removes the bar, so that what is printed next starts on a clean line.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl PullObserver for PullProgress {
    fn licence(&self, repository: &RepositoryName, licence: &Licence) {
        self.bar.println(format!("{repository}: licence {licence}"));
    }

    fn planned(&self, repository: &RepositoryName, _files: usize, bytes: u64) {
        self.bar.set_length(bytes);
        self.bar.set_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_message(repository.to_string());
        self.bar.reset();
        if !self.bar.is_hidden() {
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    fn advanced(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn lost(&self, bytes: u64) {
        self.bar.dec(bytes);
    }

    fn trying_again(&self, problem: &str, pause: Duration) {
        self.bar.println(format!("{problem}; once more in {:.0} s", pause.as_secs_f64().ceil()));
    }

    fn is_cancelled(&self) -> bool {
        cancel::requested()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid_and_counts_bytes() {
        let progress = PullProgress::new(true);
        progress.planned(&"me/model".parse().unwrap(), 2, 1000);
        progress.advanced(700);
        progress.lost(200);
        assert_eq!((progress.bar.position(), progress.bar.length()), (500, Some(1000)));
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
