//! Protocol versions.

/// The supported protocol versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 3.1, protocol name `MQIsdp`, level 3.
    V31,
    /// 3.1.1, level 4.
    #[default]
    V311,
    /// 5.0, level 5.
    V5,
}

/// Bit that Mosquitto's bridges set in protocol level 3 and 4.
pub(super) const BRIDGE: u8 = 0x80;

impl Version {
    /// The version of a CONNECT's protocol level, with or without the bridge bit.
    pub fn from_level(level: u8) -> Option<Self> {
        match level {
            3 => Some(Self::V31),
            4 => Some(Self::V311),
            5 => Some(Self::V5),
            _ if level & BRIDGE != 0 && matches!(level & !BRIDGE, 3 | 4) => Self::from_level(level & !BRIDGE),
            _ => None,
        }
    }

    /// `3.1`, `3.1.1` or `5.0`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }
}
