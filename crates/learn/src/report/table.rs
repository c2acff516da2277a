//! Tables, and the formatting of figures.

use crate::evaluate::Evaluation;

/// A table.
#[derive(Debug, Clone, Default)]
pub struct MetricTable {
    /// The caption.
    pub caption: String,
    /// Column headings, that of the labels first.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<MetricRow>,
}

/// A row of a table.
#[derive(Debug, Clone, Default)]
pub struct MetricRow {
    /// The label, such as the model and its split.
    pub label: String,
    /// The formatted cells.
    pub cells: Vec<String>,
    /// Whether the row is emphasised.
    pub strong: bool,
}

impl MetricTable {
    /// A comparison of models or splits, one in each row.
    pub fn of_models(caption: &str, models: &[(&str, &Evaluation)]) -> Self {
        let columns = [
            "model",
            "rows",
            "accuracy",
            "macro precision",
            "macro recall",
            "macro F1",
            "MCC",
            "ROC AUC (attack)",
            "TPR at FPR 1e‑3",
            "TPR at FPR 1e‑4",
        ];
        let row = |(name, evaluation): &(&str, &Evaluation)| {
            let auc =
                evaluation.attack.as_ref().and_then(|attack| attack.roc.as_ref()).and_then(|roc| roc.auc);
            let average = &evaluation.macro_average;
            let figures = [
                evaluation.accuracy,
                average.precision,
                average.recall,
                average.f1,
                evaluation.mcc,
                auc,
                evaluation.attack_tpr_at(1e-3),
                evaluation.attack_tpr_at(1e-4),
            ];
            let cells = std::iter::once(evaluation.rows.to_string()).chain(figures.map(figure)).collect();
            MetricRow { label: (*name).to_owned(), cells, strong: false }
        };
        Self {
            caption: caption.to_owned(),
            columns: columns.map(str::to_owned).into(),
            rows: models.iter().map(row).collect(),
        }
    }

    /// Precision, recall and F1 of each class of one model.
    pub fn per_class(caption: &str, evaluation: &Evaluation) -> Self {
        let rows = evaluation.per_class.iter().map(|class| MetricRow {
            label: class.class.clone(),
            cells: vec![
                class.support.to_string(),
                class.predicted.to_string(),
                if class.precision_undefined {
                    "0 (never predicted)".to_owned()
                } else {
                    figure(Some(class.precision))
                },
                figure(class.recall),
                figure(class.f1),
            ],
            strong: false,
        });
        Self {
            caption: caption.to_owned(),
            columns: ["class", "rows", "predicted", "precision", "recall", "F1"].map(str::to_owned).into(),
            rows: rows.collect(),
        }
    }
}

/// A figure with four decimals; a dash for none. Figures below 1 never round to 1, figures above 0 never to 0.
pub fn figure(value: Option<f64>) -> String {
    match value.filter(|value| value.is_finite()) {
        None => "–".to_owned(),
        Some(value) if value < 1.0 && value > 0.999_95 => "> 0.9999".to_owned(),
        Some(value) if value > 0.0 && value < 0.000_05 => "< 0.0001".to_owned(),
        Some(value) => format!("{value:.4}"),
    }
}

pub(super) fn percent(share: f64) -> String {
    match share {
        share if share < 1.0 && share > 0.9995 => "> 99.9 %".to_owned(),
        share if share > 0.0 && share < 0.0005 => "< 0.1 %".to_owned(),
        share => format!("{:.1} %", share * 100.0),
    }
}
