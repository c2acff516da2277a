//! Wireshark's choice of a service by port, and its framing of SSH and HTTP over TCP.
//!
//! In: bytes that start at a message. Out: its [`Extent`] and its Protocol column. Pure functions; [`SshState`] holds
//! the state of an SSH connection.

/// A service that Wireshark dissects over TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Service {
    /// None that is framed here.
    #[default]
    Other,
    Mqtt,
    Ssh,
    Http,
    Tls,
    WebSocket,
}

impl Service {
    /// By the server's port if a SYN identified it, else by the lower port, then the higher.
    pub(super) fn of(server: Option<u16>, a: u16, b: u16) -> Service {
        let ports = [server.unwrap_or(a.min(b)), a.min(b), a.max(b)];
        let known = ports.into_iter().map(Service::of_port);
        known.into_iter().find(|service| *service != Service::Other).unwrap_or_default()
    }

    fn of_port(port: u16) -> Service {
        match port {
            1883 => Service::Mqtt,
            22 => Service::Ssh,
            80 | 3128 | 3132 | 5985 | 8080 | 8088 | 11371 | 1900 | 2869 | 2710 => Service::Http,
            _ => Service::Other,
        }
    }
}

/// How far a message extends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// The message is complete; its length in bytes.
    Whole(usize),
    /// The number of missing bytes, modulo 2^32 as in Wireshark.
    Needs(u32),
    /// The number of missing bytes is unknown: the whole next segment belongs to the message.
    NeedsSegment,
}

/// State of an SSH connection (RFC 4253).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SshState {
    version: u8,
    banner: [bool; 2],
    new_keys: [bool; 2],
}

impl SshState {
    /// The Protocol column for the next segment.
    pub(super) fn name(&self) -> &'static str {
        match self.version {
            0 => "SSH",
            1 => "SSHv1",
            _ => "SSHv2",
        }
    }

    /// The extent of the next message of one direction (`way` 0 or 1): its banner, a packet before NEWKEYS, or any
    /// bytes after that.
    pub(super) fn extent(&mut self, way: usize, is_client: bool, bytes: &[u8]) -> Extent {
        let everything = Extent::Whole(bytes.len());
        let has_banner = self.banner.get(way).is_none_or(|seen| *seen);
        if !has_banner && bytes.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"SSH-")) {
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Extent::NeedsSegment };
            self.banner(way, is_client, bytes);
            return Extent::Whole(end + 1);
        }
        if self.version == 0 || self.new_keys.get(way).is_none_or(|seen| *seen) {
            return everything;
        }
        let Some(head) = bytes.first_chunk::<4>() else { return Extent::Needs(4 - bytes.len() as u32) };
        let packet_length = u32::from_be_bytes(*head);
        // Version 1 pads to the next multiple of 8.
        let padding = if self.version == 1 { 8 - packet_length % 8 } else { 0 };
        let len = packet_length.wrapping_add(4 + padding);
        if len as usize > bytes.len() {
            return Extent::Needs(len.wrapping_sub(bytes.len() as u32));
        }
        self.packet(way, bytes);
        // A length that wrapped around must still make progress.
        Extent::Whole((len as usize).max(4))
    }

    /// Takes a complete banner; the client's sets the connection's version.
    pub(super) fn banner(&mut self, way: usize, is_client: bool, bytes: &[u8]) {
        if let Some(seen) = self.banner.get_mut(way) {
            *seen = true;
        }
        if is_client && self.version == 0 {
            let is = |head: &[u8]| bytes.get(..head.len()).is_some_and(|own| own.eq_ignore_ascii_case(head));
            self.version = if is(b"SSH-2.") || is(b"SSH-1.99") {
                2
            } else if is(b"SSH-1.") {
                1
            } else {
                0
            };
        }
    }

    /// Takes a complete packet; everything after NEWKEYS is encrypted.
    pub(super) fn packet(&mut self, way: usize, bytes: &[u8]) {
        const NEW_KEYS: u8 = 21;
        if bytes.get(5) == Some(&NEW_KEYS)
            && let Some(seen) = self.new_keys.get_mut(way)
        {
            *seen = true;
        }
    }
}

/// The methods by which Wireshark recognises a request line.
pub(super) const HTTP_METHODS: [&[u8]; 37] = [
    b"GET",
    b"PUT",
    b"COPY",
    b"HEAD",
    b"LOCK",
    b"MOVE",
    b"POLL",
    b"POST",
    b"BCOPY",
    b"BMOVE",
    b"MKCOL",
    b"TRACE",
    b"PATCH",
    b"LABEL",
    b"MERGE",
    b"DELETE",
    b"SEARCH",
    b"UNLOCK",
    b"REPORT",
    b"UPDATE",
    b"NOTIFY",
    b"BDELETE",
    b"CONNECT",
    b"OPTIONS",
    b"CHECKIN",
    b"PROPFIND",
    b"CHECKOUT",
    b"SUBSCRIBE",
    b"PROPPATCH",
    b"BPROPFIND",
    b"M-SEARCH",
    b"BPROPPATCH",
    b"UNCHECKOUT",
    b"MKACTIVITY",
    b"MKWORKSPACE",
    b"UNSUBSCRIBE",
    b"RPC_CONNECT",
];

