//! Work on a chosen number of threads.

/// Runs `work` with rayon limited to `threads` threads; 0 takes all.
pub(crate) fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(work),
        // Only the process's limit on threads can stop a pool; the work's result is the same without one.
        Err(_) => work(),
    }
}
