//! A split of a tree's node.

/// The best split of a node by one input.
#[derive(Clone, Copy)]
pub(super) struct Split {
    /// By entropy the sum over both sides and all classes of n log2 n, less the sides' own; by Gini the fall of the
    /// impurity. Higher is purer.
    pub(super) purity: f64,
    /// The last rank that goes left, and the first that goes right.
    pub(super) ranks: (u32, u32),
}
