//! The progress bar on standard error.

use crate::cancel;
use afterimage_core::Stage;
use afterimage_engine::{MemoryPlan, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

/// Shows a generation's stages and steps, and passes Ctrl-C on to it.
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
    /// Whether what fits is told, too.
    tells_memory: bool,
    /// Which of several generations this is.
    title: String,
}

impl Progress {
    /// Draws on standard error when that is a terminal and `quiet` is not set.
    pub fn new(quiet: bool) -> Self {
        let shown = !quiet && io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if shown {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, quiet, tells_memory: false, title: String::new() }
    }

    /// Tells how memory is used even when everything stays there, if `tells_memory`.
    pub fn telling_memory(self, tells_memory: bool) -> Self {
        Self { tells_memory, ..self }
    }

    /// Says which of several generations this is, in front of everything else.
    pub fn titled(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Removes the bar, so that what is printed next starts on a clean line.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn memory(&self, plan: &MemoryPlan) {
        if !self.quiet && (self.tells_memory || !plan.keeps_all()) {
            self.bar.suspend(|| {
                let _ = writeln!(io::stderr().lock(), "memory: at most {plan}");
            });
        }
    }

    fn stage(&self, stage: Stage) {
        let name = match stage {
            Stage::Load => "loading models",
            Stage::ImageEncode => "reading the picture",
            Stage::TextEncode => "reading the prompt",
            Stage::Denoise => "denoising",
            Stage::Decode => "decoding",
            Stage::Safety => "checking the result",
        };
        self.bar.set_style(if stage == Stage::Denoise { steps_style() } else { ProgressStyle::default_spinner() });
        let title = &self.title;
        self.bar.set_message(if title.is_empty() { name.to_owned() } else { format!("{title}: {name}") });
    }

    fn step(&self, done: u32, total: u32) {
        self.bar.set_length(u64::from(total));
        if done == 0 {
            // The clock of the speed starts with the first step, not with loading.
            self.bar.reset();
        }
        self.bar.set_position(u64::from(done));
    }

    fn is_cancelled(&self) -> bool {
        cancel::requested()
    }
}

fn steps_style() -> ProgressStyle {
    let speed = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = write!(out, "{:.2} steps/s", state.per_sec());
    };
    ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}  {speed}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("speed", speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid_and_counts_steps() {
        let progress = Progress::new(true);
        progress.stage(Stage::Denoise);
        progress.step(0, 4);
        progress.step(3, 4);
        assert_eq!((progress.bar.position(), progress.bar.length()), (3, Some(4)));
        assert!(ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}  {speed}  {eta} left").is_ok());
        assert!(!progress.is_cancelled());
    }
}
