//! Writes the rows of captures into a file, which is the same for any number of threads.

use std::{path::Path, thread::available_parallelism};

use anyhow::{Result, bail};
use citronella_sensor::{
    capture::{Capture, CaptureError, Packet},
    feature::{
        ChunkWriter, Format,
        biflow::BiflowLevel,
        chunks::{Extended, Feeder, Rows, Table},
        packet::{Attacker, PacketLevel, PacketRow},
        schema::Level,
        sequence::{Config, SequenceLevel, WIDTH},
        uniflow::UniflowLevel,
    },
    flow::ids2020::{Counters, Limits},
};
use tracing::{info, warn};

use super::{Arguments, Job};
use crate::{output_path, progress::Progress, show::count};

/// Writes the rows of some captures into one file and returns their number. An error leaves no file behind.
pub(super) fn write<'a>(
    arguments: &Arguments,
    jobs: impl IntoIterator<Item = &'a Job>,
    output: &Path,
    level: Level,
    format: Format,
) -> Result<u64> {
    output_path::check(output)?;
    let cores = || available_parallelism().map_or(1, |cores| cores.get().min(256));
    let threads = arguments.threads.unwrap_or_else(cores);
    let progress = Progress::stderr();
    let reading = Reading { arguments, progress: &progress, threads };
    let mut writer = ChunkWriter::create(output, format, level, arguments.scenario_column)?;
    reading.write(jobs.into_iter(), &mut writer, level)?;
    // Without rows the writer is dropped, which leaves no file behind.
    let rows = if writer.rows() == 0 { 0 } else { writer.finish()? };
    progress.end();
    if rows > 0 && output.as_os_str() != "-" {
        info!(file = %output.display(), rows, "{}: {} rows", output.display(), count(rows));
    }
    Ok(rows)
}

struct Reading<'a> {
    arguments: &'a Arguments,
    progress: &'a Progress,
    threads: usize,
}

impl Reading<'_> {
    fn write<'a>(
        &self,
        jobs: impl Iterator<Item = &'a Job>,
        writer: &mut ChunkWriter,
        level: Level,
    ) -> Result<()> {
        match level {
            Level::Packet => self.rows(jobs, writer, packet_rows),
            // NSL-KDD is read, never extracted: the command line does not offer it.
            Level::Sequence | Level::NslKdd => self.rows(jobs, writer, |_| sequence_rows()),
            Level::Uniflow => self.flows(jobs, writer, |capture, labels, progress| {
                let (rows, ended) = UniflowLevel::of_capture(capture, labels, self.threads, progress);
                (rows.counters(), rows, ended)
            }),
            Level::UniflowExtended => self.flows(jobs, writer, |capture, labels, progress| {
                let (rows, ended) = UniflowLevel::of_capture(capture, labels, self.threads, progress);
                (rows.counters(), Extended(rows), ended)
            }),
            Level::Biflow => self.flows(jobs, writer, |capture, labels, progress| {
                let (rows, ended) = BiflowLevel::of_capture(capture, labels, self.threads, progress);
                (rows.counters(), rows, ended)
            }),
            Level::BiflowExtended => self.flows(jobs, writer, |capture, labels, progress| {
                let (rows, ended) = BiflowLevel::of_capture(capture, labels, self.threads, progress);
                (rows.counters(), Extended(rows), ended)
            }),
        }
    }

    /// Extracts rows packet by packet on one thread and encodes them on all threads.
    fn rows<'a, T, M: FnMut(&Packet<'_>) -> Option<T>>(
        &self,
        jobs: impl Iterator<Item = &'a Job>,
        writer: &mut ChunkWriter,
        maker: impl Fn(&Job) -> M,
    ) -> Result<()>
    where
        Vec<T>: Rows<Row = T>,
    {
        writer.write_on(self.threads, |feeder: &mut Feeder<'_, Vec<T>>| {
            for job in jobs {
                if let Some(scenario) = self.scenario(job) {
                    feeder.set_scenario(scenario);
                }
                self.packets(job, maker(job), |row| Ok(feeder.add(row)?))?;
            }
            Ok(())
        })
    }

    /// Extracts the flows of a capture on all threads and then encodes their rows on all threads.
    fn flows<'a, T: Table>(
        &self,
        jobs: impl Iterator<Item = &'a Job>,
        writer: &mut ChunkWriter,
        of_capture: impl Fn(
            &mut Capture,
            (Attacker, Limits),
            &mut dyn FnMut(u64),
        ) -> (Counters, T, Result<(), CaptureError>),
    ) -> Result<()> {
        writer.write_on(self.threads, |feeder| {
            for job in jobs {
                let mut capture = self.open(job)?;
                let labels = (job.attacker, Limits::default());
                let (counters, rows, ended) =
                    of_capture(&mut capture, labels, &mut |at| self.progress.set_position(at));
                self.end(job, &capture, ended)?;
                self.warn_of_inexact(job, counters);
                feeder.add_all(rows, self.scenario(job))?;
            }
            Ok(())
        })
    }

    /// Reads a capture and passes the row that `make` extracts from a packet to `each`.
    fn packets<T>(
        &self,
        job: &Job,
        mut make: impl FnMut(&Packet<'_>) -> Option<T>,
        mut each: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let mut capture = self.open(job)?;
        let ended = loop {
            match capture.next() {
                Ok(Some(packet)) => {
                    if packet.number % 65_536 == 0 {
                        self.progress.set_position(packet.number);
                    }
                    if let Some(made) = make(&packet) {
                        each(made)?;
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.end(job, &capture, ended)
    }

    fn open(&self, job: &Job) -> Result<Capture> {
        self.progress.begin_unknown(&format!("reading {}", job.path.display()), "packets");
        Ok(Capture::open(&job.path)?)
    }

    /// Reports a capture's error and unknown blocks at its end.
    fn end(&self, job: &Job, capture: &Capture, ended: Result<(), CaptureError>) -> Result<()> {
        match ended {
            Ok(()) => {}
            Err(error) if error.is_cut() && self.arguments.accept_cut => {
                warn!("{error}");
            }
            Err(error) if error.is_cut() => bail!("{error}; --accept-cut accepts them"),
            Err(error) => return Err(error.into()),
        }
        if capture.unknown_blocks() > 0 {
            let (file, blocks) = (job.path.display(), capture.unknown_blocks());
            info!(%file, blocks, "{file}: skipped {} pcapng blocks of unknown types", count(blocks));
        }
        Ok(())
    }

    fn warn_of_inexact(&self, job: &Job, counters: Counters) {
        if counters != Counters::default() {
            warn!(
                file = %job.path.display(),
                packets_over_cap = counters.packets_over_cap,
                packets_too_late = counters.packets_too_late,
                "{}: {} packets of flows beyond the table's cap were ignored; {} packets arrived too late to be sorted",
                job.path.display(),
                count(counters.packets_over_cap),
                count(counters.packets_too_late)
            );
        }
    }

    /// The scenario's name, leaked: one short string per capture.
    fn scenario(&self, job: &Job) -> Option<&'static str> {
        self.arguments.scenario_column.then(|| &*job.scenario.clone().leak())
    }
}

fn packet_rows(job: &Job) -> impl FnMut(&Packet<'_>) -> Option<PacketRow> + use<> {
    let mut level = Box::new(PacketLevel::new(job.attacker));
    move |packet| level.row(packet)
}

fn sequence_rows() -> impl FnMut(&Packet<'_>) -> Option<[f32; WIDTH]> {
    let mut level = Box::new(SequenceLevel::new(Config::default()));
    move |packet| level.packet(packet).map(|row| row.features)
}
