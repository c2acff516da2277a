//! The classical models with the parameters of the literature.

use super::{
    BoostedTrees, DecisionTree, DeepNetwork, GaussianNaiveBayes, LinearSvm, LogisticRegression, Method,
    NearestNeighbours, RandomForest, RbfSvm, StackedLstm,
};

/// The classical model of a name.
pub fn method(name: &str, seed: u64) -> Option<Box<dyn Method>> {
    methods(seed).into_iter().find(|method| method.name() == name)
}

/// All classical models, with the parameters of the literature.
pub fn methods(seed: u64) -> Vec<Box<dyn Method>> {
    vec![
        Box::new(LogisticRegression),
        Box::new(NearestNeighbours { k: 5 }),
        Box::new(GaussianNaiveBayes),
        Box::new(DecisionTree { seed }),
        Box::new(RandomForest { trees: 10, seed }),
        Box::new(RbfSvm { max_rows: 5_000, seed }),
        Box::new(LinearSvm),
        Box::new(DeepNetwork { hidden: [64, 64], epochs: 10, seed }),
        Box::new(StackedLstm { hidden: [64, 64], dropout_percent: 20, epochs: 10, seed }),
        Box::new(BoostedTrees { trees: 50 }),
    ]
}
