//! Runs the detector on labelled captures and records verdict, score and time of every flow.

use std::collections::{HashMap, VecDeque};

use citronella_sensor::{
    capture::{CaptureError, Packet},
    detect::{Config, Detector, Finding, FlowVerdict, Observer, Reason, Shard},
    feature::packet::Attacker,
    feature::sequence::verdict::MAX_CLASSES,
};
use citronella_wire::Frame;
use rayon::prelude::*;

use super::{
    classified::{CaptureSpan, Classes, ClassifiedFlow, FlaggedAt},
    source::LabelledCapture,
};
use crate::dataset::DatasetError;

/// Flows could not be classified.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// A manifest or a file in its folder cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The network does not fit the rows.
    #[error(transparent)]
    Network(#[from] citronella_nn::Error),
    /// A baseline could not be fitted.
    #[error(transparent)]
    Baseline(#[from] crate::evaluate::BaselineError),
    /// A classifier could not be fitted.
    #[error(transparent)]
    Zoo(#[from] crate::zoo::ZooError),
    /// There are no flows.
    #[error("{captures} captures without a single TCP, UDP or ICMP flow: there is nothing to evaluate")]
    NoFlows {
        /// Number of captures.
        captures: usize,
    },
}

/// The flows of some captures with a detector's verdicts.
#[derive(Clone, Debug)]
pub struct ClassifiedFlows {
    /// Class names.
    pub classes: Classes,
    /// The captures.
    pub captures: Vec<CaptureSpan>,
    /// The flows by capture, in the order in which they end.
    pub flows: Vec<ClassifiedFlow>,
    /// The same flows as detection reports them, with their statistics.
    pub verdicts: Vec<FlowVerdict>,
    /// Captures that end within a packet; the packets before were used.
    pub problems: Vec<String>,
}

/// Classifies the flows of captures, each with its own tables, on `threads` threads (0: all). Calls `on_capture` after
/// each capture.
///
/// # Errors
/// A capture cannot be read, or none of them has a flow. A capture that ends within a packet is not an error: see
/// [`ClassifiedFlows::problems`].
pub fn classify(
    detector: &Detector,
    classes: &Classes,
    captures: &[LabelledCapture],
    threads: usize,
    on_capture: &(dyn Fn() + Sync),
) -> Result<ClassifiedFlows, FlowsError> {
    let run = |index: usize| {
        let done = captures.get(index).map(|capture| classify_capture(detector, classes, index, capture));
        on_capture();
        done
    };
    let all = || (0..captures.len()).into_par_iter().filter_map(run).collect::<Result<Vec<_>, FlowsError>>();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let done = match &pool {
        Ok(pool) => pool.install(all)?,
        // No threads available: run on the global pool.
        Err(_) => all()?,
    };
    let mut classified = ClassifiedFlows {
        classes: classes.clone(),
        captures: Vec::new(),
        flows: Vec::new(),
        verdicts: Vec::new(),
        problems: Vec::new(),
    };
    for (span, recorder, problem) in done {
        classified.captures.push(span);
        classified.flows.extend(recorder.flows);
        classified.verdicts.extend(recorder.verdicts);
        classified.problems.extend(problem);
    }
    if classified.flows.is_empty() {
        return Err(FlowsError::NoFlows { captures: captures.len() });
    }
    Ok(classified)
}

type Done<'a> = (CaptureSpan, FlowRecorder<'a>, Option<String>);

fn classify_capture<'a>(
    detector: &Detector,
    classes: &'a Classes,
    index: usize,
    labelled: &'a LabelledCapture,
) -> Result<Done<'a>, FlowsError> {
    let mut capture = labelled.open()?;
    let mut shard = Shard::new(detector, Config::default())?;
    let mut recorder = FlowRecorder {
        labelled,
        classes,
        index: index as u32,
        needed: detector.settings().packets.max(1) as usize,
        span_nanos: None,
        open: HashMap::new(),
        flows: Vec::new(),
        verdicts: Vec::new(),
    };
    let problem = loop {
        match capture.next() {
            Ok(Some(packet)) => shard.packet(&packet, &mut recorder)?,
            Ok(None) => break None,
            Err(fault) if fault.is_cut() && recorder.span_nanos.is_some() => break Some(fault.to_string()),
            Err(fault) => return Err(fault.into()),
        }
    };
    shard.finish(&mut recorder)?;
    let span = CaptureSpan {
        recording: labelled.recording.clone(),
        file: labelled.file.clone(),
        is_attacked: labelled.attacker != Attacker::Nobody,
        span_nanos: recorder.span_nanos,
    };
    Ok((span, recorder, problem))
}

