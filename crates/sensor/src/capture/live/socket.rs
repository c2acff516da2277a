//! One shard's socket and ring on one interface, through the interface's going down, up and away.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use citronella_wire::LinkType;

use super::{
    BLOCK_BYTES, LiveCounters, LiveError, LiveSettings,
    block::{self, TAG_BYTES},
    interfaces, program,
    sys::{self, Facts, Instruction, Ring, Socket},
};
use crate::capture::Packet;

const ETHERNET: u16 = libc::ARPHRD_ETHER;
const LOOPBACK: u16 = libc::ARPHRD_LOOPBACK;
const IP_PROTOCOLS: [u16; 2] = [0x0800, 0x86dd];
/// Sockets kept in reserve for an interface that comes back when this process may no longer open one: a socket
/// cannot leave its fanout group for the group of the interface's new number.
const SPARES: usize = 16;

/// What happened to an interface.
#[derive(Debug)]
pub enum LinkEvent {
    /// It went down; capture goes on when it comes up.
    Down,
    /// It is up again.
    Up,
    /// It was removed; capture goes on when one of its name appears.
    Removed,
    /// It appeared again, and is captured from.
    Back,
    /// It appeared again, but cannot be captured from.
    Lost(io::Error),
}

/// News of an interface, for the log.
#[derive(Debug)]
pub struct Notice {
    /// The interface.
    pub interface: String,
    /// What happened.
    pub event: LinkEvent,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = &self.interface;
        match &self.event {
            LinkEvent::Down => write!(f, "{interface} is down; waiting for it to come up"),
            LinkEvent::Up => write!(f, "{interface} is up; capturing"),
            LinkEvent::Removed => write!(f, "{interface} was removed; waiting for it to come back"),
            LinkEvent::Back => write!(f, "{interface} is back; capturing"),
            LinkEvent::Lost(error) => {
                write!(
                    f,
                    "{interface} is back but cannot be opened again ({error}); restart to capture from it"
                )
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    Down,
    Removed,
    Lost,
}

/// The fanout group that the shards of one interface share: its interface's number and the group's.
pub(super) struct Group {
    seed: u64,
    joined: Mutex<Option<(i32, u16)>>,
}

impl Group {
    pub(super) fn new(seed: u64) -> Arc<Group> {
        Arc::new(Group { seed, joined: Mutex::new(None) })
    }

    fn join(&self, socket: &Socket, index: i32, ignore_outgoing: bool) -> io::Result<()> {
        let mut joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        let id = joined.filter(|(of, _)| *of == index).map(|(_, id)| id);
        let outgoing = if ignore_outgoing { libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING } else { 0 };
        let id = match socket.join_fanout(id, libc::PACKET_FANOUT_CBPF | outgoing) {
            Ok(id) => {
                socket.set_fanout_program(&program::by_hosts(self.seed))?;
                id
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                socket.join_fanout(id, libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_DEFRAG)?
            }
            Err(error) => return Err(error),
        };
        *joined = Some((index, id));
        Ok(())
    }
}

/// A socket with its ring, bound to an interface.
pub(super) struct Link {
    name: String,
    settings: Arc<LiveSettings>,
    group: Option<Arc<Group>>,
    cooked: bool,
    /// The number of the interface that the socket is bound to.
    index: Option<i32>,
    state: State,
    ring: Ring,
    socket: Socket,
    spares: Vec<Socket>,
    counters: LiveCounters,
}

impl Link {
    pub(super) fn open(
        name: &str,
        settings: &Arc<LiveSettings>,
        group: Option<Arc<Group>>,
    ) -> Result<Link, LiveError> {
        let failed = |doing| move |source| LiveError::System { interface: name.to_owned(), doing, source };
        let probe = Socket::new(true).map_err(|source| refused(name, source))?;
        let facts = facts(&probe, name).map_err(|source| unknown(name, source))?;
        let cooked = is_cooked(facts);
        let filtered = settings.filter.check(layer(cooked));
        filtered.map_err(|problem| LiveError::Filter { interface: name.to_owned(), problem })?;
        let new_socket = || Socket::new(cooked).map_err(|source| refused(name, source));
        let socket = new_socket()?;
        let spares = if group.is_some() { SPARES } else { 0 };
        let spares = (0..spares).map(|_| new_socket()).collect::<Result<_, _>>()?;
        let ring = new_ring(&socket, settings).map_err(|source| LiveError::Ring {
            interface: name.to_owned(),
            bytes: settings.ring_bytes,
            source,
        })?;
        let mut link = Link {
            name: name.to_owned(),
            settings: Arc::clone(settings),
            group,
            cooked,
            index: None,
            state: State::Down,
            ring,
            socket,
            spares,
            counters: LiveCounters::default(),
        };
        if facts.up {
            link.attach(facts).map_err(failed("binding"))?;
            link.state = State::Up;
        }
        Ok(link)
    }

    /// Binds to the interface and joins the group. Until it is in the group nothing may arrive, or every shard would
    /// see it: a program that keeps nothing stands in for the filter.
    fn attach(&mut self, facts: Facts) -> io::Result<()> {
        let settings = &self.settings;
        let ignore_outgoing = settings.ignore_outgoing || facts.hardware == LOOPBACK;
        let nothing = Instruction { code: 0x06, jt: 0, jf: 0, k: 0 };
        self.socket.attach_filter(&[nothing])?;
        self.socket.bind(facts.index)?;
        if let Some(group) = &self.group {
            group.join(&self.socket, facts.index, ignore_outgoing)?;
        } else if ignore_outgoing {
            // Before 4.20 the kernel cannot; then they are left out here.
            let _ = self.socket.set_packet(libc::PACKET_IGNORE_OUTGOING, &1_i32);
        }
        if settings.promiscuous && facts.index != 0 && facts.hardware != LOOPBACK {
            self.socket.set_promiscuous(facts.index)?;
        }
        self.socket.attach_filter(&program::keeping(
            &settings.filter,
            layer(self.cooked),
            settings.snap_bytes,
        ))?;
        self.index = Some(facts.index);
        Ok(())
    }

    /// That it is down from the begin, if so.
    pub(super) fn opened(&self) -> Option<Notice> {
        (!self.is_up()).then(|| Notice { interface: self.name.clone(), event: LinkEvent::Down })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pollfd(&self) -> libc::pollfd {
        libc::pollfd { fd: self.socket.fd(), events: libc::POLLIN, revents: 0 }
    }

    /// Hands out the packets of the next block; `false` where there is none yet.
    #[inline]
    pub(super) fn next_block(&mut self, number: &mut u64, each: &mut impl FnMut(Packet<'_>)) -> bool {
        let link = layer(self.cooked);
        let Link { settings, counters, cooked, .. } = self;
        let (filter, cooked) = (&settings.filter, *cooked);
        let taken = self.ring.take(|bytes| {
            block::read(bytes, !cooked, |entry| {
                let outgoing = entry.direction == libc::PACKET_OUTGOING;
                let out = outgoing && (settings.ignore_outgoing || entry.hardware == LOOPBACK);
                let packet = Packet {
                    number: *number + 1,
                    time_nanos: entry.time_nanos,
                    link,
                    wire_len: entry.wire_len,
                    bytes: entry.bytes,
                };
                if out
                    || cooked && !IP_PROTOCOLS.contains(&entry.protocol)
                    || !filter.is_empty() && !filter.keeps(&packet)
                {
                    counters.left_out += 1;
                    return;
                }
                counters.packets += 1;
                *number += 1;
                each(packet);
            })
        });
        if let Some(read) = &taken {
            counters.damaged += u64::from(read.lost);
        }
        taken.is_some()
    }

    /// Whether the socket should be asked how its interface is.
    pub(super) fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Looks how the interface is, after an error of the socket or while it is away; tells what changed.
    pub(super) fn look(&mut self) -> Option<Notice> {
        // Reading the error clears it: the next poll waits again.
        let _ = self.socket.take_error();
        let event = match (facts(&self.socket, &self.name), self.state) {
            (_, State::Lost) | (Err(_), State::Removed) => return None,
            (Err(_), _) => (State::Removed, LinkEvent::Removed),
            (Ok(facts), State::Up) if !facts.up => (State::Down, LinkEvent::Down),
            (Ok(facts), State::Down | State::Removed) if facts.up => match self.resume(facts) {
                Ok(()) if self.state == State::Down => (State::Up, LinkEvent::Up),
                Ok(()) => (State::Up, LinkEvent::Back),
                Err(error) => (State::Lost, LinkEvent::Lost(error)),
            },
            (Ok(facts), State::Up) if self.index != Some(facts.index) => match self.resume(facts) {
                Ok(()) => (State::Up, LinkEvent::Back),
                Err(error) => (State::Lost, LinkEvent::Lost(error)),
            },
            (Ok(_), _) => return None,
        };
        self.state = event.0;
        Some(Notice { interface: self.name.clone(), event: event.1 })
    }

    /// Captures from an interface that is up again, or from another of its name.
    fn resume(&mut self, facts: Facts) -> io::Result<()> {
        match self.index {
            // The kernel has bound the socket again by itself.
            Some(index) if index == facts.index => return Ok(()),
            // It never was up.
            None if is_cooked(facts) == self.cooked => return self.attach(facts),
            _ => {}
        }
        self.count();
        if self.group.is_some() || is_cooked(facts) != self.cooked {
            let spare = if is_cooked(facts) == self.cooked { self.spares.pop() } else { None };
            self.cooked = is_cooked(facts);
            self.socket = match spare {
                Some(socket) => socket,
                None => Socket::new(self.cooked)?,
            };
            self.ring = new_ring(&self.socket, &self.settings)?;
        }
        self.attach(facts)
    }

    /// What was counted so far.
    pub(super) fn count(&mut self) -> LiveCounters {
        if let Ok(kernel) = self.socket.statistics() {
            self.counters.dropped += u64::from(kernel.drops);
            self.counters.freezes += u64::from(kernel.freezes);
        }
        self.counters
    }
}

fn new_ring(socket: &Socket, settings: &LiveSettings) -> io::Result<Ring> {
    socket.set_packet(libc::PACKET_RESERVE, &(TAG_BYTES as libc::c_uint))?;
    let blocks = settings.ring_bytes.div_ceil(BLOCK_BYTES).max(2);
    Ring::new(socket, BLOCK_BYTES, blocks, settings.block_timeout.max(Duration::from_millis(1)))
}

fn facts(socket: &Socket, name: &str) -> io::Result<Facts> {
    match name {
        "any" => Ok(Facts { index: 0, hardware: 0, up: true }),
        name => socket.facts(name),
    }
}

/// Whether packets come without a link header: for all but Ethernet, whose header alone is read here.
fn is_cooked(facts: Facts) -> bool {
    !matches!(facts.hardware, ETHERNET | LOOPBACK)
}

/// The first header of packets.
fn layer(cooked: bool) -> LinkType {
    if cooked { LinkType::RawIp } else { LinkType::Ethernet }
}

fn refused(interface: &str, source: io::Error) -> LiveError {
    let interface = interface.to_owned();
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            let program = std::env::current_exe().map(|path| path.display().to_string());
            LiveError::Privilege { interface, program: program.unwrap_or_else(|_| "citronella".to_owned()) }
        }
        _ => LiveError::System { interface, doing: "opening a packet socket", source },
    }
}

fn unknown(interface: &str, source: io::Error) -> LiveError {
    let interface = interface.to_owned();
    if source.raw_os_error() != Some(libc::ENODEV) {
        return LiveError::System { interface, doing: "asking for the interface", source };
    }
    let names = interfaces::interfaces().unwrap_or_default();
    let names: Vec<_> = names.into_iter().map(|interface| interface.name).collect();
    let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    LiveError::Unknown { interface, available }
}

/// Waits for one of the links, `wait` at most; gives the places of those whose socket has an error.
pub(super) fn wait_for(
    links: &[Link],
    sockets: &mut Vec<libc::pollfd>,
    wait: Duration,
) -> io::Result<Vec<usize>> {
    sockets.clear();
    sockets.extend(links.iter().map(Link::pollfd));
    sys::poll(sockets, wait)?;
    let failed = sockets.iter().enumerate().filter(|(_, socket)| socket.revents & libc::POLLERR != 0);
    Ok(failed.map(|(at, _)| at).collect())
}
