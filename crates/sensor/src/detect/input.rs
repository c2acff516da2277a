//! The encoder: a flat list of columns with an operation for each, shared by training and detection.
//!
//! In: a row's cells, from a table or from a packet. Out: one `f32` per [`Input`].

use std::net::IpAddr;

use crate::feature::{packet::Cell, schema::Level};

const MICROS_PER_SECOND: f64 = 1e6;

/// A cell, from a table or a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The field does not apply.
    Empty,
    /// A number, a flag (0 or 1), or microseconds since 1970-01-01 UTC (exact below 2^53).
    Number(f64),
    /// A category.
    Text(&'a str),
    /// An address; compared as text.
    Address(IpAddr),
}

impl From<Cell> for Value<'static> {
    #[inline]
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Empty => Value::Empty,
            Cell::Micros(micros) => Value::Number(micros as f64),
            Cell::Address(address) => Value::Address(address),
            Cell::Name(name) => Value::Text(name),
            Cell::UInt(number) => Value::Number(number.into()),
            Cell::Flag(flag) => Value::Number(flag.into()),
            Cell::Float(number) => Value::Number(number),
        }
    }
}

/// An operation on a column's value.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// 1 where the value is this one, else 0; a value that training did not see is 0 in all of its inputs.
    OneHot {
        /// The value, as text.
        value: String,
    },
    /// `(x - mean) / std`; `std` is 1 for a column that was constant in training, as in scikit-learn.
    Standardise {
        /// Mean over the training rows.
        mean: f64,
        /// Population standard deviation over the training rows.
        std: f64,
    },
    /// The number itself, and a fixed number for an empty cell.
    AsIs {
        /// The value of an empty cell.
        empty: f64,
    },
    /// Time in whole seconds, scaled: `(s - min) / (max - min)`; outside 0..1 for times that training did not see.
    MinMaxSeconds {
        /// Earliest whole second of the training rows, since 1970.
        min: f64,
        /// Latest whole second of the training rows.
        max: f64,
    },
}

impl Op {
    /// The input's value, or `None` where the cell is empty or has another type.
    #[inline]
    pub fn apply(&self, value: Value<'_>) -> Option<f32> {
        match (self, value) {
            (Op::AsIs { empty }, Value::Empty) => Some(*empty as f32),
            (_, Value::Empty) => None,
            (Op::AsIs { .. }, Value::Number(number)) => Some(number as f32),
            (Op::OneHot { value: name }, Value::Text(text)) => Some(if name == text { 1.0 } else { 0.0 }),
            (Op::OneHot { value: name }, Value::Number(number)) => {
                Some(f32::from(name.parse() == Ok(number)))
            }
            (Op::OneHot { value: name }, Value::Address(address)) => {
                Some(f32::from(name.parse() == Ok(address)))
            }
            (Op::Standardise { mean, std }, Value::Number(number)) => Some(((number - mean) / std) as f32),
            (Op::MinMaxSeconds { min, max }, Value::Number(micros)) => {
                let range = if max > min { max - min } else { 1.0 };
                Some((((micros / MICROS_PER_SECOND).floor() - min) / range) as f32)
            }
            (
                Op::AsIs { .. } | Op::Standardise { .. } | Op::MinMaxSeconds { .. },
                Value::Text(_) | Value::Address(_),
            ) => None,
        }
    }
}

/// One input of the model: a column and an operation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Input {
    /// Name of the column in the schema.
    pub column: String,
    /// The operation.
    #[serde(flatten)]
    pub op: Op,
}

impl Input {
    /// The input's name in tables and plots, such as `ttl` or `protocol=MQTT`.
    pub fn name(&self) -> String {
        match &self.op {
            Op::OneHot { value } => format!("{}={value}", self.column),
            Op::AsIs { .. } | Op::Standardise { .. } | Op::MinMaxSeconds { .. } => self.column.clone(),
        }
    }
}

/// Inputs bound to the columns of a level: turns rows into the model's inputs.
#[derive(Clone, Debug)]
pub struct Encoder {
    ops: Vec<(usize, Op)>,
    required: Vec<usize>,
}

