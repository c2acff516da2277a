//! `citronella explain -r CAPTURE --flow N`: which packets and which features moved a flow's verdict.

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
    /// Recorded traffic: a pcap or pcapng file, plain, .gz or .zst; it is read twice
    #[arg(short, long, value_name = "CAPTURE")]
    read: PathBuf,
    /// The flow: its row in `detect --verdicts`, from 1, or its ends, such as 10.0.0.9:40123-10.0.0.2:1883
    #[arg(long, value_name = "N|SRC:PORT-DST:PORT")]
    flow: String,
    /// The packet of the flow to explain, from 1; else the one that called it, or the one nearest to a call
    #[arg(long, value_name = "K")]
    packet: Option<u64>,
    /// A model of the preset `sequence`, as `train` wrote it; else the one in the program
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Also write the heat map to a .svg file, or a page with it into a folder
    #[arg(long, value_name = "FILE.svg|DIR")]
    report: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
}

/// Features that tables and the heat map show.
const SHOWN: usize = 20;
/// Counts beyond those of benign hosts in the text.
const SHOWN_COUNTS: usize = 5;
/// Packets that the table shows.
const SHOWN_PACKETS: usize = 12;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.read.as_os_str() != "-",
        "-r -: a capture to explain is read twice, which stdin cannot be; save it to a file first"
    );
    let choice = choice(&arguments.flow)?;
    let svg = arguments.report.as_deref().filter(|path| path.extension().is_some_and(|e| e == "svg"));
    if let Some(svg) = svg {
        output_path::check(svg)?;
    }
    let detector = detect::load(arguments.model.as_deref(), Default::default())?;
    let progress = Progress::stderr();
    progress.begin("read twice", 0);
    let found = explain(&detector, Config::default(), &arguments.read, &choice, arguments.packet)?;
    progress.end();
    if found.candidates > 1 {
        let (others, row) = (count(found.candidates), count(found.number));
        info!("{others} flows lie between these ends; this is the first, row {row} of the verdicts");
    }
    let view = View { detector: &detector, found: &found, inputs: detector.inputs() };
    match (&arguments.report, svg) {
        (Some(path), Some(_)) => write_file(path, view.heat().svg().as_bytes())?,
        (Some(folder), None) => {
            let written = view.report(&arguments.read).write(folder, &view.document())?;
            info!(file = %written.page.display(), "{}: the report", written.page.display());
        }
        (None, _) => {}
    }
    if arguments.json { show::json(&view.document()) } else { view.print() }
}

/// A number, or two ends with a dash between them.
fn choice(text: &str) -> Result<FlowChoice> {
    if let Ok(number) = text.replace([',', '_'], "").parse() {
        return Ok(FlowChoice::Number(number));
    }
    let ends = text.split_once('-').and_then(|(a, b)| Some((end(a)?, end(b)?)));
    match ends {
        Some((a, b)) => Ok(FlowChoice::Ends(a, b)),
        None => bail!(
            "--flow {text}: expected the row of `citronella detect --verdicts`, such as 17, or the flow's ends, such as 10.0.0.9:40123-10.0.0.2:1883 (IPv6 in brackets)"
        ),
    }
}

fn end(text: &str) -> Option<(IpAddr, u16)> {
    let text = text.trim().trim_start_matches('>').trim_start();
    text.parse::<SocketAddr>().ok().map(|end| (end.ip(), end.port()))
}

/// An explanation for people.
struct View<'a> {
    detector: &'a Detector,
    found: &'a Explanation,
    inputs: &'a [String],
}

