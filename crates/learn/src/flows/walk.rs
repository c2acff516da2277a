//! Detection's own walk over captures, with what a judge wants to know beside the verdicts.

use std::collections::{HashMap, VecDeque};

use citronella_sensor::{
    capture::{CaptureError, Packet},
    detect::{Config, Detector, Finding, FlowVerdict, Observer, Reason, Shard},
    feature::packet::Attacker,
    feature::sequence::verdict::MOST_CLASSES,
};
use citronella_wire::Frame;
use rayon::prelude::*;

use super::{
    judged::{Alert, CaptureSpan, Classes, JudgedFlow},
    source::Labelled,
};
use crate::dataset::DatasetError;

/// Why flows cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// A manifest or a file beside it cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The network cannot step over the rows.
    #[error(transparent)]
    Network(#[from] citronella_nn::Error),
    /// A simple classifier could not be fitted.
    #[error(transparent)]
    Baseline(#[from] crate::evaluate::BaselineError),
    /// A classifier could not be fitted.
    #[error(transparent)]
    Zoo(#[from] crate::zoo::ZooError),
    /// There is nothing to judge.
    #[error("{captures} captures without a single TCP, UDP or ICMP flow: there is nothing to judge")]
    NoFlows {
        /// Captures read.
        captures: usize,
    },
}

/// What a detector says of every flow of some captures.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The classes' names.
    pub classes: Classes,
    /// The captures.
    pub captures: Vec<CaptureSpan>,
    /// The flows, capture by capture, in the order in which they ended.
    pub flows: Vec<JudgedFlow>,
    /// The same flows as detection tells them, with their statistics.
    pub verdicts: Vec<FlowVerdict>,
    /// Captures that are cut short: their whole packets were judged.
    pub problems: Vec<String>,
}

/// Walks over captures, whose classes are `classes`, each with tables of its own, `threads` side by side (0: all). `heard` hears of each that is done.
///
/// # Errors
/// A capture cannot be read, or there is no flow in any of them. One that is cut short after a whole packet is no
/// error: see [`Judged::problems`].
pub fn judge(
    detector: &Detector,
    classes: &Classes,
    captures: &[Labelled],
    threads: usize,
    heard: &(dyn Fn() + Sync),
) -> Result<Judged, FlowsError> {
    let walk = |number: usize| {
        let done = captures.get(number).map(|capture| one(detector, classes, number, capture));
        heard();
        done
    };
    let all = || (0..captures.len()).into_par_iter().filter_map(walk).collect::<Result<Vec<_>, FlowsError>>();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let done = match &pool {
        Ok(pool) => pool.install(all)?,
        // No more threads to be had: the caller's do.
        Err(_) => all()?,
    };
    let mut judged = Judged {
        classes: classes.clone(),
        captures: Vec::new(),
        flows: Vec::new(),
        verdicts: Vec::new(),
        problems: Vec::new(),
    };
    for (span, walk, problem) in done {
        judged.captures.push(span);
        judged.flows.extend(walk.flows);
        judged.verdicts.extend(walk.verdicts);
        judged.problems.extend(problem);
    }
    if judged.flows.is_empty() {
        return Err(FlowsError::NoFlows { captures: captures.len() });
    }
    Ok(judged)
}

type Done<'a> = (CaptureSpan, Walk<'a>, Option<String>);

fn one<'a>(
    detector: &Detector,
    classes: &'a Classes,
    number: usize,
    labelled: &'a Labelled,
) -> Result<Done<'a>, FlowsError> {
    let mut capture = labelled.open()?;
    let mut shard = Shard::new(detector, Config::default())?;
    let mut walk = Walk {
        labelled,
        classes,
        number: number as u32,
        needed: detector.settings().packets.max(1) as usize,
        span_nanos: None,
        open: HashMap::new(),
        flows: Vec::new(),
        verdicts: Vec::new(),
    };
    let problem = loop {
        match capture.next() {
            Ok(Some(packet)) => shard.packet(&packet, &mut walk)?,
            Ok(None) => break None,
            Err(fault) if fault.is_cut() && walk.span_nanos.is_some() => break Some(fault.to_string()),
            Err(fault) => return Err(fault.into()),
        }
    };
    shard.finish(&mut walk)?;
    let span = CaptureSpan {
        recording: labelled.recording.clone(),
        file: labelled.file.clone(),
        is_attacked: labelled.attacker != Attacker::Nobody,
        span_nanos: walk.span_nanos,
    };
    Ok((span, walk, problem))
}

/// Hears what detection tells of one capture.
struct Walk<'a> {
    labelled: &'a Labelled,
    classes: &'a Classes,
    number: u32,
    /// Packets in a row that a call needs.
    needed: usize,
    span_nanos: Option<(i64, i64)>,
    /// By the flow's rank.
    open: HashMap<u64, Open>,
    flows: Vec<JudgedFlow>,
    verdicts: Vec<FlowVerdict>,
}

/// A flow that has not ended.
#[derive(Default)]
struct Open {
    packets: u64,
    sums: [f64; MOST_CLASSES],
    /// The probabilities of benign traffic after the last packets, as many as a call needs.
    recent: VecDeque<f32>,
    /// The lowest value that such a row of them did not exceed.
    benign: Option<f32>,
    alert: Option<Alert>,
}

impl Observer for Walk<'_> {
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
        // A row that is not full yet counts in a flow that ends before it is.
        let highest = open.recent.iter().copied().fold(0.0, f32::max);
        let full = open.packets as usize > self.needed;
        open.benign = Some(open.benign.filter(|_| full).map_or(highest, |lowest| lowest.min(highest)));
    }

    fn finding(&mut self, finding: &Finding, _: &mut dyn FnMut() -> Vec<Reason>) {
        // A flow that is called as it ends is known to have ended only now.
        let now = self.span_nanos.map_or(finding.time_nanos, |(_, last)| last);
        let time_nanos = if finding.packet.is_some() { finding.time_nanos } else { now };
        let alert = Alert { packets: finding.packets.into(), time_nanos };
        self.open.entry(finding.flow.id).or_default().alert.get_or_insert(alert);
    }

    fn flow_ended(&mut self, verdict: &FlowVerdict) {
        let flow = &verdict.flow;
        let open = self.open.remove(&flow.id).unwrap_or_default();
        let ((src, src_port), (dst, dst_port)) = (flow.src(), flow.dst());
        let mean = |sum: &f64| (sum / open.packets.max(1) as f64) as f32;
        let score = 1.0 - f64::from(open.benign.unwrap_or(1.0));
        self.flows.push(JudgedFlow {
            capture: self.number,
            src: (src, src_port),
            dst: (dst, dst_port),
            protocol: flow.key().protocol(),
            first_nanos: flow.first_nanos,
            last_nanos: flow.last_nanos,
            ended_nanos: self.span_nanos.map_or(flow.last_nanos, |(_, last)| last),
            packets: flow.packets(),
            truth: self.classes.number(self.labelled.class_of(flow.src(), flow.dst())),
            called: verdict.class,
            score,
            alert: open.alert.filter(|_| verdict.class != self.classes.normal()),
            probabilities: open.sums.iter().take(self.classes.known()).map(mean).collect(),
        });
        self.verdicts.push(*verdict);
    }
}
