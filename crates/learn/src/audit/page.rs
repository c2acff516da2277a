//! The audit as a report page.

use super::{Audit, Severity, finding::percent};
use crate::report::{BarPlot, Block, HeatMap, KeyFigure, ListItem, MetricRow, MetricTable, Report, Section};

/// Columns in the plot.
const SHOWN: usize = 24;

impl Audit {
    /// A page with the findings, worst first, and the figures behind them.
    pub fn report(&self) -> Report {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let key = |label: &str, value: String, note: &str| KeyFigure {
            label: label.to_owned(),
            value,
            note: note.to_owned(),
        };
        let skill = |skill: f64| percent(skill.max(0.0));
        let mut figures = vec![
            key("fatal", count(Severity::Fatal).to_string(), "a score is meaningless until these are fixed"),
            key("warnings", count(Severity::Warning).to_string(), "caveats of a score"),
            key("skill, random split", skill(self.trees.all.skill), "a decision tree over all columns"),
        ];
        if let Some(unseen) = self.trees.unseen_all {
            figures.push(key("skill, unseen recordings", skill(unseen.skill), "the same tree"));
        }
        let mut findings = Section {
            heading: "Findings".into(),
            blocks: vec![Block::Figures(figures)],
            ..Section::default()
        };
        findings.blocks.push(Block::List(self.finding_list()));
        let columns = Section {
            heading: "The score of each column alone".into(),
            prose: vec!["One rule on one column, on held-out rows: the class that is most over-represented among the training rows with the same value (for times, the class of the nearest training row). Skill is the mean recall of the classes, scaled so that 0 is chance and 1 is perfect, however rare a class is.".into()],
            blocks: vec![Block::Bars(self.bars()), Block::Table(self.column_table())],
        };
        let timeline = Section {
            heading: "When each class was recorded".into(),
            prose: vec!["Each line is a class, from the first row to the last; the darker, the more of its rows. Classes that follow one another are predictable from the time.".into()],
            blocks: vec![Block::Heat(self.heat())],
        };
        Report {
            title: "Citronella: audit of a data set".into(),
            subtitle: format!(
                "{} of {} rows sampled, {} classes",
                self.sampled,
                self.rows,
                self.classes.len()
            ),
            findings: std::iter::once(self.verdict.clone())
                .chain(
                    self.findings
                        .iter()
                        .filter(|finding| finding.severity == Severity::Fatal)
                        .map(|finding| finding.text.clone()),
                )
                .collect(),
            sections: vec![findings, columns, timeline, self.tree_section()],
            provenance: self.provenance(),
        }
    }

    fn finding_list(&self) -> Vec<ListItem> {
        let item = |finding: &super::Finding| ListItem {
            tag: finding.severity.name().to_owned(),
            text: finding.text.clone(),
            note: finding.advice.clone(),
            strong: finding.severity == Severity::Fatal,
        };
        self.findings.iter().map(item).collect()
    }

    fn bars(&self) -> BarPlot {
        let bars = self.columns.iter().take(SHOWN).map(|column| {
            (format!("{} ({})", column.name, column.role.name()), column.power.strongest().max(0.0))
        });
        BarPlot {
            title: "Skill of one column alone".into(),
            axis: "skill".into(),
            bars: bars.collect(),
            max: 1.0,
        }
    }

    fn column_table(&self) -> MetricTable {
        let row = |column: &super::ColumnPower| MetricRow {
            label: column.name.clone(),
            cells: vec![
                column.role.name().to_owned(),
                percent(column.power.skill.max(0.0)),
                column.power.attack_skill.map_or("–".to_owned(), |skill| percent(skill.max(0.0))),
                percent(column.power.accuracy),
            ],
            strong: false,
        };
        MetricTable {
            caption: "All columns".into(),
            columns: ["column", "role", "skill, classes", "skill, attack or normal", "accuracy"]
                .map(str::to_owned)
                .into(),
            rows: self.columns.iter().map(row).collect(),
        }
    }

    fn heat(&self) -> HeatMap {
        let most = self.timeline.iter().flatten().copied().fold(1e-9, f64::max);
        HeatMap {
            title: "Position of the rows of each class".into(),
            rows: self.classes.iter().map(|(class, count)| format!("{class} ({count})")).collect(),
            columns: Vec::new(),
            from: "first row".into(),
            to: "last row".into(),
            values: self
                .timeline
                .iter()
                .map(|shares| shares.iter().map(|share| (share / most).sqrt()).collect())
                .collect(),
            hints: Vec::new(),
        }
    }

    fn tree_section(&self) -> Section {
        let trees = &self.trees;
        let mut table = MetricTable {
            caption: "A decision tree (depth 12, equal class weights)".into(),
            columns: ["", "skill", "skill, attack or normal", "accuracy"].map(str::to_owned).into(),
            rows: Vec::new(),
        };
        let mut add = |label: &str, power: Option<super::Power>| {
            let Some(power) = power else { return };
            let cells = vec![
                percent(power.skill.max(0.0)),
                power.attack_skill.map_or("–".to_owned(), |skill| percent(skill.max(0.0))),
                percent(power.accuracy),
            ];
            table.rows.push(MetricRow { label: label.to_owned(), cells, strong: false });
        };
        add("all columns, held-out rows", Some(trees.all));
        add("all columns, unseen recordings", trees.unseen_all);
        add("features alone, held-out rows", Some(trees.features));
        add("features alone, unseen recordings", trees.unseen_features);
        add("features alone, shuffled labels", Some(trees.shuffled));
        add("capture of a benign row", trees.benign_captures);
        add("look-up table of the training rows", Some(self.duplicates.table));
        Section {
            heading: "All columns together".into(),
            prose: Vec::new(),
            blocks: vec![Block::Table(table)],
        }
    }

    fn provenance(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("program".to_owned(), format!("citronella {}", env!("CARGO_PKG_VERSION"))),
            ("seed".to_owned(), self.seed.to_string()),
        ];
        all.extend(
            self.left_out
                .iter()
                .map(|(reason, rows)| ("left out".to_owned(), format!("{rows} rows: {reason}"))),
        );
        all.extend(self.files.iter().map(|file| {
            (file.name.clone(), format!("{} of {} rows, SHA-256 {}", file.sampled, file.rows, file.sha256))
        }));
        all
    }
}
