//! The way of records to their sink: a bounded queue and a thread that writes.
//!
//! Detection in a file waits for the writer: nothing is lost offline. Live detection never waits: what does not fit is
//! shed and counted, alerts last. A sink that fails is tried again, and what the queue holds waits for it.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tracing::{error, warn};

use super::target::Target;
use crate::show::count;

/// Records that a shard gathers before they are sent.
const PART_BYTES: usize = 1 << 16;
/// After so long the writer looks whether the file is to be opened anew, and tries again what failed.
const PAUSE: Duration = Duration::from_millis(250);
/// Times that a part is tried when nothing may be waited for without end.
const TRIES: u32 = 3;

/// What is counted on the way.
#[derive(Default)]
pub(crate) struct Tally {
    queued_bytes: AtomicUsize,
    shed: AtomicU64,
    shed_alerts: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
}

impl Tally {
    /// Records that did not fit into the queue.
    pub(crate) fn shed(&self) -> u64 {
        self.shed.load(Relaxed)
    }

    /// Alerts among them, and among those that could not be written.
    pub(crate) fn shed_alerts(&self) -> u64 {
        self.shed_alerts.load(Relaxed)
    }

    /// Records that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Records that were written.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }
}

/// Whole records.
struct Part {
    bytes: Vec<u8>,
    records: u64,
    alerts: u64,
}

/// A way into the queue. Bytes are whole records when it is flushed.
pub(crate) struct Entry {
    sender: Sender<Part>,
    tally: Arc<Tally>,
    cap_bytes: usize,
    waits: bool,
    part: Vec<u8>,
    records: u64,
    alerts: u64,
}

impl Entry {
    /// Another way in.
    pub(crate) fn another(&self) -> Entry {
        Entry {
            sender: self.sender.clone(),
            tally: Arc::clone(&self.tally),
            part: Vec::new(),
            records: 0,
            alerts: 0,
            ..*self
        }
    }

    /// The records gathered since are alerts.
    pub(crate) fn is_alert(&mut self) {
        self.alerts += 1;
    }

    fn send(&mut self) {
        if self.part.is_empty() {
            return;
        }
        let part = Part {
            bytes: std::mem::take(&mut self.part),
            records: std::mem::take(&mut self.records),
            alerts: std::mem::take(&mut self.alerts),
        };
        // Alerts have as much room again.
        let cap = if part.alerts > 0 { 2 * self.cap_bytes } else { self.cap_bytes };
        let fits = || self.tally.queued_bytes.load(Relaxed) + part.bytes.len() <= cap;
        while self.waits && !fits() && self.tally.queued_bytes.load(Relaxed) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        if !self.waits && !fits() {
            self.tally.shed.fetch_add(part.records, Relaxed);
            self.tally.shed_alerts.fetch_add(part.alerts, Relaxed);
            return;
        }
        self.tally.queued_bytes.fetch_add(part.bytes.len(), Relaxed);
        // The writer ends after the last way in.
        let _ = self.sender.send(part);
    }
}

impl Write for Entry {
    /// A whole record.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(record);
        self.records += 1;
        if self.part.len() >= PART_BYTES {
            self.send();
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send();
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.send();
    }
}

/// The writing thread.
pub(crate) struct Writer {
    thread: JoinHandle<()>,
    tally: Arc<Tally>,
    reopen: Arc<AtomicBool>,
    closing: Arc<AtomicBool>,
}

/// Begins to write; the file is named in messages. `waits`: the queue is waited for, and a sink that fails is given up.
pub(crate) fn begin(
    name: &str,
    target: Target,
    cap_bytes: usize,
    waits: bool,
) -> io::Result<(Entry, Writer)> {
    let (sender, receiver) = mpsc::channel();
    let tally = Arc::new(Tally::default());
    let reopen = Arc::new(AtomicBool::new(false));
    let closing = Arc::new(AtomicBool::new(false));
    let work = Work {
        name: name.to_owned(),
        target,
        receiver,
        tally: Arc::clone(&tally),
        reopen: Arc::clone(&reopen),
        closing: Arc::clone(&closing),
        patient: !waits,
        failing: None,
    };
    let thread = thread::Builder::new().name("eve".to_owned()).spawn(move || work.run())?;
    let entry = Entry {
        sender,
        tally: Arc::clone(&tally),
        cap_bytes,
        waits,
        part: Vec::new(),
        records: 0,
        alerts: 0,
    };
    Ok((entry, Writer { thread, tally, reopen, closing }))
}

impl Writer {
    /// What was counted.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// To be set when the file is to be opened anew.
    pub(crate) fn reopen(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reopen)
    }

    /// Waits until all is written; every way in has to be gone.
    pub(crate) fn finish(self) {
        self.closing.store(true, Relaxed);
        if self.thread.join().is_err() {
            error!("the thread that writes EVE records has panicked");
        }
    }
}

