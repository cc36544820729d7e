//! How training tells where it is: a trait, silence, and a bar on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Hears of each step of training.
pub trait Progress {
    /// `done` of `of` steps are behind, with this training loss; `note` carries the held-out
    /// measures when they were taken since the last call, and is empty otherwise.
    fn step(&mut self, done: u32, of: u32, loss: f32, note: &str);
}

/// Silence.
impl Progress for () {
    fn step(&mut self, _done: u32, _of: u32, _loss: f32, _note: &str) {}
}

/// A bar on standard error: steps, loss and the newest held-out measures. Draws nothing where
/// standard error is no terminal.
pub struct Bar {
    bar: ProgressBar,
    note: String,
}

impl Bar {
    /// A bar that begins with the name of the work.
    pub fn new(name: &str) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {eta} {msg}");
        bar.set_style(style.expect("the template above is well formed"));
        bar.set_prefix(name.to_owned());
        Self {
            bar,
            note: String::new(),
        }
    }
}

impl Progress for Bar {
    fn step(&mut self, done: u32, of: u32, loss: f32, note: &str) {
        if !note.is_empty() {
            note.clone_into(&mut self.note);
        }
        self.bar.set_length(u64::from(of));
        self.bar.set_position(u64::from(done));
        self.bar
            .set_message(format!("loss {loss:.4} {}", self.note));
        if done == of {
            self.bar.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_keeps_the_newest_note_and_finishes_at_the_last_step() {
        let mut bar = Bar::new("pretrain");
        bar.step(1, 2, 0.5, "held-out 1.0");
        bar.step(2, 2, 0.25, "");
        assert!(bar.bar.is_finished());
        assert_eq!(bar.bar.message(), "loss 0.2500 held-out 1.0");
    }
}
