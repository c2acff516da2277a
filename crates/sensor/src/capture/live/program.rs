//! Generates the classic BPF programs (Documentation/networking/filter.rst) that the kernel runs over every packet: one
//! chooses the packet's shard, one filters packets before they are copied into the ring.
//!
//! Loads are relative to the network header, so one program works for every link layer; the kernel has already removed the
//! first VLAN tag.

use std::net::IpAddr;

use ipnet::IpNet;

use citronella_wire::LinkType;

use super::super::{
    bpf::{self, MAX_INSTRUCTIONS, Program},
    filter::Filter,
};
use super::sys::Instruction;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMPV6: u32 = 58;

// Offsets of the kernel's packet metadata (linux/filter.h).
const NETWORK: u32 = -0x100000_i32 as u32;
const PROTOCOL: u32 = -0x1000_i32 as u32;
const HAS_VLAN_TAG: u32 = PROTOCOL + 48;

// Operation codes: class, size and mode (linux/bpf_common.h).
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_MEMORY: u16 = 0x60;
const LOAD_X_MEMORY: u16 = 0x61;
const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
const STORE: u16 = 0x02;
const AND: u16 = 0x54;
const MULTIPLY: u16 = 0x24;
const SHIFT_RIGHT: u16 = 0x74;
const ADD_X: u16 = 0x0c;
const XOR_X: u16 = 0xac;
const TO_X: u16 = 0x07;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_ANY: u16 = 0x45;
const RETURN: u16 = 0x06;
const RETURN_A: u16 = 0x16;

/// A jump target, which may be used before it is bound.
#[derive(Clone, Copy)]
struct Label(usize);

#[derive(Default)]
struct Assembler {
    code: Vec<Instruction>,
    /// Position of each label, once it is bound.
    labels: Vec<Option<usize>>,
    /// Jumps whose distance `finish` fills in.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn push(&mut self, code: u16, k: u32) {
        self.code.push(Instruction { code, jt: 0, jf: 0, k });
    }

    fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    fn bind(&mut self, label: Label) {
        if let Some(position) = self.labels.get_mut(label.0) {
            *position = Some(self.code.len());
        }
    }

    fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(JUMP, 0);
    }

    /// A conditional jump reaches only 255 instructions, so it skips an unconditional one or falls through to it.
    fn jump_if(&mut self, test: u16, k: u32, to: Label) {
        self.code.push(Instruction { code: test, jt: 0, jf: 1, k });
        self.jump(to);
    }

    fn jump_unless(&mut self, test: u16, k: u32, to: Label) {
        self.code.push(Instruction { code: test, jt: 1, jf: 0, k });
        self.jump(to);
    }

    /// The program; `None` if it is longer than the kernel allows.
    fn finish(mut self) -> Option<Vec<Instruction>> {
        for (at, label) in self.jumps {
            let to = self.labels.get(label.0).copied().flatten()?;
            self.code.get_mut(at)?.k = to.checked_sub(at + 1)? as u32;
        }
        (self.code.len() <= MAX_INSTRUCTIONS).then_some(self.code)
    }
}

/// Sends all packets between two hosts, fragments included, to one socket of a fanout group; packets that are not IP go
/// to the first. With a random `seed` a sender cannot choose the shard.
pub(super) fn fanout(seed: u64) -> Vec<Instruction> {
    let (first, second) = (seed as u32 | 1, (seed >> 32) as u32 | 1);
    let mut program = Assembler::default();
    let [v4, v6, mix] = [(); 3].map(|()| program.label());
    program.push(LOAD_HALF, PROTOCOL);
    program.jump_if(JUMP_IF_EQUAL, IPV4, v4);
    program.jump_if(JUMP_IF_EQUAL, IPV6, v6);
    program.push(RETURN, 0);

    program.bind(v4);
    for (memory, offset) in [(0, 12), (1, 16)] {
        program.push(LOAD_WORD, NETWORK.wrapping_add(offset));
        program.push(STORE, memory);
    }
    program.jump(mix);

    program.bind(v6);
    for (memory, offset) in [(0, 8), (1, 24)] {
        program.push(LOAD_WORD, NETWORK.wrapping_add(offset));
        for word in 1..4 {
            program.push(MULTIPLY, first);
            program.push(TO_X, 0);
            program.push(LOAD_WORD, NETWORK.wrapping_add(offset + 4 * word));
            program.push(ADD_X, 0);
        }
        program.push(STORE, memory);
    }

    // ((a ^ b) * first) ^ ((a + b) * second): the same for both directions.
    program.bind(mix);
    program.push(LOAD_X_MEMORY, 1);
    program.push(LOAD_MEMORY, 0);
    program.push(XOR_X, 0);
    program.push(MULTIPLY, first);
    program.push(STORE, 2);
    program.push(LOAD_MEMORY, 0);
    program.push(ADD_X, 0);
    program.push(MULTIPLY, second);
    program.push(LOAD_X_MEMORY, 2);
    program.push(XOR_X, 0);
    program.push(SHIFT_RIGHT, 15); // a product's high bits depend on all bits
    program.push(RETURN_A, 0);
    program.finish().unwrap_or_default()
}

/// Accepts `snap_bytes` of at least the packets of this link layer that `filter` matches; [`Filter::matches`] decides
/// exactly.
pub(super) fn filter(filter: &Filter, link: LinkType, snap_bytes: u32) -> Vec<Instruction> {
    let endpoints = endpoints(filter, snap_bytes);
    let expression = filter.expression.as_ref().and_then(|expression| expression.program(link));
    expression.and_then(|expression| prepend(expression, &endpoints)).unwrap_or(endpoints)
}

