//! TLS: recognition, and a ClientHello's server name, ALPN, version and JA4 (RFC 8446, 4.1.2; RFC 6066, 3; RFC 7301).
//! Nothing is decrypted.

use sha2::{Digest, Sha256};

use crate::cursor::{Cursor, after, first};

/// A decoded ClientHello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The highest version offered, by its number on the wire: 0x0304 is TLS 1.3.
    pub version: u16,
    /// The requested server name.
    pub sni: Option<Box<[u8]>>,
    /// The application protocols offered, in order.
    pub alpn: Vec<Box<[u8]>>,
    /// Cipher suites in order, without GREASE.
    pub ciphers: Vec<u16>,
    /// Extensions in order, without GREASE.
    pub extensions: Vec<u16>,
    /// Signature algorithms in order, without GREASE.
    pub signature_algorithms: Vec<u16>,
    /// The message ends early or has an invalid length; the fields above are what was decoded.
    pub malformed: bool,
}

/// Result of decoding a ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// Decoded.
    Done(Box<ClientHello>),
    /// The beginning of a ClientHello; more bytes are needed.
    Incomplete,
    /// Not a ClientHello.
    Other,
}

/// Longest ClientHello, in bytes, for which a caller should buffer.
pub const LONGEST_HELLO: usize = 65_536;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Longest record, in bytes, without encryption (RFC 8446, 5.1).
const LONGEST_RECORD: usize = 16_384 + 256;

/// Whether bytes begin with a TLS record: a known type, version 3.x and a valid length.
pub fn looks_like_tls(bytes: &[u8]) -> bool {
    match bytes.first_chunk::<5>() {
        Some([20..=24, 3, 0..=4, a, b]) => {
            (1..=LONGEST_RECORD).contains(&usize::from(u16::from_be_bytes([*a, *b])))
        }
        _ => false,
    }
}

/// Decodes the ClientHello at the beginning of a client's bytes; it may span several records.
pub fn client_hello(bytes: &[u8]) -> Hello {
    let mut cursor = Cursor::new(bytes);
    let mut message = Vec::new();
    loop {
        let wanted = match message.first_chunk::<4>() {
            Some([CLIENT_HELLO, a, b, c]) => 4 + u32::from_be_bytes([0, *a, *b, *c]) as usize,
            Some(_) => return Hello::Other,
            None => 4,
        };
        if wanted > LONGEST_HELLO {
            return Hello::Other;
        }
        if message.len() >= wanted && wanted > 4 {
            return Hello::Done(Box::new(read(first(after(&message, 4), wanted - 4))));
        }
        if cursor.is_empty() {
            return Hello::Incomplete;
        }
        if cursor.len() >= 5 && !looks_like_tls(cursor.rest()) || cursor.u8() != Some(HANDSHAKE) {
            return Hello::Other;
        }
        let (Some(_version), Some(len)) = (cursor.u16(), cursor.u16()) else { return Hello::Incomplete };
        let body = first(cursor.rest(), usize::from(len));
        message.extend_from_slice(body);
        if cursor.take(usize::from(len)).is_none() {
            let _ = cursor.take(cursor.len());
        }
    }
}

fn read(body: &[u8]) -> ClientHello {
    let mut hello = ClientHello::default();
    hello.malformed = fields(&mut Cursor::new(body), &mut hello).is_none();
    hello
}

fn fields(cursor: &mut Cursor<'_>, hello: &mut ClientHello) -> Option<()> {
    hello.version = cursor.u16()?;
    let _random = cursor.take(32)?;
    let _session_id = short(cursor)?;
    hello.ciphers = numbers(long(cursor)?)?;
    let _compression = short(cursor)?;
    if cursor.is_empty() {
        return Some(());
    }
    let mut extensions = Cursor::new(long(cursor)?);
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let mut data = Cursor::new(long(&mut extensions)?);
        if is_grease(kind) {
            continue;
        }
        hello.extensions.push(kind);
        extension(kind, &mut data, hello)?;
    }
    Some(())
}

const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

fn extension(kind: u16, data: &mut Cursor<'_>, hello: &mut ClientHello) -> Option<()> {
    match kind {
        SERVER_NAME if !data.is_empty() => {
            let mut names = Cursor::new(long(data)?);
            let _host_name = names.u8()?;
            hello.sni = Some(long(&mut names)?.into());
        }
        SIGNATURE_ALGORITHMS => hello.signature_algorithms = numbers(long(data)?)?,
        ALPN => {
            let mut protocols = Cursor::new(long(data)?);
            while !protocols.is_empty() {
                hello.alpn.push(short(&mut protocols)?.into());
            }
        }
        SUPPORTED_VERSIONS => {
            let versions = numbers(short(data)?)?;
            hello.version = versions.into_iter().max().unwrap_or(hello.version);
        }
        _ => {}
    }
    Some(())
}

fn short<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let len = cursor.u8()?;
    cursor.take(usize::from(len))
}

fn long<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let len = cursor.u16()?;
    cursor.take(usize::from(len))
}

/// A list of two-byte numbers, without GREASE.
fn numbers(bytes: &[u8]) -> Option<Vec<u16>> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|pair| u16::from_be_bytes(*pair)).filter(|number| !is_grease(*number)).collect())
}

