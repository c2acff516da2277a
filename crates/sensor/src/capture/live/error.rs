//! What can keep live capture from beginning, and what to do about it.

use std::io;

use super::super::expression::ExpressionError;

/// Why an interface could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The process may not open packet sockets.
    #[error(
        "{interface}: capturing needs the capability CAP_NET_RAW; run as root, give it to the program (sudo setcap cap_net_raw+ep {program}), or give it to the service (AmbientCapabilities=CAP_NET_RAW in its systemd unit)"
    )]
    Privilege {
        /// The interface.
        interface: String,
        /// The running program's path.
        program: String,
    },
    /// No interface has that name.
    #[error("{interface}: no such interface; there are {available}")]
    Unknown {
        /// The interface.
        interface: String,
        /// The names that exist, with commas.
        available: String,
    },
    /// The filter cannot be asked of packets of this link layer.
    #[error("{interface}: {problem}")]
    Filter {
        /// The interface.
        interface: String,
        /// What is wrong.
        problem: ExpressionError,
    },
    /// The kernel has no memory for the ring.
    #[error(
        "{interface}: the kernel gives no ring of {bytes} bytes ({source}); ask for a smaller one (--ring-mib) or free memory"
    )]
    Ring {
        /// The interface.
        interface: String,
        /// Size of the ring that was asked for.
        bytes: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A setting that makes no sense.
    #[error("{0}")]
    Setting(String),
    /// Another system call failed.
    #[error("{interface}: {doing}: {source}")]
    System {
        /// The interface.
        interface: String,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}