impl View<'_> {
    fn class(&self, class: u32) -> &str {
        self.detector.classes().get(class as usize).map_or("unknown", String::as_str)
    }

    /// A feature in the schema's words.
    fn meaning(&self, feature: usize) -> String {
        let name = self.inputs.get(feature).map_or("", String::as_str);
        let column = Level::Sequence.columns().iter().find(|column| column.name == name);
        column.map_or(name.to_owned(), |column| format!("{} [{}]", column.meaning, column.unit))
    }

    fn name(&self, feature: usize) -> &str {
        self.inputs.get(feature).map_or("", String::as_str)
    }

    /// Features by how much they move, either way.
    fn strongest(&self) -> Vec<(usize, f64)> {
        let mut all: Vec<(usize, f64)> = self.found.by_feature().into_iter().enumerate().collect();
        all.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        all
    }

    fn headline(&self) -> String {
        let (found, flow) = (self.found, &self.found.verdict.flow);
        let end = |(address, port): (IpAddr, u16)| SocketAddr::new(address, port).to_string();
        let verdict = match found.verdict.packets_to_alert {
            Some(packet) => format!("called {} at its packet {packet}", self.class(found.verdict.class)),
            None => "not called an attack".to_owned(),
        };
        format!(
            "Flow {}: {} to {}, {} packets, {verdict} (score {:.4}).",
            count(found.number),
            end(flow.src()),
            end(flow.dst()),
            count(flow.packets()),
            found.verdict.score
        )
    }

    fn what(&self) -> String {
        let (first, last) = self.span();
        let attribution = &self.found.attribution;
        format!(
            "What packets {first} to {last} add to the log-odds of {} against {}: from {:+.2}, where nothing is known, to {:+.2}; the parts add up to all but {:.3} of it. 0.7 doubles the odds; what is positive speaks for {}.",
            self.class(self.found.attack),
            self.class(0),
            attribution.baseline,
            attribution.output,
            attribution.missing.abs(),
            self.class(self.found.attack)
        )
    }

    /// Of one that is unknown: the counts of its initiator that no benign host of training came near, at the packet
    /// where they stand out most.
    fn beyond(&self) -> Option<String> {
        if self.found.verdict.class as usize != self.detector.classes().len() {
            return None;
        }
        let x = |packet: &&citronella_sensor::detect::ExplainedPacket| self.detector.beyond(&packet.features);
        let most = self.found.packets.iter().max_by(|a, b| x(a).total_cmp(&x(b)))?;
        let one = |(feature, beyond): &(usize, f32)| {
            format!("{} ({}) {:.1} times", self.meaning(*feature), self.name(*feature), beyond.exp())
        };
        let all: Vec<String> =
            self.detector.exceeded(&most.features).iter().take(SHOWN_COUNTS).map(one).collect();
        (!all.is_empty()).then(|| {
            format!(
                "Of no class, and beyond what benign hosts of training did at most, at packet {}: {}.",
                most.in_flow,
                all.join(", ")
            )
        })
    }

    fn span(&self) -> (u64, u64) {
        let number =
            |packet: Option<&citronella_sensor::detect::ExplainedPacket>| packet.map_or(0, |p| p.in_flow);
        (number(self.found.packets.first()), number(self.found.packets.last()))
    }

    fn print(&self) -> Result<()> {
        show::line(&self.headline())?;
        self.beyond().map_or(Ok(()), |text| show::line(&text))?;
        show::line(&format!("{}\n", self.what()))?;
        let last = self.found.packets.last().map(|packet| packet.features.as_slice()).unwrap_or_default();
        let mut features = show::table(&["feature", "adds", "value at the end", "meaning"]);
        if let Some(column) = features.column_mut(3) {
            column.set_cell_alignment(comfy_table::CellAlignment::Left);
        }
        for (feature, adds) in
            self.strongest().into_iter().filter(|(_, adds)| adds.abs() >= 0.005).take(SHOWN)
        {
            let value = last.get(feature).copied().unwrap_or_default();
            features.add_row([
                self.name(feature).to_owned(),
                format!("{adds:+.2}"),
                format!("{value:.3}"),
                self.meaning(feature),
            ]);
        }
        show::print(&features)?;
        let mut packets: Vec<(usize, f64)> = self.found.by_packet().into_iter().enumerate().collect();
        packets.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        packets.truncate(SHOWN_PACKETS);
        packets.sort_by_key(|(at, _)| *at);
        let mut table = show::table(&["packet", "in the capture", "adds", "mostly by"]);
        for (at, adds) in packets {
            let Some(packet) = self.found.packets.get(at) else { continue };
            let (feature, by) = self.top_of_packet(at);
            table.add_row([
                count(packet.in_flow),
                count(packet.in_capture),
                format!("{adds:+.2}"),
                format!("{} {by:+.2}", self.name(feature)),
            ]);
        }
        show::print(&table)
    }

    fn top_of_packet(&self, packet: usize) -> (usize, f64) {
        let step =
            self.found.attribution.values.chunks_exact(self.found.width()).nth(packet).unwrap_or_default();
        let strongest = step.iter().copied().enumerate();
        strongest.fold((0, 0.0), |top, (at, v)| if v.abs() > top.1.abs() { (at, v) } else { top })
    }

    fn document(&self) -> serde_json::Value {
        let found = self.found;
        let flow = &found.verdict.flow;
        let width = found.width();
        let by_feature: Vec<_> = self
            .strongest()
            .into_iter()
            .map(|(feature, adds)| json!({ "feature": self.name(feature), "meaning": self.meaning(feature), "adds": adds }))
            .collect();
        let packets: Vec<_> = found
            .packets
            .iter()
            .zip(found.by_packet())
            .zip(found.attribution.values.chunks_exact(width))
            .map(|((packet, adds), values)| {
                json!({
                    "packet": packet.in_flow, "in_capture": packet.in_capture,
                    "time": packet.time_nanos as f64 * 1e-9, "adds": adds,
                    "features": packet.features, "by_feature": values,
                })
            })
            .collect();
        let probabilities: serde_json::Map<_, _> = self
            .detector
            .classes()
            .iter()
            .cloned()
            .zip(found.probabilities.iter().map(|p| json!(p)))
            .collect();
        json!({
            "flow": found.number,
            "src_ip": flow.src().0, "src_port": flow.src().1, "dst_ip": flow.dst().0, "dst_port": flow.dst().1,
            "proto": flow.key().protocol(), "flow_packets": flow.packets(),
            "class": self.class(found.verdict.class), "score": found.verdict.score,
            "packets_to_alert": found.verdict.packets_to_alert,
            "explained": { "log_odds_of": self.class(found.attack), "against": self.class(0) },
            "method": "integrated gradients, baseline 0",
            "points": found.attribution.points,
            "baseline": found.attribution.baseline, "output": found.attribution.output,
            "missing": found.attribution.missing,
            "probabilities": probabilities,
            "features": self.inputs,
            "by_feature": by_feature,
            "packets": packets,
        })
    }

    fn heat(&self) -> HeatMap {
        let width = self.found.width();
        let shown: Vec<usize> = self
            .strongest()
            .into_iter()
            .filter(|(_, adds)| adds.abs() >= 1e-3)
            .take(SHOWN)
            .map(|(at, _)| at)
            .collect();
        let values = &self.found.attribution.values;
        let cell =
            |feature: usize, packet: usize| values.get(packet * width + feature).copied().unwrap_or_default();
        let packets = 0..self.found.packets.len();
        let most = shown
            .iter()
            .flat_map(|&feature| packets.clone().map(move |packet| cell(feature, packet).abs()))
            .fold(1e-9, f64::max);
        let hint = |feature: usize, packet: usize| {
            let number = self.found.packets.get(packet).map_or(0, |p| p.in_flow);
            format!("packet {number}, {}: {:+.3}", self.meaning(feature), cell(feature, packet))
        };
        HeatMap {
            title: format!(
                "Features by packets: orange speaks for {}, blue against",
                self.class(self.found.attack)
            ),
            rows: shown.iter().map(|&feature| self.name(feature).to_owned()).collect(),
            columns: self.found.packets.iter().map(|packet| packet.in_flow.to_string()).collect(),
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
        let attribution = &self.found.attribution;
        let figures = vec![
            key("log-odds, nothing known", format!("{:+.2}", attribution.baseline), "all features 0"),
            key("log-odds at the packet", format!("{:+.2}", attribution.output), "calibrated"),
            key("not accounted for", format!("{:.3}", attribution.missing.abs()), "by the numeric integral"),
        ];
        let last = self.found.packets.last().map(|packet| packet.features.as_slice()).unwrap_or_default();
        let row = |(feature, adds): (usize, f64)| MetricRow {
            label: self.name(feature).to_owned(),
            cells: vec![
                format!("{adds:+.3}"),
                format!("{:.3}", last.get(feature).copied().unwrap_or_default()),
                self.meaning(feature),
            ],
            strong: false,
        };
        let table = MetricTable {
            caption: "Features, by what they add over all packets".into(),
            columns: ["feature", "adds", "value at the end", "meaning"].map(str::to_owned).into(),
            rows: self.strongest().into_iter().take(SHOWN).map(row).collect(),
        };
        Report {
            title: "Citronella: what moved a verdict".into(),
            subtitle: self.headline(),
            findings: std::iter::once(self.what()).chain(self.beyond()).collect(),
            sections: vec![Section {
                heading: "Features by packets".into(),
                prose: vec!["Integrated gradients of the log-odds along the line from a sequence of zeros; a cell is what one feature of one packet adds.".into()],
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
    fn flows_by_number_and_by_their_ends() {
        assert_eq!(choice("17").unwrap(), FlowChoice::Number(17));
        let ends = FlowChoice::Ends(([10, 0, 0, 9].into(), 40123), ([10, 0, 0, 2].into(), 1883));
        assert_eq!(choice("10.0.0.9:40123-10.0.0.2:1883").unwrap(), ends);
        assert_eq!(choice("10.0.0.9:40123 -> 10.0.0.2:1883").unwrap(), ends);
        assert!(choice("[2001:db8::1]:5-[2001:db8::2]:1883").is_ok());
        assert!(choice("10.0.0.9-10.0.0.2").unwrap_err().to_string().contains("such as 17"));
    }
}
