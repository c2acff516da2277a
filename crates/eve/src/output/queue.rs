//! The bounded queue of records and the thread that writes them.
//!
//! With [`WhenFull::Block`] senders wait for the writer and nothing is lost: for recordings. With [`WhenFull::Drop`] they
//! never wait: records that do not fit are dropped and counted, alerts last: for live traffic. A target that fails is
//! retried while the queue holds its records.

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

use tracing::{error, info, warn};

use super::target::Target;

/// Bytes of records that a sender collects before it sends them.
const BATCH_BYTES: usize = 1 << 16;
/// Interval at which the writer checks whether to reopen the file, and reattempts a failed write.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// Attempts to write a batch where the writer may not wait indefinitely.
const MAX_ATTEMPTS: u32 = 3;

/// Counters of the queue.
#[derive(Default)]
pub struct QueueCounters {
    queued_bytes: AtomicUsize,
    shed: AtomicU64,
    shed_alerts: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
}

impl QueueCounters {
    /// Records dropped because the queue was full.
    pub fn shed(&self) -> u64 {
        self.shed.load(Relaxed)
    }

    /// Alerts among the dropped records and among those that could not be written.
    pub fn shed_alerts(&self) -> u64 {
        self.shed_alerts.load(Relaxed)
    }

    /// Records that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Records that were written.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }
}

/// What a sender does while the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait for the writer.
    Block,
    /// Drop the records and count them.
    Drop,
}

/// Whole records.
struct Batch {
    bytes: Vec<u8>,
    records: u64,
    alerts: u64,
}

/// A sender of records into the queue.
pub struct QueueSender {
    sender: Sender<Batch>,
    counters: Arc<QueueCounters>,
    cap_bytes: usize,
    when_full: WhenFull,
    batch: Vec<u8>,
    records: u64,
    alerts: u64,
}

impl QueueSender {
    /// Another sender into the same queue.
    pub fn new_sender(&self) -> QueueSender {
        QueueSender {
            sender: self.sender.clone(),
            counters: Arc::clone(&self.counters),
            batch: Vec::new(),
            records: 0,
            alerts: 0,
            ..*self
        }
    }

    /// Counters of the queue.
    pub fn counters(&self) -> Arc<QueueCounters> {
        Arc::clone(&self.counters)
    }

    /// Marks the next record as an alert.
    pub fn mark_alert(&mut self) {
        self.alerts += 1;
    }

    fn send(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = Batch {
            bytes: std::mem::take(&mut self.batch),
            records: std::mem::take(&mut self.records),
            alerts: std::mem::take(&mut self.alerts),
        };
        // Alerts have twice the capacity.
        let cap = if batch.alerts > 0 { 2 * self.cap_bytes } else { self.cap_bytes };
        let fits = || self.counters.queued_bytes.load(Relaxed) + batch.bytes.len() <= cap;
        while self.when_full == WhenFull::Block && !fits() && self.counters.queued_bytes.load(Relaxed) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        if self.when_full == WhenFull::Drop && !fits() {
            self.counters.shed.fetch_add(batch.records, Relaxed);
            self.counters.shed_alerts.fetch_add(batch.alerts, Relaxed);
            return;
        }
        self.counters.queued_bytes.fetch_add(batch.bytes.len(), Relaxed);
        // The writer outlives all senders.
        let _ = self.sender.send(batch);
    }
}

impl Write for QueueSender {
    /// A whole record.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.batch.extend_from_slice(record);
        self.records += 1;
        if self.batch.len() >= BATCH_BYTES {
            self.send();
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send();
        Ok(())
    }
}

impl Drop for QueueSender {
    fn drop(&mut self) {
        self.send();
    }
}

/// The writer's thread.
pub struct RecordWriter {
    thread: JoinHandle<()>,
    counters: Arc<QueueCounters>,
    reopen: Arc<AtomicBool>,
    closing: Arc<AtomicBool>,
}

/// Starts the writer of a target; `name` is its name in messages, `cap_bytes` the capacity of the queue.
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    name: &str,
    target: Target,
    cap_bytes: usize,
    when_full: WhenFull,
) -> io::Result<(QueueSender, RecordWriter)> {
    let (sender, receiver) = mpsc::channel();
    let counters = Arc::new(QueueCounters::default());
    let reopen = Arc::new(AtomicBool::new(false));
    let closing = Arc::new(AtomicBool::new(false));
    let work = WriterThread {
        name: name.to_owned(),
        target,
        receiver,
        counters: Arc::clone(&counters),
        reopen: Arc::clone(&reopen),
        closing: Arc::clone(&closing),
        when_full,
        failing: None,
    };
    let thread = thread::Builder::new().name("eve".to_owned()).spawn(move || work.run())?;
    let sender = QueueSender {
        sender,
        counters: Arc::clone(&counters),
        cap_bytes,
        when_full,
        batch: Vec::new(),
        records: 0,
        alerts: 0,
    };
    Ok((sender, RecordWriter { thread, counters, reopen, closing }))
}

