//! Errors at the start of live capture.

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
    /// The filter does not apply to packets of this link layer.
    #[error("{interface}: {problem}")]
    Filter {
        /// The interface.
        interface: String,
        /// The filter's error.
        problem: ExpressionError,
    },
    /// The kernel cannot allocate the ring.
    #[error(
        "{interface}: the kernel cannot allocate a ring of {bytes} bytes ({source}); choose a smaller one (--ring-mib) or free memory"
    )]
    Ring {
        /// The interface.
        interface: String,
        /// Requested size of the ring.
        bytes: usize,
        /// The system's error.
        source: io::Error,
    },
    /// An invalid setting.
    #[error("{0}")]
    Setting(String),
    /// Another system call failed.
    #[error("{interface}: {doing}: {source}")]
    System {
        /// The interface.
        interface: String,
        /// The operation.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
}
