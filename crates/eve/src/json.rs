//! A JSON writer into a byte buffer: members in the order written, without white space.

/// An object or an array that is being written.
pub(crate) struct Json<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Json<'a> {
    /// Writes members into `out`, without braces; `first` if `out` has none yet.
    pub(crate) fn members(out: &'a mut Vec<u8>, first: bool) -> Json<'a> {
        Json { out, first }
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
    }

    /// Keys are this program's own and need no escapes.
    fn key(&mut self, key: &str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(crate) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Json<'_>)) {
        self.key(key);
        self.nested(b'{', b'}', fill);
    }

    /// An object of encoded members.
    pub(crate) fn raw_object(&mut self, key: &str, members: &[u8]) {
        self.key(key);
        self.out.push(b'{');
        self.out.extend_from_slice(members);
        self.out.push(b'}');
    }

    /// An array of encoded elements.
    pub(crate) fn raw_array(&mut self, key: &str, elements: &[u8]) {
        self.key(key);
        self.out.push(b'[');
        self.out.extend_from_slice(elements);
        self.out.push(b']');
    }

    /// An array of texts.
    pub(crate) fn texts<'t>(&mut self, key: &str, texts: impl IntoIterator<Item = &'t str>) {
        self.array(key, |list| {
            for text in texts {
                list.comma();
                quote(list.out, text);
            }
        });
    }

    /// A floating-point number; omitted where it is not finite.
    pub(crate) fn decimal(&mut self, key: &str, number: f32) {
        if number.is_finite() {
            self.key(key);
            self.out.extend_from_slice(number.to_string().as_bytes());
        }
    }

    pub(crate) fn array(&mut self, key: &str, fill: impl FnOnce(&mut Json<'_>)) {
        self.key(key);
        self.nested(b'[', b']', fill);
    }

    /// An object as an array's element.
    pub(crate) fn push_object(&mut self, fill: impl FnOnce(&mut Json<'_>)) {
        self.comma();
        self.nested(b'{', b'}', fill);
    }

    fn nested(&mut self, open: u8, close: u8, fill: impl FnOnce(&mut Json<'_>)) {
        self.out.push(open);
        fill(&mut Json { out: self.out, first: true });
        self.out.push(close);
    }

    pub(crate) fn number(&mut self, key: &str, number: impl itoa::Integer) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    pub(crate) fn push_number(&mut self, number: impl itoa::Integer) {
        self.comma();
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    pub(crate) fn flag(&mut self, key: &str, flag: bool) {
        self.key(key);
        self.out.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    pub(crate) fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        quote(self.out, text);
    }

    /// Bytes from the wire: as text where they are UTF-8, otherwise as ASCII with `\x..` for every other byte.
    pub(crate) fn bytes(&mut self, key: &str, bytes: &[u8], limit: usize) {
        self.key(key);
        self.quote_bytes(bytes, limit);
    }

    pub(crate) fn push_bytes(&mut self, bytes: &[u8], limit: usize) {
        self.comma();
        self.quote_bytes(bytes, limit);
    }

    fn quote_bytes(&mut self, bytes: &[u8], limit: usize) {
        if bytes.len() <= limit {
            return match std::str::from_utf8(bytes) {
                Ok(text) => quote(self.out, text),
                Err(_) => quote(self.out, &escaped(bytes)),
            };
        }
        let mut text = match std::str::from_utf8(bytes) {
            Ok(text) => text.get(..text.floor_char_boundary(limit)).unwrap_or_default().to_owned(),
            Err(_) => escaped(bytes.get(..limit).unwrap_or_default()),
        };
        text.push_str(&format!("[truncated {} additional bytes]", bytes.len() - limit));
        quote(self.out, &text);
    }
}

fn quote(out: &mut Vec<u8>, text: &str) {
    // Writing to a vector and escaping a text cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn hostile_bytes_stay_json() {
        let mut out = Vec::new();
        let mut json = Json::members(&mut out, true);
        json.bytes("a", b"\"\\\n\x00", 100);
        json.bytes("b", &[0xff, b'x', 0x80], 100);
        json.bytes("c", "grüße".as_bytes(), 3);
        json.array("d", |list| {
            list.push_number(1);
            list.push_object(|object| object.flag("e", true));
        });
        let text = String::from_utf8(out).unwrap();
        let value: serde_json::Value = serde_json::from_str(&format!("{{{text}}}")).unwrap();
        assert_eq!(value["a"], "\"\\\n\u{0}");
        assert_eq!(value["b"], "\\xffx\\x80");
        assert_eq!(value["c"], "gr[truncated 4 additional bytes]");
        assert_eq!(value["d"][1]["e"], true);
    }
}
