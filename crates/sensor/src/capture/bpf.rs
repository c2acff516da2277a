//! An interpreter for classic BPF programs (Documentation/networking/filter.rst of Linux).
//!
//! In: a program, a packet's captured bytes and its length on the wire. Out: whether the program accepts it. Jumps go
//! forward only, so every program terminates; as in the kernel and in libpcap, a load beyond the captured bytes rejects
//! the packet.

/// Maximum length of a program (BPF_MAXINSNS).
pub const MAX_INSTRUCTIONS: usize = 4096;

// Operation codes (linux/bpf_common.h): class in the lowest three bits, then size and mode, or operation and source.
const CLASS: u16 = 0x07;
const LOAD: u16 = 0;
const LOAD_X: u16 = 1;
const STORE: u16 = 2;
const STORE_X: u16 = 3;
const COMPUTE: u16 = 4;
const JUMP: u16 = 5;
const RETURN: u16 = 6;

const SIZE: u16 = 0x18;
const WORD: u16 = 0x00;
const HALF: u16 = 0x08;

const MODE: u16 = 0xe0;
const IMMEDIATE: u16 = 0x00;
const ABSOLUTE: u16 = 0x20;
const INDIRECT: u16 = 0x40;
const MEMORY: u16 = 0x60;
const LENGTH: u16 = 0x80;
const HEADER_LENGTH: u16 = 0xa0;

const OPERATION: u16 = 0xf0;
const ALWAYS: u16 = 0x00;
const BY_X: u16 = 0x08;
const OF_A: u16 = 0x10;
const TO_A: u16 = 0x80;

/// An instruction, as in `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation code.
    pub code: u16,
    /// Instructions that a jump skips if its test holds.
    pub jt: u8,
    /// Instructions that a jump skips if its test fails.
    pub jf: u8,
    /// Operand: an offset, a mask, a constant.
    pub k: u32,
}

impl Instruction {
    /// The constant that it returns, if it is such a return.
    pub fn returns(self) -> Option<u32> {
        (self.code & CLASS == RETURN && self.code & SIZE == 0).then_some(self.k)
    }

    /// Whether it ends the program.
    pub fn is_return(self) -> bool {
        self.code & CLASS == RETURN
    }

    /// Whether it loads kernel metadata that is not in the packet, such as its direction (SKF_LL_OFF and above).
    pub fn loads_metadata(self) -> bool {
        const FIRST: u32 = -0x20_0000_i32 as u32;
        self.code & CLASS == LOAD && self.code & MODE == ABSOLUTE && self.k >= FIRST
    }

    /// A jump over the next `by` instructions.
    pub fn jump(by: u32) -> Instruction {
        Instruction { code: JUMP | ALWAYS, jt: 0, jf: 0, k: by }
    }
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// A program of these instructions; it rejects packets on which it does not end with a return.
    pub fn new(instructions: Vec<Instruction>) -> Program {
        Program(instructions)
    }

    /// The instructions, in order.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// Whether it accepts a packet with these captured bytes.
    pub fn accepts(&self, wire_len: u32, bytes: &[u8]) -> bool {
        self.run(wire_len, bytes).is_some_and(|accepted| accepted > 0)
    }

    /// The returned value; `None` on a load out of bounds, a division by 0, or an invalid instruction.
    pub(super) fn run(&self, wire_len: u32, bytes: &[u8]) -> Option<u32> {
        let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0_usize);
        loop {
            let &Instruction { code, jt, jf, k } = self.0.get(at)?;
            at += 1;
            let operand = if code & BY_X == 0 { k } else { x };
            match code & CLASS {
                LOAD => {
                    a = match code & MODE {
                        ABSOLUTE => load(bytes, k, code)?,
                        INDIRECT => load(bytes, x.checked_add(k)?, code)?,
                        IMMEDIATE => k,
                        LENGTH => wire_len,
                        MEMORY => *memory.get(k as usize)?,
                        _ => return None,
                    }
                }
                LOAD_X => {
                    x = match code & MODE {
                        HEADER_LENGTH => 4 * u32::from(*bytes.get(k as usize)? & 15),
                        IMMEDIATE => k,
                        LENGTH => wire_len,
                        MEMORY => *memory.get(k as usize)?,
                        _ => return None,
                    }
                }
                STORE => *memory.get_mut(k as usize)? = a,
                STORE_X => *memory.get_mut(k as usize)? = x,
                COMPUTE => a = compute(code & OPERATION, a, operand)?,
                JUMP if code & OPERATION == ALWAYS => at = at.checked_add(k as usize)?,
                JUMP => at += usize::from(if holds(code & OPERATION, a, operand)? { jt } else { jf }),
                RETURN if code & SIZE == OF_A => return Some(a),
                RETURN => return Some(operand),
                _ if code & TO_A != 0 => a = x,
                _ => x = a,
            }
        }
    }
}

