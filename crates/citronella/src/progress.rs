//! Progress on stderr: bars on a terminal, plain lines otherwise.

use std::{
    cell::RefCell,
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::show::complain;

/// Shows one stage after another.
pub(crate) struct Progress {
    terminal: bool,
    stage: RefCell<Option<Stage>>,
}

struct Stage {
    name: String,
    bar: Option<ProgressBar>,
    begun: Instant,
}

impl Progress {
    /// Bars if stderr is a terminal.
    pub(crate) fn stderr() -> Progress {
        Progress { terminal: stderr().is_terminal(), stage: RefCell::new(None) }
    }

    /// Begins a stage of `total` units; 0 where the total is not known.
    pub(crate) fn begin(&self, name: &str, total: u64) {
        self.show(name, (total > 0).then_some(total), "{pos}/{len}");
    }

    /// Begins a stage whose length is not known, counted in `unit`.
    pub(crate) fn begin_unknown(&self, name: &str, unit: &str) {
        self.show(name, None, &format!("{{human_pos}} {unit}"));
    }

    fn show(&self, name: &str, total: Option<u64>, units: &str) {
        self.end();
        let bar = self.terminal.then(|| {
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
        *self.stage.borrow_mut() = Some(Stage { name: name.to_owned(), bar, begun: Instant::now() });
    }

    /// How far the stage has come.
    pub(crate) fn at(&self, units: u64) {
        if let Some(bar) = self.stage.borrow().as_ref().and_then(|stage| stage.bar.as_ref()) {
            bar.set_position(units);
        }
    }

    /// Counts one unit of the stage each time it is called, from any thread.
    pub(crate) fn stepper(&self) -> impl Fn() + Send + Sync + use<> {
        let bar = self.stage.borrow().as_ref().and_then(|stage| stage.bar.clone());
        move || bar.iter().for_each(|bar| bar.inc(1))
    }

    /// A line that stays.
    pub(crate) fn note(&self, text: &str) {
        match self.stage.borrow().as_ref().and_then(|stage| stage.bar.as_ref()) {
            Some(bar) => bar.suspend(|| complain(text)),
            None => complain(text),
        }
    }

    /// Ends the stage, if one is under way; off a terminal a stage that took time leaves a line.
    pub(crate) fn end(&self) {
        if let Some(stage) = self.stage.borrow_mut().take() {
            match stage.bar {
                Some(bar) => bar.finish_and_clear(),
                None if stage.begun.elapsed() > Duration::from_secs(1) => {
                    complain(&format!("{}: {:.1} s", stage.name, stage.begun.elapsed().as_secs_f64()));
                }
                None => {}
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
