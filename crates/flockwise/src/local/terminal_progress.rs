//! Shows the progress of `demo` and `replay` on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use flockwise_codec::time::write_time;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exit::print_while_read;
use crate::local::local_pipeline::Session;
use crate::reports::wording::number;

/// A progress line on stderr. Hidden if stderr is not a terminal.
pub(crate) struct ProgressLine {
    bar: ProgressBar,
}

impl ProgressLine {
    pub(crate) fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_style(ProgressStyle::default_spinner());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// Updates the line from the state of the pipeline.
    pub(crate) fn show(&self, session: &Session) {
        if self.bar.is_hidden() {
            return;
        }
        let day = session
            .stream_ms
            .map(|(_, last)| write_time(last)[..10].to_owned());
        let seconds = self.bar.elapsed().as_secs_f64().max(1e-3);
        self.bar.set_message(format!(
            "{}  {} events/s  {} customers  {} segments  {} changes",
            day.unwrap_or_default(),
            number(session.events as f64 / seconds),
            number(session.customers() as f64),
            session
                .model()
                .map_or(0, |model| model.segmentation().segments().len()),
            number(session.changes() as f64),
        ));
    }

    /// Prints a line to stdout without breaking the progress line.
    pub(crate) fn line(&self, text: &str) {
        self.bar
            .suspend(|| print_while_read(format_args!("{text}")));
    }

    pub(crate) fn done(&self) {
        self.bar.finish_and_clear();
    }
}