impl RecordWriter {
    /// Counters of the queue.
    pub fn counters(&self) -> Arc<QueueCounters> {
        Arc::clone(&self.counters)
    }

    /// Set to reopen the file.
    pub fn reopen_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reopen)
    }

    /// Waits until everything is written. All senders must have been dropped.
    pub fn finish(self) {
        self.closing.store(true, Relaxed);
        if self.thread.join().is_err() {
            error!("the thread that writes EVE records has panicked");
        }
    }
}

struct WriterThread {
    name: String,
    target: Target,
    receiver: Receiver<Batch>,
    counters: Arc<QueueCounters>,
    reopen: Arc<AtomicBool>,
    /// No more records will be sent.
    closing: Arc<AtomicBool>,
    when_full: WhenFull,
    /// Records lost since the target started to fail.
    failing: Option<u64>,
}

impl WriterThread {
    fn run(mut self) {
        loop {
            if self.reopen.swap(false, Relaxed)
                && let Err(error) = self.target.reopen()
            {
                self.fail(&error);
            }
            match self.receiver.recv_timeout(RETRY_INTERVAL) {
                Ok(batch) => self.put(&batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(lost) = self.failing.filter(|lost| *lost > 0) {
            let file = &self.name;
            error!(%file, records = lost, "{file}: {lost} records were lost");
        }
    }

    fn put(&mut self, batch: &Batch) {
        let mut attempts = 0;
        let written = loop {
            if self.reopen.swap(false, Relaxed) {
                // The next write shows whether this worked.
                let _ = self.target.reopen();
            }
            match self.target.write(&batch.bytes) {
                Ok(()) => break true,
                Err(error) => {
                    self.fail(&error);
                    attempts += 1;
                    let has_failed_before = self.failing.is_some_and(|lost| lost > 0);
                    if (attempts >= MAX_ATTEMPTS || has_failed_before) && !self.keeps_trying() {
                        break false;
                    }
                    thread::sleep(RETRY_INTERVAL);
                }
            }
        };
        self.counters.queued_bytes.fetch_sub(batch.bytes.len(), Relaxed);
        if written {
            self.counters.written.fetch_add(batch.records, Relaxed);
            if let Some(lost) = self.failing.take() {
                let file = &self.name;
                info!(%file, records_lost = lost, "{file}: writing works again; {lost} records were lost");
            }
        } else {
            self.counters.lost.fetch_add(batch.records, Relaxed);
            self.counters.shed_alerts.fetch_add(batch.alerts, Relaxed);
            *self.failing.get_or_insert(0) += batch.records;
        }
    }

    /// Whether to retry indefinitely: live, while more records may follow.
    fn keeps_trying(&self) -> bool {
        self.when_full == WhenFull::Drop && !self.closing.load(Relaxed)
    }

    /// Logs once that the target fails.
    fn fail(&mut self, error: &io::Error) {
        if self.failing.is_none() {
            self.failing = Some(0);
            let hint = match error.kind() {
                io::ErrorKind::StorageFull => ": free some space",
                io::ErrorKind::BrokenPipe => ": its reader has closed it",
                _ => "",
            };
            let file = &self.name;
            warn!(%file, "{file}: cannot write: {error}{hint}; retrying");
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
    fn live_records_that_do_not_fit_are_dropped_and_counted_alerts_last() {
        let target = Target::open(Path::new("/dev/full"), true, Rotation { bytes: 0, keep: 0 }).unwrap();
        let (mut entry, writer) = start("/dev/full", target, 2 * BATCH_BYTES, WhenFull::Drop).unwrap();
        let counters = writer.counters();
        let record = [b'x'; 1_024];
        for _ in 0..1_000 {
            entry.write_all(&record).unwrap();
        }
        entry.flush().unwrap();
        let shed = counters.shed();
        assert!(shed > 800 && shed < 1_000, "{shed}");
        entry.mark_alert();
        entry.write_all(&record).unwrap();
        entry.flush().unwrap();
        assert_eq!((counters.shed(), counters.shed_alerts()), (shed, 0));
        drop(entry);
        writer.finish();
        // Records that waited for a disk that stayed full are lost at the end, and counted.
        assert_eq!((counters.lost() + counters.shed(), counters.written()), (1_001, 0));
        assert_eq!(counters.shed_alerts(), 1);
    }

    #[test]
    fn offline_senders_wait_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eve.json");
        let target = Target::open(&path, false, Rotation { bytes: 0, keep: 0 }).unwrap();
        let (mut entry, writer) = start("eve.json", target, BATCH_BYTES, WhenFull::Block).unwrap();
        let mut other = entry.new_sender();
        for n in 0..20_000 {
            let sender = if n % 2 == 0 { &mut entry } else { &mut other };
            sender.write_all(format!("{n:0>99}\n").as_bytes()).unwrap();
        }
        let counters = writer.counters();
        drop((entry, other));
        writer.finish();
        assert_eq!((counters.written(), counters.shed(), counters.lost()), (20_000, 0, 0));
        assert_eq!(std::fs::metadata(path).unwrap().len(), 2_000_000);
    }
}