struct Work {
    name: String,
    target: Target,
    receiver: Receiver<Part>,
    tally: Arc<Tally>,
    reopen: Arc<AtomicBool>,
    /// Nothing more will come.
    closing: Arc<AtomicBool>,
    /// Tries again until it works, or the queue is closed.
    patient: bool,
    /// Records lost since the sink fails.
    failing: Option<u64>,
}

impl Work {
    fn run(mut self) {
        loop {
            if self.reopen.swap(false, Relaxed)
                && let Err(error) = self.target.reopen()
            {
                self.fail(&error);
            }
            match self.receiver.recv_timeout(PAUSE) {
                Ok(part) => self.put(&part),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(lost) = self.failing.filter(|lost| *lost > 0) {
            error!(file = self.name, lost, "{}: {} records were lost", self.name, count(lost));
        }
    }

    fn put(&mut self, part: &Part) {
        let mut tries = 0;
        let written = loop {
            if self.reopen.swap(false, Relaxed) {
                // The next write tells whether it went well.
                let _ = self.target.reopen();
            }
            match self.target.write(&part.bytes) {
                Ok(()) => break true,
                Err(error) => {
                    self.fail(&error);
                    tries += 1;
                    let has_failed_before = self.failing.is_some_and(|lost| lost > 0);
                    if (tries >= TRIES || has_failed_before) && !self.waits_on() {
                        break false;
                    }
                    thread::sleep(PAUSE);
                }
            }
        };
        self.tally.queued_bytes.fetch_sub(part.bytes.len(), Relaxed);
        if written {
            self.tally.written.fetch_add(part.records, Relaxed);
            if let Some(lost) = self.failing.take() {
                let lost =
                    if lost > 0 { format!("; {} records were lost", count(lost)) } else { String::new() };
                warn!(file = self.name, "{}: is written again{lost}", self.name);
            }
        } else {
            self.tally.lost.fetch_add(part.records, Relaxed);
            self.tally.shed_alerts.fetch_add(part.alerts, Relaxed);
            *self.failing.get_or_insert(0) += part.records;
        }
    }

    /// Whether it is worth to try on: live, while more may come.
    fn waits_on(&self) -> bool {
        self.patient && !self.closing.load(Relaxed)
    }

    /// Says once that the sink fails.
    fn fail(&mut self, error: &io::Error) {
        if self.failing.is_none() {
            self.failing = Some(0);
            let hint = match error.kind() {
                io::ErrorKind::StorageFull => ": free some space",
                io::ErrorKind::BrokenPipe => ": its reader is gone",
                _ => "",
            };
            let name = &self.name;
            error!(file = name, "{name}: cannot write: {error}{hint}; it is tried again");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::super::target::Rotation;
    use super::*;

    #[test]
    fn live_what_does_not_fit_is_shed_and_counted_alerts_last() {
        let target = Target::open(Path::new("/dev/full"), true, Rotation { bytes: 0, keep: 0 }).unwrap();
        let (mut entry, writer) = begin("/dev/full", target, 2 * PART_BYTES, false).unwrap();
        let tally = writer.tally();
        let record = [b'x'; 1_024];
        for _ in 0..1_000 {
            entry.write_all(&record).unwrap();
        }
        entry.flush().unwrap();
        let shed = tally.shed();
        assert!(shed > 800 && shed < 1_000, "{shed}");
        entry.is_alert();
        entry.write_all(&record).unwrap();
        entry.flush().unwrap();
        assert_eq!((tally.shed(), tally.shed_alerts()), (shed, 0));
        drop(entry);
        writer.finish();
        // What waited for a disk that stayed full is lost at the end, and counted.
        assert_eq!((tally.lost() + tally.shed(), tally.written()), (1_001, 0));
        assert_eq!(tally.shed_alerts(), 1);
    }

    #[test]
    fn a_file_waits_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        let target = Target::open(&path, false, Rotation { bytes: 0, keep: 0 }).unwrap();
        let (mut entry, writer) = begin("eve.json", target, PART_BYTES, true).unwrap();
        let mut other = entry.another();
        for n in 0..20_000 {
            let way = if n % 2 == 0 { &mut entry } else { &mut other };
            way.write_all(format!("{n:0>99}\n").as_bytes()).unwrap();
        }
        let tally = writer.tally();
        drop((entry, other));
        writer.finish();
        assert_eq!((tally.written(), tally.shed(), tally.lost()), (20_000, 0, 0));
        assert_eq!(std::fs::metadata(path).unwrap().len(), 2_000_000);
    }
}