impl Encoder {
    /// Binds inputs and the columns that must not be empty to a level's columns.
    ///
    /// # Errors
    /// The first name that is not a column of the level.
    pub fn new(level: Level, inputs: &[Input], required: &[String]) -> Result<Encoder, String> {
        let index =
            |name: &String| level.columns().iter().position(|c| c.name == name).ok_or_else(|| name.clone());
        Ok(Encoder {
            ops: inputs
                .iter()
                .map(|input| Ok((index(&input.column)?, input.op.clone())))
                .collect::<Result<_, String>>()?,
            required: required.iter().map(index).collect::<Result<_, String>>()?,
        })
    }

    /// Number of inputs per row.
    pub fn width(&self) -> usize {
        self.ops.len()
    }

    /// The first required column whose cell is empty: the model does not apply to such a row.
    #[inline]
    pub fn first_empty<'v>(&self, value: impl Fn(usize) -> Value<'v>) -> Option<usize> {
        self.required.iter().copied().find(|&column| value(column) == Value::Empty)
    }

    /// Writes a row's inputs to `out` ([`Encoder::width`] numbers). A cell that is empty and not required gives 0,
    /// which is the training rows' mean, or what [`Op::AsIs`] says.
    #[inline]
    pub fn encode<'v>(&self, value: impl Fn(usize) -> Value<'v>, out: &mut [f32]) {
        for ((column, op), out) in self.ops.iter().zip(out) {
            *out = op.apply(value(*column)).unwrap_or(0.0);
        }
    }

    /// [`Encoder::encode`] of a row's cells in the schema's order; `false` (and nothing written) for a row with an
    /// empty required cell.
    #[inline]
    pub fn encode_cells(&self, cells: &[Cell], out: &mut [f32]) -> bool {
        let value = |column: usize| cells.get(column).map_or(Value::Empty, |&cell| cell.into());
        if self.first_empty(value).is_some() {
            return false;
        }
        self.encode(value, out);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_op_on_a_value() {
        let one_hot = Op::OneHot { value: "MQTT".into() };
        assert_eq!(one_hot.apply(Value::Text("MQTT")), Some(1.0));
        assert_eq!(one_hot.apply(Value::Text("SSH")), Some(0.0));
        assert_eq!(
            Op::OneHot { value: "10.0.0.1".into() }.apply(Value::Address([10, 0, 0, 1].into())),
            Some(1.0)
        );
        assert_eq!(Op::Standardise { mean: 2.0, std: 4.0 }.apply(Value::Number(4.0)), Some(0.5));
        assert_eq!(Op::Standardise { mean: 2.0, std: 4.0 }.apply(Value::Empty), None);
        assert_eq!(Op::AsIs { empty: -1.0 }.apply(Value::Number(7.5)), Some(7.5));
        assert_eq!(Op::AsIs { empty: -1.0 }.apply(Value::Empty), Some(-1.0));
        let time = Op::MinMaxSeconds { min: 10.0, max: 20.0 };
        assert_eq!(time.apply(Value::Number(15_999_999.0)), Some(0.5));
        assert_eq!(Op::MinMaxSeconds { min: 10.0, max: 10.0 }.apply(Value::Number(10e6)), Some(0.0));
    }

    #[test]
    fn a_name_that_is_no_column_is_named() {
        let input = Input { column: "colour".into(), op: Op::Standardise { mean: 0.0, std: 1.0 } };
        assert_eq!(Encoder::new(Level::Packet, &[input], &[]).unwrap_err(), "colour");
    }

    #[test]
    fn rows_with_an_empty_required_cell_are_refused() {
        let input = Input { column: "ttl".into(), op: Op::Standardise { mean: 0.0, std: 1.0 } };
        let encoder = Encoder::new(Level::Packet, &[input], &["src_port".into()]).unwrap();
        let mut cells = [Cell::UInt(7); 31];
        let mut out = [0.0];
        assert!(encoder.encode_cells(&cells, &mut out));
        assert_eq!(out, [7.0]);
        cells[9] = Cell::Empty;
        assert!(!encoder.encode_cells(&cells, &mut out));
    }
}
