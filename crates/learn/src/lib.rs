//! Data sets, preparation, training, honest evaluation, reports.