/// An expression, followed by the program `then` for packets that it accepts. Packets whose VLAN tag the kernel has
/// removed skip the expression, which expects the tag in the packet. `None` if the result is longer than the kernel
/// allows, or the expression returns a computed value.
fn prepend(expression: &Program, then: &[Instruction]) -> Option<Vec<Instruction>> {
    let expression = expression.instructions();
    let length = expression.len();
    let mut program = Assembler::default();
    program.push(LOAD_BYTE, HAS_VLAN_TAG);
    program.code.push(Instruction { code: JUMP_IF_EQUAL, jt: 1, jf: 0, k: 0 });
    program.push(JUMP, length as u32);
    for (at, instruction) in expression.iter().enumerate() {
        let remaining = (length - at - 1) as u32;
        let bpf::Instruction { code, jt, jf, k } = match instruction.returns() {
            Some(0) => *instruction,
            Some(_) => bpf::Instruction::jump(remaining),
            None if instruction.is_return() => return None,
            None => *instruction,
        };
        program.code.push(Instruction { code, jt, jf, k });
    }
    program.code.extend(then);
    program.finish()
}

/// The program for ports and networks; a filter that is too long for the kernel loses its networks, then its ports.
fn endpoints(filter: &Filter, snap_bytes: u32) -> Vec<Instruction> {
    compile(filter, snap_bytes)
        .or_else(|| compile(&Filter { networks: Vec::new(), ..filter.clone() }, snap_bytes))
        .or_else(|| compile(&Filter::default(), snap_bytes))
        .unwrap_or_default()
}

fn compile(filter: &Filter, snap_bytes: u32) -> Option<Vec<Instruction>> {
    let mut program = Assembler::default();
    let [accept, reject, v4, v6] = [(); 4].map(|()| program.label());
    if !(filter.ports.is_empty() && filter.networks.is_empty()) {
        program.push(LOAD_HALF, PROTOCOL);
        program.jump_if(JUMP_IF_EQUAL, IPV4, v4);
        program.jump_if(JUMP_IF_EQUAL, IPV6, v6);
        program.jump(accept); // a second tag or another protocol: `Filter::matches` decides

        program.bind(v4);
        networks(&mut program, filter, true, reject);
        if !filter.ports.is_empty() {
            program.push(LOAD_HALF, NETWORK.wrapping_add(6));
            program.jump_if(JUMP_IF_ANY, 0x3fff, accept); // a fragment
            transport(&mut program, 9, reject);
            program.push(LOAD_X_HEADER_LENGTH, NETWORK);
            for offset in [0, 2] {
                program.push(LOAD_HALF_AT_X, NETWORK.wrapping_add(offset));
                ports(&mut program, &filter.ports, accept);
            }
            program.jump(reject);
        }
        program.jump(accept);

        program.bind(v6);
        networks(&mut program, filter, false, reject);
        if !filter.ports.is_empty() {
            program.push(LOAD_BYTE, NETWORK.wrapping_add(6));
            program.jump_if(JUMP_IF_EQUAL, ICMPV6, reject);
            let plain = program.label();
            program.jump_if(JUMP_IF_EQUAL, TCP, plain);
            program.jump_unless(JUMP_IF_EQUAL, UDP, accept); // extension headers: `Filter::matches` decides
            program.bind(plain);
            for offset in [40, 42] {
                program.push(LOAD_HALF, NETWORK.wrapping_add(offset));
                ports(&mut program, &filter.ports, accept);
            }
            program.jump(reject);
        }
    }
    program.bind(accept);
    program.push(RETURN, snap_bytes);
    program.bind(reject);
    program.push(RETURN, 0);
    program.finish()
}

fn transport(program: &mut Assembler, offset: u32, reject: Label) {
    let known = program.label();
    program.push(LOAD_BYTE, NETWORK.wrapping_add(offset));
    program.jump_if(JUMP_IF_EQUAL, TCP, known);
    program.jump_unless(JUMP_IF_EQUAL, UDP, reject);
    program.bind(known);
}

fn ports(program: &mut Assembler, ports: &[u16], accept: Label) {
    for &port in ports {
        program.jump_if(JUMP_IF_EQUAL, u32::from(port), accept);
    }
}

/// Falls through if source or destination is in one of the networks of this IP version, else jumps to `reject`.
fn networks(program: &mut Assembler, filter: &Filter, v4: bool, reject: Label) {
    if filter.networks.is_empty() {
        return;
    }
    let inside = program.label();
    for network in filter.networks.iter().filter(|network| matches!(network, IpNet::V4(_)) == v4) {
        let (address, mask) = (words(network.network()), words(network.netmask()));
        let offsets = if v4 { [12, 16] } else { [8, 24] };
        for offset in offsets {
            let other = program.label();
            for (word, (&address, &mask)) in address.iter().zip(&mask).enumerate() {
                if mask != 0 {
                    program.push(LOAD_WORD, NETWORK.wrapping_add(offset + 4 * word as u32));
                    program.push(AND, mask);
                    program.jump_unless(JUMP_IF_EQUAL, address, other);
                }
            }
            program.jump(inside);
            program.bind(other);
        }
    }
    program.jump(reject);
    program.bind(inside);
}

fn words(address: IpAddr) -> Vec<u32> {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    octets.chunks_exact(4).filter_map(|word| word.first_chunk().copied().map(u32::from_be_bytes)).collect()
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
