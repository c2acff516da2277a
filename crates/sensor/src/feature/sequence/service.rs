//! A responder's service, from payload bytes alone, and the outcome of an SSH login, from segment lengths alone.

use citronella_wire::{mqtt, tls};

/// A service, as its bytes show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Service {
    /// Not recognised, or not yet.
    #[default]
    Unknown,
    Mqtt,
    Tls,
    Ssh,
    Http,
}

/// Segments with payload that are inspected before recognition gives up.
const TRIES: u8 = 12;
/// Short, ambiguous messages (an acknowledgment, a ping) that suffice together.
const ENOUGH_WEAK: u8 = 3;

/// Recognition of a connection's service.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recognition {
    pub(super) service: Service,
    tries: u8,
    weak: u8,
}

impl Recognition {
    /// Inspects a segment's payload; returns whether it settled the service.
    pub(super) fn inspect(&mut self, payload: &[u8]) -> bool {
        if self.service != Service::Unknown || self.tries >= TRIES || payload.is_empty() {
            return false;
        }
        self.tries += 1;
        self.service = if payload.starts_with(b"SSH-") {
            Service::Ssh
        } else if is_http(payload) {
            Service::Http
        } else if tls::looks_like_tls(payload) {
            Service::Tls
        } else if mqtt::looks_like_mqtt(payload, false) || self.is_weak_mqtt(payload) {
            Service::Mqtt
        } else {
            Service::Unknown
        };
        self.service != Service::Unknown
    }

    fn is_weak_mqtt(&mut self, payload: &[u8]) -> bool {
        self.weak += u8::from(payload.len() <= 4 && mqtt::looks_like_mqtt(payload, true));
        self.weak >= ENOUGH_WEAK
    }
}

fn is_http(payload: &[u8]) -> bool {
    const BEGINS: [&[u8]; 8] =
        [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"HTTP/1."];
    BEGINS.iter().any(|begin| payload.starts_with(begin))
}

/// An SSH login (RFC 4252). It is encrypted, but a server's refusals all have the same length, and USERAUTH_SUCCESS, a
/// single byte, is the shortest answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SshLogin {
    /// NEWKEYS of the client, of the server was seen.
    encrypted: [bool; 2],
    /// Encrypted segments of the server.
    answers: u8,
    /// Lengths of the last two answers, and the shortest so far.
    last_lens: [u16; 2],
    shortest_len: u16,
    accepted: bool,
    refused: bool,
}

/// Outcome of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoginOutcome {
    Refused,
    Accepted,
}

/// Answers before a login can have succeeded: to the service request, and one more.
const ANSWERS_BEFORE: u8 = 2;
/// Upper bound, in bytes, of a USERAUTH_FAILURE (RFC 4252, 5.1: a list of methods) with padding and MAC.
const LONGEST_REFUSAL: usize = 160;

impl SshLogin {
    /// Reads a segment's payload; `way` 0 is the client's.
    pub(super) fn segment(&mut self, way: usize, payload: &[u8]) -> Option<LoginOutcome> {
        let [client, server] = self.encrypted;
        if !(client && server) {
            if let Some(flag) = self.encrypted.get_mut(way) {
                *flag |= has_new_keys(payload);
            }
            return None;
        }
        if way == 0 || self.accepted || payload.is_empty() || payload.len() > usize::from(u16::MAX) {
            return None;
        }
        let len = payload.len() as u16;
        let [before, last] = self.last_lens;
        let repeated = len == last || len == before;
        let shorter = len < self.shortest_len;
        let in_time = self.answers >= ANSWERS_BEFORE;
        self.answers = self.answers.saturating_add(1);
        self.last_lens = [last, len];
        self.shortest_len = if self.answers == 1 { len } else { len.min(self.shortest_len) };
        if in_time && shorter {
            self.accepted = true;
            return Some(LoginOutcome::Accepted);
        }
        if repeated && payload.len() <= LONGEST_REFUSAL {
            self.refused = true;
            return Some(LoginOutcome::Refused);
        }
        None
    }

    /// Whether a login was tried and its outcome was not recognised: to be read at the connection's end.
    pub(super) fn is_fruitless(&self) -> bool {
        !self.accepted && !self.refused && self.answers > 0
    }
}

/// Whether one of a segment's first binary packets (RFC 4253, 6) is NEWKEYS.
fn has_new_keys(payload: &[u8]) -> bool {
    const NEW_KEYS: u8 = 21;
    let mut rest = payload;
    for _ in 0..4 {
        let Some(len) = rest.first_chunk::<4>().map(|len| u32::from_be_bytes(*len) as usize) else {
            return false;
        };
        if len <= 64 && rest.get(5) == Some(&NEW_KEYS) {
            return true;
        }
        match len.checked_add(4).and_then(|len| rest.get(len..)) {
            Some(after) if !after.is_empty() => rest = after,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_recognised_by_their_bytes() {
        let cases: [(&[u8], Service); 6] = [
            (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", Service::Mqtt),
            (b"SSH-2.0-x\r\n", Service::Ssh),
            (b"GET / HTTP/1.1\r\n", Service::Http),
            (&[22, 3, 1, 0, 200, 1, 0, 0, 196], Service::Tls),
            (b"\xc0\x00", Service::Unknown),
            (b"\0\0\0\0", Service::Unknown),
        ];
        for (bytes, service) in cases {
            let mut recognition = Recognition::default();
            assert_eq!(recognition.inspect(bytes), service != Service::Unknown);
            assert_eq!(recognition.service, service);
        }
        let mut pings = Recognition::default();
        let settled = [pings.inspect(b"\xc0\x00"), pings.inspect(b"\xd0\x00"), pings.inspect(b"\xc0\x00")];
        assert_eq!((settled, pings.service), ([false, false, true], Service::Mqtt));
    }

    #[test]
    fn a_repeated_length_is_a_refusal_and_a_shorter_answer_is_acceptance() {
        let new_keys = [0, 0, 0, 12, 10, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut login = SshLogin::default();
        for way in [1, 0] {
            assert_eq!(login.segment(way, &new_keys), None);
        }
        let mut answer = |len: usize| {
            login.segment(0, &[1; 80]);
            login.segment(1, &vec![1; len])
        };
        assert_eq!([answer(300), answer(40), answer(56)], [None, None, None]);
        assert_eq!(
            [answer(56), answer(104), answer(56)],
            [Some(LoginOutcome::Refused), None, Some(LoginOutcome::Refused)]
        );
        assert_eq!(answer(32), Some(LoginOutcome::Accepted));
        assert_eq!(answer(32), None);
        assert!(!login.is_fruitless());
    }
}