/// Records the flows of one capture.
struct FlowRecorder<'a> {
    labelled: &'a LabelledCapture,
    classes: &'a Classes,
    /// Index of the capture.
    index: u32,
    /// Consecutive packets that flag a flow.
    needed: usize,
    span_nanos: Option<(i64, i64)>,
    /// Flows that have not ended, by flow id.
    open: HashMap<u64, OpenFlow>,
    flows: Vec<ClassifiedFlow>,
    verdicts: Vec<FlowVerdict>,
}

/// A flow that has not ended.
#[derive(Default)]
struct OpenFlow {
    packets: u64,
    /// Sum of each class's probabilities.
    sums: [f64; MAX_CLASSES],
    /// Probabilities of `normal` after the last packets, at most [`FlowRecorder::needed`].
    recent: VecDeque<f32>,
    /// The lowest maximum of `recent` so far.
    benign: Option<f32>,
    flagged_at: Option<FlaggedAt>,
}

impl Observer for FlowRecorder<'_> {
    fn packet(&mut self, packet: &Packet<'_>, _: &Frame<'_>) {
        let time = packet.time_nanos;
        let (first, last) = self.span_nanos.unwrap_or((time, time));
        self.span_nanos = Some((first.min(time), last.max(time)));
    }

    fn scored(&mut self, _: u64, flow: u64, probabilities: &[f32]) {
        let open = self.open.entry(flow).or_default();
        open.packets += 1;
        open.sums.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += f64::from(*p));
        if open.recent.len() == self.needed {
            open.recent.pop_front();
        }
        open.recent.push_back(probabilities.first().copied().unwrap_or(1.0));
        // Until `recent` is full, its maximum replaces the last one: it counts only if the flow ends.
        let highest = open.recent.iter().copied().fold(0.0, f32::max);
        let was_full = open.packets as usize > self.needed;
        open.benign = Some(open.benign.filter(|_| was_full).map_or(highest, |lowest| lowest.min(highest)));
    }

    fn finding(&mut self, finding: &Finding, _: &mut dyn FnMut() -> Vec<Reason>) {
        // A flow that is flagged at its end is flagged only when that end is known: now.
        let now = self.span_nanos.map_or(finding.time_nanos, |(_, last)| last);
        let time_nanos = if finding.packet.is_some() { finding.time_nanos } else { now };
        let flagged_at = FlaggedAt { packets: finding.packets.into(), time_nanos };
        self.open.entry(finding.flow.id).or_default().flagged_at.get_or_insert(flagged_at);
    }

    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        let flow = &verdict.flow;
        let open = self.open.remove(&flow.id).unwrap_or_default();
        let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
        let mean = |sum: &f64| (sum / open.packets.max(1) as f64) as f32;
        let score = 1.0 - f64::from(open.benign.unwrap_or(1.0));
        self.flows.push(ClassifiedFlow {
            capture: self.index,
            src: (src, src_port),
            dst: (dst, dst_port),
            protocol: flow.key().protocol(),
            first_nanos: flow.first_nanos,
            last_nanos: flow.last_nanos,
            ended_nanos: self.span_nanos.map_or(flow.last_nanos, |(_, last)| last),
            packets: flow.packets(),
            truth: self.classes.index(self.labelled.class_of(flow.src(), flow.dst())),
            predicted: verdict.class,
            score,
            flagged_at: open.flagged_at.filter(|_| verdict.class != self.classes.normal()),
            probabilities: open.sums.iter().take(self.classes.known()).map(mean).collect(),
        });
        self.verdicts.push(*verdict);
    }
}
