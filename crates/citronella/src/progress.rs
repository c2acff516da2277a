//! Progress of a command's stages: a bar if stderr is a terminal, log messages with the time of each stage otherwise.

use std::{
    cell::RefCell,
    io::{IsTerminal, stderr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::{debug, info};

/// The bar on the terminal; log messages are written above it.
static ACTIVE_BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Shorter stages are logged at level debug.
const SHORT_STAGE: Duration = Duration::from_secs(1);

/// Shows the stages of a command, one after the other.
pub(crate) struct Progress {
    is_terminal: bool,
    stage: RefCell<Option<Stage>>,
}

struct Stage {
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Progress {
    /// Shows bars if stderr is a terminal.
    pub(crate) fn stderr() -> Progress {
        Progress { is_terminal: stderr().is_terminal(), stage: RefCell::new(None) }
    }

    /// Begins a stage of `total` units; 0 if the total is unknown.
    pub(crate) fn begin(&self, name: &str, total: u64) {
        self.show(name, (total > 0).then_some(total), "{pos}/{len}");
    }

    /// Begins a stage of unknown length, counted in `unit`.
    pub(crate) fn begin_unknown(&self, name: &str, unit: &str) {
        self.show(name, None, &format!("{{human_pos}} {unit}"));
    }

    fn show(&self, name: &str, total: Option<u64>, units: &str) {
        self.end();
        let bar = self.is_terminal.then(|| {
            let (bar, template) = match total {
                Some(total) => (ProgressBar::new(total), format!("{{msg:<44}} {{bar:28}} {units} {{eta}}")),
                None => (ProgressBar::new_spinner(), format!("{{msg:<44}} {{spinner}} {units}")),
            };
            bar.set_style(
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_message(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        set_active(bar.clone());
        *self.stage.borrow_mut() = Some(Stage { name: name.to_owned(), bar, started: Instant::now() });
    }

    /// Sets the number of units done in this stage.
    pub(crate) fn set_position(&self, units: u64) {
        if let Some(bar) = self.stage.borrow().as_ref().and_then(|stage| stage.bar.as_ref()) {
            bar.set_position(units);
        }
    }

    /// Returns a function that adds one unit to the current stage; it may be called from any thread.
    pub(crate) fn stepper(&self) -> impl Fn() + Send + Sync + use<> {
        let bar = self.stage.borrow().as_ref().and_then(|stage| stage.bar.clone());
        move || bar.iter().for_each(|bar| bar.inc(1))
    }

    /// Ends the current stage, if there is one.
    pub(crate) fn end(&self) {
        let Some(Stage { name, bar, started }) = self.stage.borrow_mut().take() else { return };
        if let Some(bar) = bar {
            set_active(None);
            return bar.finish_and_clear();
        }
        let (stage, seconds) = (name.as_str(), started.elapsed().as_secs_f64());
        if started.elapsed() > SHORT_STAGE {
            info!(stage, seconds, "{stage}: {seconds:.1} s");
        } else {
            debug!(stage, seconds, "{stage}: {seconds:.3} s");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn set_active(bar: Option<ProgressBar>) {
    *ACTIVE_BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// Runs `write`, which writes lines to stderr, with the bar cleared; the bar is drawn again below them.
pub(crate) fn suspend(write: impl FnOnce()) {
    let bar = ACTIVE_BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