/// Whether a segment's first line is one of HTTP/1, whatever the port.
pub(super) fn begins_http(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.starts_with(b"HTTP/1.")
        || line
            .trim_ascii_end()
            .rsplit(|byte| *byte == b' ')
            .next()
            .is_some_and(|last| last.starts_with(b"HTTP/1.") && http(bytes, false).is_some())
}

/// The extent of an HTTP/1 message (RFC 9112) and its Protocol column; `None` if no message begins here. The response
/// to a HEAD request has no body, whatever its Content-Length.
pub(super) fn http(bytes: &[u8], is_head_response: bool) -> Option<(Extent, &'static str)> {
    let is_response = bytes.starts_with(b"HTTP/");
    let word = bytes.get(..16).unwrap_or(bytes).split(|byte| *byte == b' ').next();
    if !is_response && !word.is_some_and(|word| word.len() < bytes.len() && HTTP_METHODS.contains(&word)) {
        return None;
    }
    let Some(header) = header_end(bytes) else { return Some((Extent::NeedsSegment, "HTTP")) };
    let head = bytes.get(..header).unwrap_or_default();
    let body = bytes.len().saturating_sub(header);
    let json = field(head, b"content-type").is_some_and(|kind| kind.starts_with(b"application/json"));
    let bodyless =
        is_response && (is_head_response || matches!(head.get(9..12), Some([b'1', ..] | b"204" | b"304")));
    let length = if bodyless { Some(0) } else { field(head, b"content-length").and_then(number) };
    let name = if json && length != Some(0) { "HTTP/JSON" } else { "HTTP" };
    Some(match length {
        Some(length) if length as usize > body => (Extent::Needs(length.wrapping_sub(body as u32)), name),
        Some(length) => (Extent::Whole(header + length as usize), name),
        None if is_response => (Extent::Whole(bytes.len()), name),
        None => (Extent::Whole(header), "HTTP"),
    })
}

/// Length of the header, including the empty line.
pub(super) fn header_end(bytes: &[u8]) -> Option<usize> {
    let crlf = bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
    crlf.or_else(|| bytes.windows(2).position(|end| end == b"\n\n").map(|at| at + 2))
}

/// A header field's value.
fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (own, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        own.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_framed_between_banner_and_new_keys() {
        let mut ssh = SshState::default();
        assert_eq!(ssh.name(), "SSH");
        assert_eq!(ssh.extent(0, true, b"SSH-2.0-x\r\n\0\0"), Extent::Whole(11));
        assert_eq!(ssh.name(), "SSHv2");
        assert_eq!(ssh.extent(1, false, b"SSH-2.0-half"), Extent::NeedsSegment);
        assert_eq!(ssh.extent(0, true, b"\0\0"), Extent::Needs(2));
        assert_eq!(ssh.extent(0, true, b"\0\0\0\x09\x01\x14"), Extent::Needs(7));
        assert_eq!(ssh.extent(0, true, b"\0\0\0\x02\x00\x15\0\0\0\x01"), Extent::Whole(6));
        assert_eq!(ssh.extent(0, true, b"\xff\xff\xff\xff encrypted"), Extent::Whole(14));
        assert_eq!(ssh.extent(1, false, b"Prot"), Extent::Needs(0x5072_6f74 + 4 - 4));
    }

    #[test]
    fn http_needs_its_body() {
        let head = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-length: 12\r\n\r\n";
        assert_eq!(http(head, false), Some((Extent::Needs(12), "HTTP")));
        let json = b"POST / HTTP/1.1\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(http(json, false), Some((Extent::Whole(json.len()), "HTTP/JSON")));
        assert_eq!(http(b"GET / HTTP/1.1\r\nHost", false), Some((Extent::NeedsSegment, "HTTP")));
        assert_eq!(http(b"GET / HTTP/1.1\r\n\r\nGET", false), Some((Extent::Whole(18), "HTTP")));
        assert_eq!(http(b"\x16\x03\x01", false), None);
        assert_eq!(http(head, true), Some((Extent::Whole(head.len()), "HTTP")));
        assert!(begins_http(b"PUT /x HTTP/1.0\r\n") && begins_http(head));
        assert!(!begins_http(b"hello HTTP/1.0\r\n") && !begins_http(b"GET the ball\n"));
    }
}
