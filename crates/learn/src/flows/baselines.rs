//! The rules and classifiers that a detector must beat, on the same flows.
//!
//! Those that learn see training recordings only, and a flow's statistics when it has ended: that is when they call it.
//! No address and, but for the one that is about it, no port is among what they read.

use citronella_sensor::{detect::FlowVerdict, flow::Side};

use super::{
    judged::{Alert, Classes, JudgedFlow},
    rules::flagged,
    source::Labelled,
    walk::{FlowsError, Judged},
};
use crate::{
    evaluate::{Majority, Matrix, NearestInTime, PortOnly, Stump},
    prepare::{self, TrainSet},
    zoo::{Classifier, Method, RandomForest},
};

/// What is read of a flow, of each direction.
const OF_SIDE: [&str; 14] = [
    "packets", "bytes", "mean_len", "std_len", "min_len", "max_len", "mean_gap", "std_gap", "min_gap",
    "max_gap", "psh", "rst", "syn", "fin",
];
const WIDTH: usize = 2 * OF_SIDE.len() + 1;
/// Of the forest.
const TREES: usize = 100;

/// A baseline's calls.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// What it looks at.
    pub name: String,
    /// The flows as it calls them.
    pub flows: Vec<JudgedFlow>,
}

/// The classifiers, fitted on training recordings.
pub struct Baselines {
    classes: usize,
    forest: Box<dyn Classifier>,
    majority: Majority,
    stump: Stump,
    time: NearestInTime,
    port: PortOnly,
}

impl Baselines {
    /// Fits them on flows of training recordings, which are none of those to be judged.
    ///
    /// # Errors
    /// There are no flows.
    pub fn fit(train: &Judged, seed: u64, threads: usize) -> Result<Baselines, FlowsError> {
        let classes = train.classes.names().len();
        let truth: Vec<u32> = train.flows.iter().map(|flow| flow.truth).collect();
        let x = matrix(&train.verdicts);
        let rows = prepare::Matrix { data: x.clone(), width: WIDTH };
        let rows = TrainSet::of_recordings(rows, truth.clone(), classes);
        Ok(Baselines {
            classes,
            forest: RandomForest { trees: TREES, seed }.fit(&rows, threads)?,
            majority: Majority::fit(&truth, classes)?,
            stump: Stump::fit(Matrix { values: &x, width: WIDTH }, &truth, classes)?,
            time: NearestInTime::fit(&seconds(&train.flows), &truth, classes)?,
            port: PortOnly::fit(&ports(&train.flows), &truth, classes)?,
        })
    }

    /// What each says of other flows, whose classes must be those of training.
    pub fn judge(&self, test: &Judged, threads: usize) -> Vec<Baseline> {
        let x = matrix(&test.verdicts);
        let rows = prepare::Matrix { data: x.clone(), width: WIDTH };
        let input = self.stump.feature();
        let side = ["initiator", "responder"].get(input / OF_SIDE.len());
        let column = match (side, OF_SIDE.get(input % OF_SIDE.len())) {
            (Some(side), Some(name)) => format!("{side}'s {name}"),
            _ => "protocol".to_owned(),
        };
        let of = |name: String, probabilities: Vec<f32>| Baseline {
            name,
            flows: at_the_end(&test.classes, &test.flows, &probabilities, self.classes),
        };
        vec![
            of("random forest on whole flows".to_owned(), self.forest.scores(&rows, threads)),
            of(format!("one rule ({column} alone)"), self.stump.predict(Matrix { values: &x, width: WIDTH })),
            of("destination port alone".to_owned(), self.port.predict(&ports(&test.flows))),
            of("timestamp alone".to_owned(), self.time.predict(&seconds(&test.flows))),
            of("always the most frequent class".to_owned(), self.majority.predict(test.flows.len())),
        ]
    }
}

/// What the threshold rules say of captures' flows: they need no training. `captures` are those that `test` judged.
///
/// # Errors
/// A capture cannot be read.
pub fn rules(test: &Judged, captures: &[Labelled]) -> Result<Baseline, FlowsError> {
    let calls = captures.iter().map(|capture| flagged(capture.open()?)).collect::<Result<Vec<_>, _>>()?;
    let normal = test.classes.normal();
    let flows = test.flows.iter().zip(&test.verdicts).map(|(flow, verdict)| {
        let call = calls.get(flow.capture as usize).and_then(|of| of.get(&verdict.flow.id));
        JudgedFlow {
            called: call.map_or(normal, |call| test.classes.number(call.class)),
            score: if call.is_some() { 1.0 } else { 0.0 },
            alert: call.map(|call| Alert { packets: flow.packets, time_nanos: call.time_nanos }),
            probabilities: Vec::new(),
            ..flow.clone()
        }
    });
    Ok(Baseline { name: "ten threshold rules".to_owned(), flows: flows.collect() })
}

/// Flows called by their likeliest class when they have ended.
fn at_the_end(
    classes: &Classes,
    flows: &[JudgedFlow],
    probabilities: &[f32],
    width: usize,
) -> Vec<JudgedFlow> {
    let normal = classes.normal();
    let one = |(flow, row): (&JudgedFlow, &[f32])| {
        let likeliest = (0..)
            .zip(row)
            .fold((normal, f32::MIN), |top, (class, p)| if *p > top.1 { (class, *p) } else { top });
        let benign = row.get(normal as usize).copied().unwrap_or(1.0);
        let alert = Alert { packets: flow.packets, time_nanos: flow.ended_nanos };
        JudgedFlow {
            called: likeliest.0,
            score: 1.0 - f64::from(benign),
            alert: (likeliest.0 != normal).then_some(alert),
            probabilities: row.iter().take(classes.known()).copied().collect(),
            ..flow.clone()
        }
    };
    flows.iter().zip(probabilities.chunks_exact(width.max(1))).map(one).collect()
}

fn matrix(verdicts: &[FlowVerdict]) -> Vec<f32> {
    let mut values = Vec::with_capacity(verdicts.len() * WIDTH);
    for verdict in verdicts {
        verdict.flow.sides.iter().for_each(|side| values.extend(of_side(side)));
        values.push(f32::from(verdict.flow.key().protocol()));
    }
    values
}

/// In the order of [`OF_SIDE`]; times in seconds, lengths in bytes.
fn of_side(side: &Side) -> [f32; OF_SIDE.len()] {
    [
        side.packets as f32,
        side.bytes as f32,
        side.mean_len() as f32,
        side.std_len() as f32,
        side.min_len as f32,
        side.max_len as f32,
        side.mean_gap_secs() as f32,
        side.std_gap_secs() as f32,
        (side.min_gap_nanos as f64 * 1e-9) as f32,
        (side.max_gap_nanos as f64 * 1e-9) as f32,
        side.psh as f32,
        side.rst as f32,
        side.syn as f32,
        side.fin as f32,
    ]
}

fn seconds(flows: &[JudgedFlow]) -> Vec<f64> {
    flows.iter().map(|flow| (flow.first_nanos as f64 * 1e-9).floor()).collect()
}

fn ports(flows: &[JudgedFlow]) -> Vec<Option<u16>> {
    flows.iter().map(|flow| matches!(flow.protocol, 6 | 17).then_some(flow.dst.1)).collect()
}