/// Whether a number is GREASE (RFC 8701): 0x0a0a, 0x1a1a, ... 0xfafa.
fn is_grease(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

impl ClientHello {
    /// Name of the version: `1.3`, `1.2`, ...; hexadecimal if unknown.
    pub fn version_name(&self) -> String {
        match self.version {
            0x0304 => "1.3".into(),
            0x0303 => "1.2".into(),
            0x0302 => "1.1".into(),
            0x0301 => "1.0".into(),
            0x0300 => "ssl3".into(),
            other => format!("{other:#06x}"),
        }
    }

    /// The JA4 fingerprint of a client over TCP (FoxIO, JA4 technical details): version, server name, counts and
    /// ALPN; a hash of the sorted cipher suites; a hash of the sorted extensions and the signature algorithms.
    pub fn ja4(&self) -> String {
        let version = match self.version {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        };
        let sni = if self.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
        let (ciphers, extensions) = (self.ciphers.len().min(99), self.extensions.len().min(99));
        let alpn = alpn_ends(self.alpn.first().map_or(&[][..], |protocol| protocol));
        let mut sorted = self.ciphers.clone();
        sorted.sort_unstable();
        let mut kinds: Vec<u16> =
            self.extensions.iter().copied().filter(|kind| !matches!(*kind, SERVER_NAME | ALPN)).collect();
        kinds.sort_unstable();
        let mut third = hex_list(&kinds);
        if !self.signature_algorithms.is_empty() {
            third = format!("{third}_{}", hex_list(&self.signature_algorithms));
        }
        let cipher_hash = if sorted.is_empty() { NO_HASH.into() } else { hash(&hex_list(&sorted)) };
        let extension_hash = if self.extensions.is_empty() { NO_HASH.into() } else { hash(&third) };
        format!("t{version}{sni}{ciphers:02}{extensions:02}{alpn}_{cipher_hash}_{extension_hash}")
    }
}

const NO_HASH: &str = "000000000000";

/// First and last character of the first protocol; of its hexadecimal form if one is not alphanumeric.
fn alpn_ends(protocol: &[u8]) -> String {
    match (protocol.first(), protocol.last()) {
        (Some(a), Some(b)) if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() => {
            [char::from(*a), char::from(*b)].iter().collect()
        }
        (Some(a), Some(b)) => format!("{:x}{:x}", a >> 4, b & 0x0f),
        _ => "00".into(),
    }
}

fn hex_list(numbers: &[u16]) -> String {
    let parts: Vec<String> = numbers.iter().map(|number| format!("{number:04x}")).collect();
    parts.join(",")
}

/// The first twelve digits of SHA-256.
fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixed(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
    }

    fn list(numbers: &[u16]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    /// The example of JA4's specification, with GREASE added.
    fn example() -> Vec<u8> {
        let ciphers = list(&[
            0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
            0x009c, 0x009d, 0x002f, 0x0035,
        ]);
        let algorithms = list(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]);
        let name = [&[0][..], &prefixed(b"broker.example")].concat();
        let extensions: [(u16, Vec<u8>); 17] = [
            (0xfafa, vec![]),
            (0x001b, vec![]),
            (0x0000, prefixed(&name)),
            (0x0033, vec![]),
            (0x0010, prefixed(b"\x02h2\x08http/1.1")),
            (0x4469, vec![]),
            (0x0017, vec![]),
            (0x002d, vec![]),
            (0x000d, prefixed(&algorithms)),
            (0x0005, vec![]),
            (0x0023, vec![]),
            (0x0012, vec![]),
            (0x002b, vec![4, 0x03, 0x04, 0x03, 0x03]),
            (0xff01, vec![]),
            (0x000b, vec![]),
            (0x000a, vec![]),
            (0x0015, vec![]),
        ];
        let extensions: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, data)| [&kind.to_be_bytes()[..], &prefixed(data)].concat())
            .collect();
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend(prefixed(&ciphers));
        body.extend([1, 0]);
        body.extend(prefixed(&extensions));
        let mut message = vec![1, 0];
        message.extend(prefixed(&body));
        message
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &prefixed(part)].concat()).collect()
    }

    #[test]
    fn reads_the_example_of_ja4_in_one_record_or_many() {
        for size in [1, 3, 100, 10_000] {
            let bytes = records(&example(), size);
            let Hello::Done(hello) = client_hello(&bytes) else { panic!("a ClientHello") };
            assert_eq!(hello.ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
            assert_eq!(hello.sni.as_deref(), Some(&b"broker.example"[..]));
            assert_eq!(hello.version_name(), "1.3");
            assert!(!hello.malformed);
            assert!(looks_like_tls(&bytes));
            for end in 0..bytes.len() {
                assert_eq!(client_hello(&bytes[..end]), Hello::Incomplete, "{end}");
            }
        }
    }

    #[test]
    fn other_bytes_are_not_a_client_hello() {
        assert_eq!(client_hello(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"), Hello::Other);
        assert_eq!(client_hello(&[22, 3, 3, 0, 4, 2, 0, 0, 0]), Hello::Other);
        let Hello::Done(hello) = client_hello(&[22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3]) else { panic!("cut") };
        assert!(hello.malformed);
    }
}
