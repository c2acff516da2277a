//! `citronella explain -r CAPTURE --flow N`: contributions of packets and features to a flow's verdict.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};
use citronella_learn::report::{Block, HeatMap, KeyFigure, MetricRow, MetricTable, Report, Section};
use citronella_sensor::{
    detect::{Config, Detector, Explanation, FlowChoice, explain},
    feature::schema::Level,
    output::write_file,
};
use serde_json::json;
use tracing::info;

use crate::{
    detect, output_path,
    progress::Progress,
    show::{self, count},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A pcap or pcapng file, plain, .gz or .zst; read twice
    #[arg(short, long, value_name = "CAPTURE")]
    read: PathBuf,
    /// The flow: its row in `detect --verdicts`, from 1, or its endpoints, such as 10.0.0.9:40123-10.0.0.2:1883
    #[arg(long, value_name = "N|SRC:PORT-DST:PORT")]
    flow: String,
    /// Number of the flow's packet to explain, from 1 [default: the one that flagged it, or the one with the highest
    /// probability of an attack]
    #[arg(long, value_name = "K")]
    packet: Option<u64>,
    /// A model file of the preset `sequence` [default: the embedded model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Also write the heat map to a .svg file, or a page with it to a folder
    #[arg(long, value_name = "FILE.svg|DIR")]
    report: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
}

/// Maximum features in tables and the heat map.
const SHOWN: usize = 20;
/// Maximum counts beyond the benign limits in the text.
const SHOWN_COUNTS: usize = 5;
/// Maximum packets in the table.
const SHOWN_PACKETS: usize = 12;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.read.as_os_str() != "-",
        "-r -: the capture is read twice, which is impossible with stdin; save it to a file first"
    );
    let choice = choice(&arguments.flow)?;
    let svg = arguments.report.as_deref().filter(|path| path.extension().is_some_and(|e| e == "svg"));
    if let Some(svg) = svg {
        output_path::check(svg)?;
    }
    let detector = detect::load(arguments.model.as_deref(), Default::default())?;
    let progress = Progress::stderr();
    progress.begin("read twice", 0);
    let explanation = explain(&detector, Config::default(), &arguments.read, &choice, arguments.packet)?;
    progress.end();
    if explanation.candidates > 1 {
        let (candidates, row) = (count(explanation.candidates), count(explanation.number));
        info!("{candidates} flows between these endpoints; this is the first, row {row} of the verdicts");
    }
    let view = View { detector: &detector, explanation: &explanation, inputs: detector.inputs() };
    match (&arguments.report, svg) {
        (Some(path), Some(_)) => write_file(path, view.heat().svg().as_bytes())?,
        (Some(folder), None) => {
            let written = view.report(&arguments.read).write(folder, &view.document())?;
            info!(file = %written.page.display(), "{}: report written", written.page.display());
        }
        (None, _) => {}
    }
    if arguments.json { show::json(&view.document()) } else { view.print() }
}

/// Parses a row number, or two endpoints with a dash between them.
fn choice(text: &str) -> Result<FlowChoice> {
    if let Ok(number) = text.replace([',', '_'], "").parse() {
        return Ok(FlowChoice::Number(number));
    }
    let endpoints = text.split_once('-').and_then(|(a, b)| Some((endpoint(a)?, endpoint(b)?)));
    match endpoints {
        Some((a, b)) => Ok(FlowChoice::Endpoints(a, b)),
        None => bail!(
            "--flow {text}: expected the row of `citronella detect --verdicts`, such as 17, or the flow's endpoints, such as 10.0.0.9:40123-10.0.0.2:1883 (IPv6 in brackets)"
        ),
    }
}

fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let text = text.trim().trim_start_matches('>').trim_start();
    text.parse::<SocketAddr>().ok().map(|address| (address.ip(), address.port()))
}

/// An explanation as text, JSON, heat map and page.
struct View<'a> {
    detector: &'a Detector,
    explanation: &'a Explanation,
    inputs: &'a [String],
}

