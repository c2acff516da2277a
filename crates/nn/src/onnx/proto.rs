//! The subset of the Protocol Buffers wire format and of ONNX messages that a model needs. Field numbers as in onnx.proto.

const FLOAT: u64 = 1;
const INT64: u64 = 7;

/// A message under construction.
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Message {
        Message(Vec::new())
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    /// Wire type 0.
    pub(super) fn number(&mut self, field: u64, n: u64) {
        self.varint(field << 3);
        self.varint(n);
    }

    /// Wire type 2.
    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn message(&mut self, field: u64, message: Message) {
        self.bytes(field, &message.0);
    }
}

/// NodeProto.
pub(super) fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Message {
    let mut node = Message::new();
    inputs.iter().for_each(|name| node.bytes(1, name.as_bytes()));
    outputs.iter().for_each(|name| node.bytes(2, name.as_bytes()));
    node.bytes(3, outputs.first().unwrap_or(&op).as_bytes());
    node.bytes(4, op.as_bytes());
    attributes.iter().for_each(|a| node.bytes(5, a));
    node
}

/// AttributeProto with an integer.
pub(super) fn attribute(name: &str, n: i64) -> Vec<u8> {
    let mut attribute = Message::new();
    attribute.bytes(1, name.as_bytes());
    attribute.number(3, n as u64);
    attribute.number(20, 2);
    attribute.0
}

/// AttributeProto with a list of integers.
pub(super) fn attributes(name: &str, numbers: &[i64]) -> Vec<u8> {
    let mut attribute = Message::new();
    attribute.bytes(1, name.as_bytes());
    numbers.iter().for_each(|n| attribute.number(8, *n as u64));
    attribute.number(20, 7);
    attribute.0
}

fn tensor(name: &str, kind: u64, shape: &[usize], raw: &[u8]) -> Message {
    let mut tensor = Message::new();
    shape.iter().for_each(|d| tensor.number(1, *d as u64));
    tensor.number(2, kind);
    tensor.bytes(8, name.as_bytes());
    tensor.bytes(9, raw);
    tensor
}

/// TensorProto of floats.
pub(super) fn tensor_f32(name: &str, shape: &[usize], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, FLOAT, shape, &raw)
}

/// TensorProto of integers.
pub(super) fn tensor_i64(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, INT64, &[values.len()], &raw)
}

/// ValueInfoProto of a float tensor; `None` is a dynamic dimension.
pub(super) fn value(name: &str, shape: &[Option<usize>]) -> Message {
    let names = ["batch", "steps"];
    let (mut dimensions, mut kind) = (Message::new(), Message::new());
    for (size, free) in shape.iter().zip(names.iter().chain([&"size"])) {
        let mut dimension = Message::new();
        match size {
            Some(n) => dimension.number(1, *n as u64),
            None => dimension.bytes(2, free.as_bytes()),
        }
        dimensions.message(1, dimension);
    }
    kind.number(1, FLOAT);
    kind.message(2, dimensions);
    let (mut of, mut value) = (Message::new(), Message::new());
    of.message(1, kind);
    value.bytes(1, name.as_bytes());
    value.message(2, of);
    value
}
