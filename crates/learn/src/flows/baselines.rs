//! Baselines for a detector, on the same flows: threshold rules and simple classifiers.
//!
//! The classifiers are fitted on training recordings and classify a flow by its statistics when it ends. They read no
//! addresses, and no ports except for the port baseline.

use citronella_sensor::{detect::FlowVerdict, flow::Side};

use super::{
    classified::{Classes, ClassifiedFlow, FlaggedAt},
    classify::{ClassifiedFlows, FlowsError},
    rules::flagged,
    source::LabelledCapture,
};
use crate::{
    evaluate::{Majority, Matrix, NearestInTime, PortOnly, Stump},
    prepare::{self, TrainSet},
    zoo::{Classifier, Method, RandomForest},
};

/// Features of each direction of a flow.
const SIDE_FEATURES: [&str; 14] = [
    "packets", "bytes", "mean_len", "std_len", "min_len", "max_len", "mean_gap", "std_gap", "min_gap",
    "max_gap", "psh", "rst", "syn", "fin",
];
/// Features of a flow: both directions and the protocol.
const WIDTH: usize = 2 * SIDE_FEATURES.len() + 1;
/// Trees of the random forest.
const TREES: usize = 100;

/// A baseline's verdicts.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// Description of the baseline.
    pub name: String,
    /// The flows with its verdicts.
    pub flows: Vec<ClassifiedFlow>,
}

/// Classifiers fitted on training recordings.
pub struct Baselines {
    classes: usize,
    forest: Box<dyn Classifier>,
    majority: Majority,
    stump: Stump,
    time: NearestInTime,
    port: PortOnly,
}

impl Baselines {
    /// Fits the classifiers on the flows of training recordings.
    ///
    /// # Errors
    /// There are no flows.
    pub fn fit(train: &ClassifiedFlows, seed: u64, threads: usize) -> Result<Baselines, FlowsError> {
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

    /// Classifies the flows of other recordings; their classes must be those of training.
    pub fn classify(&self, test: &ClassifiedFlows, threads: usize) -> Vec<Baseline> {
        let x = matrix(&test.verdicts);
        let rows = prepare::Matrix { data: x.clone(), width: WIDTH };
        let input = self.stump.feature();
        let side = ["initiator", "responder"].get(input / SIDE_FEATURES.len());
        let column = match (side, SIDE_FEATURES.get(input % SIDE_FEATURES.len())) {
            (Some(side), Some(name)) => format!("{side}'s {name}"),
            _ => "protocol".to_owned(),
        };
        let of = |name: String, probabilities: Vec<f32>| Baseline {
            name,
            flows: classified_at_end(&test.classes, &test.flows, &probabilities, self.classes),
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

/// Applies the threshold rules, which need no training, to the captures of `test`.
///
/// # Errors
/// A capture cannot be read.
pub fn rules(test: &ClassifiedFlows, captures: &[LabelledCapture]) -> Result<Baseline, FlowsError> {
    let flagged = captures.iter().map(|capture| flagged(capture.open()?)).collect::<Result<Vec<_>, _>>()?;
    let normal = test.classes.normal();
    let flows = test.flows.iter().zip(&test.verdicts).map(|(flow, verdict)| {
        let rule = flagged.get(flow.capture as usize).and_then(|flows| flows.get(&verdict.flow.id));
        ClassifiedFlow {
            predicted: rule.map_or(normal, |rule| test.classes.index(rule.class)),
            score: if rule.is_some() { 1.0 } else { 0.0 },
            flagged_at: rule.map(|rule| FlaggedAt { packets: flow.packets, time_nanos: rule.time_nanos }),
            probabilities: Vec::new(),
            ..flow.clone()
        }
    });
    Ok(Baseline { name: "ten threshold rules".to_owned(), flows: flows.collect() })
}

/// The flows with the most probable class as the verdict, at the flow's end.
fn classified_at_end(
    classes: &Classes,
    flows: &[ClassifiedFlow],
    probabilities: &[f32],
    width: usize,
) -> Vec<ClassifiedFlow> {
    let normal = classes.normal();
    let one = |(flow, row): (&ClassifiedFlow, &[f32])| {
        let likeliest = (0..)
            .zip(row)
            .fold((normal, f32::MIN), |top, (class, p)| if *p > top.1 { (class, *p) } else { top });
        let benign = row.get(normal as usize).copied().unwrap_or(1.0);
        let flagged_at = FlaggedAt { packets: flow.packets, time_nanos: flow.ended_nanos };
        ClassifiedFlow {
            predicted: likeliest.0,
            score: 1.0 - f64::from(benign),
            flagged_at: (likeliest.0 != normal).then_some(flagged_at),
            probabilities: row.iter().take(classes.known()).copied().collect(),
            ..flow.clone()
        }
    };
    flows.iter().zip(probabilities.chunks_exact(width.max(1))).map(one).collect()
}

fn matrix(verdicts: &[FlowVerdict]) -> Vec<f32> {
    let mut values = Vec::with_capacity(verdicts.len() * WIDTH);
    for verdict in verdicts {
        verdict.flow.sides.iter().for_each(|side| values.extend(side_features(side)));
        values.push(f32::from(verdict.flow.key().protocol()));
    }
    values
}

/// In the order of [`SIDE_FEATURES`]; times in seconds, lengths in bytes.
fn side_features(side: &Side) -> [f32; SIDE_FEATURES.len()] {
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

fn seconds(flows: &[ClassifiedFlow]) -> Vec<f64> {
    flows.iter().map(|flow| (flow.first_nanos as f64 * 1e-9).floor()).collect()
}

fn ports(flows: &[ClassifiedFlow]) -> Vec<Option<u16>> {
    flows.iter().map(|flow| matches!(flow.protocol, 6 | 17).then_some(flow.dst.1)).collect()
}
