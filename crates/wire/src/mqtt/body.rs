//! Decoding of a message's body: a cursor, the protocol version, and the violations so far.

use super::primitive::prefixed;
use super::{Limits, Properties, Version, Violation, Violations, text};
use crate::cursor::Cursor;

/// A body while it is decoded.
pub(super) struct Body<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) version: Version,
    pub(super) topic_bytes: usize,
    pub(super) found: Violations,
}

impl<'a> Body<'a> {
    pub(super) fn new(bytes: &'a [u8], version: Version, limits: &Limits) -> Self {
        Self { cursor: Cursor::new(bytes), version, topic_bytes: limits.topic_bytes, found: Violations::NONE }
    }

    /// Returns the violations. `reached` is `None` if a field was not reached; otherwise no bytes may be left.
    pub(super) fn end(mut self, reached: Option<()>) -> Violations {
        match reached {
            None => {
                self.found.insert(Violation::Truncated);
                self.found.insert(Violation::MalformedTraffic);
            }
            Some(()) => self.found.insert_if(!self.cursor.is_empty(), Violation::TrailingBytes),
        }
        self.found
    }

    pub(super) fn binary(&mut self) -> Option<&'a [u8]> {
        prefixed(&mut self.cursor)
    }

    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let text = prefixed(&mut self.cursor)?;
        self.found.extend(text::check(text));
        Some(text)
    }

    pub(super) fn topic(&mut self) -> Option<&'a [u8]> {
        let topic = prefixed(&mut self.cursor)?;
        self.found.extend(text::check_topic(topic, self.topic_bytes));
        Some(topic)
    }

    pub(super) fn packet_id(&mut self) -> Option<u16> {
        let id = self.cursor.u16();
        self.found.insert_if(id.is_none(), Violation::MissingMsgId);
        self.found.insert_if(id == Some(0), Violation::PacketIdZero);
        id
    }

    /// Decodes a property list, if the version has one; of a malformed list, the part before the fault.
    pub(super) fn properties(&mut self, owner: u8, list: &mut Properties<'a>) -> Option<()> {
        if self.version != Version::V5 {
            return Some(());
        }
        let (read, whole) = Properties::read(&mut self.cursor, owner, &mut self.found);
        *list = read;
        whole
    }

    pub(super) fn check_code(&mut self, kind: u8, code: u8) {
        let known = super::reason_name(self.version, kind, code).is_some();
        self.found.insert_if(!known, Violation::UnknownReasonCode);
    }

    /// Decodes a reason code and properties at the end of a message; each may be omitted (MQTT 5.0, 3.4.2).
    pub(super) fn reason(
        &mut self,
        kind: u8,
        code: &mut Option<u8>,
        list: &mut Properties<'a>,
    ) -> Option<()> {
        if self.version != Version::V5 {
            return Some(());
        }
        *code = Some(self.cursor.u8().unwrap_or(0));
        self.check_code(kind, code.unwrap_or(0));
        if self.cursor.is_empty() {
            return Some(());
        }
        self.properties(kind, list)
    }
}