fn load(bytes: &[u8], at: u32, code: u16) -> Option<u32> {
    let bytes = bytes.get(at as usize..)?;
    Some(match code & SIZE {
        WORD => u32::from_be_bytes(*bytes.first_chunk()?),
        HALF => u32::from(u16::from_be_bytes(*bytes.first_chunk()?)),
        _ => u32::from(*bytes.first()?),
    })
}

fn compute(operation: u16, a: u32, by: u32) -> Option<u32> {
    Some(match operation {
        0x00 => a.wrapping_add(by),
        0x10 => a.wrapping_sub(by),
        0x20 => a.wrapping_mul(by),
        0x30 => a.checked_div(by)?,
        0x40 => a | by,
        0x50 => a & by,
        0x60 => a.checked_shl(by).unwrap_or(0),
        0x70 => a.checked_shr(by).unwrap_or(0),
        0x80 => a.wrapping_neg(),
        0x90 => a.checked_rem(by)?,
        0xa0 => a ^ by,
        _ => return None,
    })
}

fn holds(test: u16, a: u32, than: u32) -> Option<bool> {
    Some(match test {
        0x10 => a == than,
        0x20 => a > than,
        0x30 => a >= than,
        0x40 => a & than != 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn program(text: &str) -> Program {
        let instruction = |line: &str| {
            let numbers: Vec<u32> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
            Instruction { code: numbers[0] as u16, jt: numbers[1] as u8, jf: numbers[2] as u8, k: numbers[3] }
        };
        Program::new(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(instruction).collect())
    }

    /// `tcpdump -y EN10MB -ddd 'tcp dst port 1883 and ip'`.
    const TO_BROKER: &str = "
        40 0 0 12
        21 0 8 2048
        48 0 0 23
        21 0 6 6
        40 0 0 20
        69 4 0 8191
        177 0 0 14
        72 0 0 16
        21 0 1 1883
        6 0 0 262144
        6 0 0 0";

    fn segment(port: u16) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([0x9c, 0x40]);
        frame.extend(port.to_be_bytes());
        frame.extend([0; 16]);
        frame
    }

    #[test]
    fn a_libpcap_program_accepts_its_packets() {
        let to_broker = program(TO_BROKER);
        assert!(to_broker.accepts(54, &segment(1883)));
        assert!(!to_broker.accepts(54, &segment(1884)));
        // A fragment that is not the first has no ports.
        let mut fragment = segment(1883);
        fragment[21] = 9;
        assert!(!to_broker.accepts(54, &fragment));
        // The port was not captured.
        assert!(!to_broker.accepts(54, &segment(1883)[..36]));
        // `len`, memory, and a returned accumulator.
        let longer = program("128 0 0 0\n2 0 0 3\n96 0 0 3\n36 0 0 2\n37 0 1 200\n22 0 0 0\n6 0 0 0");
        assert!(longer.accepts(101, &[]) && !longer.accepts(100, &[]));
    }

    #[test]
    fn operations_compute_their_results() {
        let cases: [(u16, u32, u32, Option<u32>); 14] = [
            (0x04, 7, 5, Some(12)),
            (0x14, 7, 9, Some(u32::MAX - 1)),
            (0x24, 1 << 31, 2, Some(0)),
            (0x34, 7, 2, Some(3)),
            (0x34, 7, 0, None),
            (0x44, 5, 2, Some(7)),
            (0x54, 7, 2, Some(2)),
            (0x64, 1, 33, Some(0)),
            (0x74, 8, 2, Some(2)),
            (0x84, 1, 0, Some(u32::MAX)),
            (0x94, 7, 4, Some(3)),
            (0x94, 7, 0, None),
            (0xa4, 6, 3, Some(5)),
            (0xb4, 6, 3, None),
        ];
        for (code, a, by, expected) in cases {
            let made = |code: u16, last: &str| {
                program(&format!("1 0 0 {by}\n0 0 0 {a}\n{code} 0 0 {by}\n{last}")).run(0, &[])
            };
            assert_eq!(made(code, "22 0 0 0"), expected, "{code:#x}");
            assert_eq!(made(code | BY_X, "22 0 0 0"), expected, "{code:#x}");
            // A to X to A.
            assert_eq!(made(code, "7 0 0 0\n0 0 0 9\n135 0 0 0\n22 0 0 0"), expected, "{code:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_program_terminates(
            codes in prop::collection::vec((0_u16..256, any::<u8>(), any::<u8>(), any::<u32>(), 0_u32..64), 0..64),
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let few = |(code, jt, jf, large, small)| {
                // Mostly operands within the packet, the memory and the program.
                let k = if large % 8 == 0 { large } else { small };
                Instruction { code, jt: jt % 8, jf: jf % 8, k }
            };
            let program = Program::new(codes.into_iter().map(few).collect());
            prop_assert_eq!(program.run(64, &bytes), program.run(64, &bytes));
        }
    }
}
