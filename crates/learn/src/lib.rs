//! Data sets, preparation, training, evaluation, reports.

#![forbid(unsafe_code)]

pub mod audit;
pub mod card;
pub mod compare;
pub mod dataset;
pub mod evaluate;
pub mod flows;
pub mod model_evaluation;
pub mod prepare;
pub mod report;
pub mod sequence;
pub mod train;
pub mod zoo;