impl View<'_> {
    fn class(&self, class: u32) -> &str {
        self.detector.classes().get(class as usize).map_or("unknown", String::as_str)
    }

    /// A feature's meaning and unit by the schema.
    fn meaning(&self, feature: usize) -> String {
        let name = self.inputs.get(feature).map_or("", String::as_str);
        let column = Level::Sequence.columns().iter().find(|column| column.name == name);
        column.map_or(name.to_owned(), |column| format!("{} [{}]", column.meaning, column.unit))
    }

    fn name(&self, feature: usize) -> &str {
        self.inputs.get(feature).map_or("", String::as_str)
    }

    /// Features with their contributions, by descending magnitude.
    fn strongest(&self) -> Vec<(usize, f64)> {
        let mut all: Vec<(usize, f64)> = self.explanation.by_feature().into_iter().enumerate().collect();
        all.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        all
    }

    fn headline(&self) -> String {
        let (verdict, flow) = (&self.explanation.verdict, &self.explanation.verdict.flow);
        let endpoint = |(address, port): (IpAddr, u16)| SocketAddr::new(address, port).to_string();
        let outcome = match verdict.packets_to_alert {
            Some(packet) => format!("flagged as {} at packet {packet}", self.class(verdict.class)),
            None => "not flagged".to_owned(),
        };
        format!(
            "Flow {}: {} to {}, {} packets, {outcome} (score {:.4}).",
            count(self.explanation.number),
            endpoint(flow.src()),
            endpoint(flow.dst()),
            count(flow.packets()),
            verdict.score
        )
    }

    fn summary(&self) -> String {
        let (first, last) = self.span();
        let attribution = &self.explanation.attribution;
        format!(
            "Contributions of packets {first} to {last} to the log-odds of {} against {}, from {:+.2} at the baseline to {:+.2}; their sum deviates by {:.3}. 0.7 doubles the odds; positive values indicate {}.",
            self.class(self.explanation.attack),
            self.class(0),
            attribution.baseline,
            attribution.output,
            attribution.missing.abs(),
            self.class(self.explanation.attack)
        )
    }

    /// For the unknown class: the initiator's counts beyond the benign limits, at the packet where they exceed them
    /// most.
    fn beyond(&self) -> Option<String> {
        if self.explanation.verdict.class as usize != self.detector.classes().len() {
            return None;
        }
        let x = |packet: &&citronella_sensor::detect::ExplainedPacket| self.detector.beyond(&packet.features);
        let most = self.explanation.packets.iter().max_by(|a, b| x(a).total_cmp(&x(b)))?;
        let one = |(feature, beyond): &(usize, f32)| {
            format!("{} ({}) {:.1} times", self.meaning(*feature), self.name(*feature), beyond.exp())
        };
        let all: Vec<String> =
            self.detector.exceeded(&most.features).iter().take(SHOWN_COUNTS).map(one).collect();
        (!all.is_empty()).then(|| {
            format!(
                "Unknown class: beyond the highest values of benign hosts in training, at packet {}: {}.",
                most.in_flow,
                all.join(", ")
            )
        })
    }

    fn span(&self) -> (u64, u64) {
        let number =
            |packet: Option<&citronella_sensor::detect::ExplainedPacket>| packet.map_or(0, |p| p.in_flow);
        (number(self.explanation.packets.first()), number(self.explanation.packets.last()))
    }

    fn print(&self) -> Result<()> {
        show::line(&self.headline())?;
        self.beyond().map_or(Ok(()), |text| show::line(&text))?;
        show::line(&format!("{}\n", self.summary()))?;
        let last =
            self.explanation.packets.last().map(|packet| packet.features.as_slice()).unwrap_or_default();
        let mut features = show::table(&["feature", "contribution", "last value", "meaning"]);
        if let Some(column) = features.column_mut(3) {
            column.set_cell_alignment(comfy_table::CellAlignment::Left);
        }
        for (feature, contribution) in
            self.strongest().into_iter().filter(|(_, contribution)| contribution.abs() >= 0.005).take(SHOWN)
        {
            let value = last.get(feature).copied().unwrap_or_default();
            features.add_row([
                self.name(feature).to_owned(),
                format!("{contribution:+.2}"),
                format!("{value:.3}"),
                self.meaning(feature),
            ]);
        }
        show::print(&features)?;
        let mut packets: Vec<(usize, f64)> = self.explanation.by_packet().into_iter().enumerate().collect();
        packets.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        packets.truncate(SHOWN_PACKETS);
        packets.sort_by_key(|(at, _)| *at);
        let mut table =
            show::table(&["packet", "packet of the capture", "contribution", "strongest feature"]);
        for (at, contribution) in packets {
            let Some(packet) = self.explanation.packets.get(at) else { continue };
            let (feature, by) = self.top_of_packet(at);
            table.add_row([
                count(packet.in_flow),
                count(packet.in_capture),
                format!("{contribution:+.2}"),
                format!("{} {by:+.2}", self.name(feature)),
            ]);
        }
        show::print(&table)
    }

    fn top_of_packet(&self, packet: usize) -> (usize, f64) {
        let step = self
            .explanation
            .attribution
            .values
            .chunks_exact(self.explanation.width())
            .nth(packet)
            .unwrap_or_default();
        let strongest = step.iter().copied().enumerate();
        strongest.fold((0, 0.0), |top, (at, v)| if v.abs() > top.1.abs() { (at, v) } else { top })
    }

    fn document(&self) -> serde_json::Value {
        let explanation = self.explanation;
        let flow = &explanation.verdict.flow;
        let width = explanation.width();
        let by_feature: Vec<_> = self
            .strongest()
            .into_iter()
            .map(|(feature, contribution)| json!({ "feature": self.name(feature), "meaning": self.meaning(feature), "contribution": contribution }))
            .collect();
        let packets: Vec<_> = explanation
            .packets
            .iter()
            .zip(explanation.by_packet())
            .zip(explanation.attribution.values.chunks_exact(width))
            .map(|((packet, contribution), values)| {
                json!({
                    "packet": packet.in_flow, "in_capture": packet.in_capture,
                    "time": packet.time_nanos as f64 * 1e-9, "contribution": contribution,
                    "features": packet.features, "by_feature": values,
                })
            })
            .collect();
        let probabilities: serde_json::Map<_, _> = self
            .detector
            .classes()
            .iter()
            .cloned()
            .zip(explanation.probabilities.iter().map(|p| json!(p)))
            .collect();
        json!({
            "flow": explanation.number,
            "src_ip": flow.src().0, "src_port": flow.src().1, "dst_ip": flow.dst().0, "dst_port": flow.dst().1,
            "proto": flow.key().protocol(), "flow_packets": flow.packets(),
            "class": self.class(explanation.verdict.class), "score": explanation.verdict.score,
            "packets_to_alert": explanation.verdict.packets_to_alert,
            "explained": { "log_odds_of": self.class(explanation.attack), "against": self.class(0) },
            "method": "integrated gradients, baseline 0",
            "points": explanation.attribution.points,
            "baseline": explanation.attribution.baseline, "output": explanation.attribution.output,
            "residual": explanation.attribution.missing,
            "probabilities": probabilities,
            "features": self.inputs,
            "by_feature": by_feature,
            "packets": packets,
        })
    }

    fn heat(&self) -> HeatMap {
        let width = self.explanation.width();
        let shown: Vec<usize> = self
            .strongest()
            .into_iter()
            .filter(|(_, contribution)| contribution.abs() >= 1e-3)
            .take(SHOWN)
            .map(|(at, _)| at)
            .collect();
        let values = &self.explanation.attribution.values;
        let cell =
            |feature: usize, packet: usize| values.get(packet * width + feature).copied().unwrap_or_default();
        let packets = 0..self.explanation.packets.len();
        let most = shown
            .iter()
            .flat_map(|&feature| packets.clone().map(move |packet| cell(feature, packet).abs()))
            .fold(1e-9, f64::max);
        let hint = |feature: usize, packet: usize| {
            let number = self.explanation.packets.get(packet).map_or(0, |p| p.in_flow);
            format!("packet {number}, {}: {:+.3}", self.meaning(feature), cell(feature, packet))
        };
        HeatMap {
            title: format!(
                "Features by packets: orange contributes to {}, blue against it",
                self.class(self.explanation.attack)
            ),
            rows: shown.iter().map(|&feature| self.name(feature).to_owned()).collect(),
            columns: self.explanation.packets.iter().map(|packet| packet.in_flow.to_string()).collect(),
            from: String::new(),
            to: String::new(),
            values: shown.iter().map(|&f| packets.clone().map(|p| cell(f, p) / most).collect()).collect(),
            hints: shown.iter().map(|&f| packets.clone().map(|p| hint(f, p)).collect()).collect(),
        }
    }

    fn report(&self, capture: &Path) -> Report {
        let key = |label: &str, value: String, note: &str| KeyFigure {
            label: label.to_owned(),
            value,
            note: note.to_owned(),
        };
        let attribution = &self.explanation.attribution;
        let figures = vec![
            key("log-odds, baseline", format!("{:+.2}", attribution.baseline), "all features 0"),
            key("log-odds, output", format!("{:+.2}", attribution.output), "calibrated"),
            key("residual", format!("{:.3}", attribution.missing.abs()), "of the numeric integration"),
        ];
        let last =
            self.explanation.packets.last().map(|packet| packet.features.as_slice()).unwrap_or_default();
        let row = |(feature, contribution): (usize, f64)| MetricRow {
            label: self.name(feature).to_owned(),
            cells: vec![
                format!("{contribution:+.3}"),
                format!("{:.3}", last.get(feature).copied().unwrap_or_default()),
                self.meaning(feature),
            ],
            strong: false,
        };
        let table = MetricTable {
            caption: "Features by contribution, summed over the packets".into(),
            columns: ["feature", "contribution", "last value", "meaning"].map(str::to_owned).into(),
            rows: self.strongest().into_iter().take(SHOWN).map(row).collect(),
        };
        Report {
            title: "Citronella: explanation of a verdict".into(),
            subtitle: self.headline(),
            findings: std::iter::once(self.summary()).chain(self.beyond()).collect(),
            sections: vec![Section {
                heading: "Features by packets".into(),
                prose: vec!["Integrated gradients of the log-odds from a baseline of zeros; a cell is the contribution of one feature of one packet.".into()],
                blocks: vec![Block::Figures(figures), Block::Heat(self.heat()), Block::Table(table)],
            }],
            provenance: vec![("capture".into(), capture.display().to_string())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_by_number_and_by_endpoints() {
        assert_eq!(choice("17").unwrap(), FlowChoice::Number(17));
        let endpoints = FlowChoice::Endpoints(([10, 0, 0, 9].into(), 40123), ([10, 0, 0, 2].into(), 1883));
        assert_eq!(choice("10.0.0.9:40123-10.0.0.2:1883").unwrap(), endpoints);
        assert_eq!(choice("10.0.0.9:40123 -> 10.0.0.2:1883").unwrap(), endpoints);
        assert!(choice("[2001:db8::1]:5-[2001:db8::2]:1883").is_ok());
        assert!(choice("10.0.0.9-10.0.0.2").unwrap_err().to_string().contains("such as 17"));
    }
}
