//! Filter expressions in tcpdump's language (`man pcap-filter`): `--filter`.
//!
//! libpcap compiles the text once per link layer, before any packet is read; it never processes a packet. This needs the
//! feature `pcap` and libpcap on the machine; without the feature every expression is rejected.

use citronella_wire::LinkType;

use super::{Packet, bpf::Program};

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The feature is off.
    #[error(
        "{text:?}: this program was built without libpcap, which reads filter expressions; build it with `cargo build --release --features pcap` (needs libpcap-dev), or use --port and --net"
    )]
    NotBuilt {
        /// The expression.
        text: String,
    },
    /// libpcap rejects it.
    #[error("{text:?}: {problem}; see `man pcap-filter` for the syntax")]
    Wrong {
        /// The expression.
        text: String,
        /// libpcap's message.
        problem: String,
    },
    /// It does not apply to a link layer.
    #[error("the filter {text:?} does not apply to packets of the link layer {link}: {problem}")]
    Link {
        /// The expression.
        text: String,
        /// The link layer.
        link: &'static str,
        /// libpcap's message.
        problem: String,
    },
}

/// A link layer and its program, or libpcap's message.
type LinkProgram = (LinkType, Result<Program, String>);

/// An expression and its programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    text: String,
    programs: Vec<LinkProgram>,
}

impl Expression {
    /// Compiles an expression. Host names are resolved here, once.
    ///
    /// # Errors
    /// libpcap rejects it for every link layer, or the program was built without the feature `pcap`.
    pub fn new(text: &str) -> Result<Expression, ExpressionError> {
        let programs = compile(text)?;
        let mut problems = programs.iter().map(|(_, program)| program.as_ref().err());
        match problems.next().flatten() {
            Some(problem) if problems.all(|problem| problem.is_some()) => {
                Err(ExpressionError::Wrong { text: text.to_owned(), problem: problem.clone() })
            }
            _ => Ok(Expression { text: text.to_owned(), programs }),
        }
    }

    fn compiled(&self, link: LinkType) -> Option<&Result<Program, String>> {
        self.programs.iter().find(|(of, _)| *of == link).map(|(_, program)| program)
    }

    /// The program for a link layer.
    pub fn program(&self, link: LinkType) -> Option<&Program> {
        self.compiled(link)?.as_ref().ok()
    }

    /// Checks that it applies to packets of a link layer.
    ///
    /// # Errors
    /// It does not, with libpcap's message.
    pub fn check(&self, link: LinkType) -> Result<(), ExpressionError> {
        let problem = match self.compiled(link) {
            Some(Ok(_)) => return Ok(()),
            Some(Err(problem)) => problem.clone(),
            None => "unknown to the filter".to_owned(),
        };
        Err(ExpressionError::Link { text: self.text.clone(), link: link.name(), problem })
    }

    /// Whether it matches a packet; `false` if it does not apply to the packet's link layer.
    pub fn matches(&self, packet: &Packet<'_>) -> bool {
        self.program(packet.link).is_some_and(|program| program.accepts(packet.wire_len, packet.bytes))
    }
}

#[cfg(not(feature = "pcap"))]
fn compile(text: &str) -> Result<Vec<LinkProgram>, ExpressionError> {
    Err(ExpressionError::NotBuilt { text: text.to_owned() })
}

/// Compiles for each link layer, Ethernet first.
#[cfg(feature = "pcap")]
fn compile(text: &str) -> Result<Vec<LinkProgram>, ExpressionError> {
    // By name, because libpcap's numbers for raw IP differ between systems.
    let links = [
        (LinkType::Ethernet, "EN10MB"),
        (LinkType::RawIp, "RAW"),
        (LinkType::RawIpv4, "IPV4"),
        (LinkType::RawIpv6, "IPV6"),
        (LinkType::LinuxSll, "LINUX_SLL"),
        (LinkType::LinuxSll2, "LINUX_SLL2"),
        (LinkType::Null, "NULL"),
        (LinkType::Loop, "LOOP"),
    ];
    let message = |error| match error {
        pcap::Error::PcapError(problem) => problem,
        other => other.to_string(),
    };
    let program = |name: &str| -> Result<Program, String> {
        let dead = pcap::Linktype::from_name(name).and_then(pcap::Capture::dead).map_err(message)?;
        let compiled = dead.compile(text, true).map_err(message)?;
        let read = |instruction: &pcap::BpfInstruction| read(&instruction.to_string());
        let instructions: Option<Vec<_>> = compiled.get_instructions().iter().map(read).collect();
        let instructions = instructions.ok_or("libpcap's program cannot be read")?;
        if instructions.iter().any(|instruction| instruction.loads_metadata()) {
            return Err("a captured packet has no direction and no interface".to_owned());
        }
        Ok(Program::new(instructions))
    };
    Ok(links.map(|(link, name)| (link, program(name))).to_vec())
}

/// Parses an instruction's text form: four numbers.
#[cfg(feature = "pcap")]
fn read(text: &str) -> Option<super::bpf::Instruction> {
    let mut numbers = text.split(' ').map(str::parse::<u32>);
    let mut next = || numbers.next()?.ok();
    let (code, jt, jf, k) = (next()?, next()?, next()?, next()?);
    Some(super::bpf::Instruction {
        code: code.try_into().ok()?,
        jt: jt.try_into().ok()?,
        jf: jf.try_into().ok()?,
        k,
    })
}
