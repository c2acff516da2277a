//! Changes of capture interfaces.

use std::{fmt, io};

/// A change of a capture interface.
#[derive(Debug)]
pub enum LinkEvent {
    /// It went down; capture resumes when it comes up.
    Down,
    /// It is up again.
    Up,
    /// It was removed; capture resumes when an interface of this name appears.
    Removed,
    /// It appeared again and is being captured.
    Back,
    /// It appeared again but cannot be captured.
    Lost(io::Error),
}

/// A change of a capture interface, for the log.
#[derive(Debug)]
pub struct LinkNotice {
    /// The interface.
    pub interface: String,
    /// The change.
    pub event: LinkEvent,
}

impl fmt::Display for LinkNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = &self.interface;
        match &self.event {
            LinkEvent::Down => write!(f, "{interface} is down; waiting for it to come up"),
            LinkEvent::Up => write!(f, "{interface} is up; capturing"),
            LinkEvent::Removed => write!(f, "{interface} was removed; waiting for it to come back"),
            LinkEvent::Back => write!(f, "{interface} is back; capturing"),
            LinkEvent::Lost(error) => {
                write!(
                    f,
                    "{interface} is back but cannot be opened again ({error}); restart to capture from it"
                )
            }
        }
    }
}
