//! The rows of captures into a file, which is the same for any number of threads.

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
    flow::ids2020::{Limits, Losses},
};
use tracing::{info, warn};

use super::{Arguments, Job};
use crate::{output_path, progress::Progress, show::count};

/// Writes the rows of some captures into one file and returns their number; a fault leaves no file behind.
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
    // Dropped, not finished, where there are none: nothing is left behind.
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
            // The command line has no level of NSL-KDD: it is read, not extracted.
            Level::Sequence | Level::NslKdd => self.rows(jobs, writer, |_| sequence_rows()),
            Level::Uniflow => self.flows(jobs, writer, |capture, known, told| {
                let (rows, ended) = UniflowLevel::of_capture(capture, known, self.threads, told);
                (rows.losses(), rows, ended)
            }),
            Level::UniflowExtended => self.flows(jobs, writer, |capture, known, told| {
                let (rows, ended) = UniflowLevel::of_capture(capture, known, self.threads, told);
                (rows.losses(), Extended(rows), ended)
            }),
            Level::Biflow => self.flows(jobs, writer, |capture, known, told| {
                let (rows, ended) = BiflowLevel::of_capture(capture, known, self.threads, told);
                (rows.losses(), rows, ended)
            }),
            Level::BiflowExtended => self.flows(jobs, writer, |capture, known, told| {
                let (rows, ended) = BiflowLevel::of_capture(capture, known, self.threads, told);
                (rows.losses(), Extended(rows), ended)
            }),
        }
    }

    /// One thread makes the rows, packet by packet, and all encode them.
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

    /// All threads make the flows of a capture, and then encode their rows.
    fn flows<'a, T: Table>(
        &self,
        jobs: impl Iterator<Item = &'a Job>,
        writer: &mut ChunkWriter,
        of_capture: impl Fn(
            &mut Capture,
            (Attacker, Limits),
            &mut dyn FnMut(u64),
        ) -> (Losses, T, Result<(), CaptureError>),
    ) -> Result<()> {
        writer.write_on(self.threads, |feeder| {
            for job in jobs {
                let mut capture = self.open(job)?;
                let known = (job.attacker, Limits::default());
                let (losses, rows, ended) =
                    of_capture(&mut capture, known, &mut |at| self.progress.set_position(at));
                self.end(job, &capture, ended)?;
                self.tell(job, losses);
                feeder.add_all(rows, self.scenario(job))?;
            }
            Ok(())
        })
    }

    /// Reads a capture and gives what `make` makes of a packet to `each`.
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

    /// What is to be said at a capture's end.
    fn end(&self, job: &Job, capture: &Capture, ended: Result<(), CaptureError>) -> Result<()> {
        match ended {
            Ok(()) => {}
            Err(error) if error.is_cut() && self.arguments.accept_cut => {
                warn!("{error}");
            }
            Err(error) if error.is_cut() => bail!("{error}; --accept-cut takes those"),
            Err(error) => return Err(error.into()),
        }
        if capture.unknown_blocks() > 0 {
            let (file, blocks) = (job.path.display(), capture.unknown_blocks());
            info!(%file, blocks, "{file}: passed over {} pcapng blocks of unknown types", count(blocks));
        }
        Ok(())
    }

    fn tell(&self, job: &Job, losses: Losses) {
        if losses != Losses::default() {
            warn!(
                file = %job.path.display(),
                packets_over_cap = losses.packets_over_cap,
                packets_too_late = losses.packets_too_late,
                "{}: {} packets of flows beyond the table's cap are left out; {} packets came too late to be put in order",
                job.path.display(),
                count(losses.packets_over_cap),
                count(losses.packets_too_late)
            );
        }
    }

    /// One short name a capture, which lives as long as the program.
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
