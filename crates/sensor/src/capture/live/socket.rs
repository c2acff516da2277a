//! One shard's socket and ring on one interface, which follow the interface's state (up, down, removed).

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use citronella_wire::LinkType;

use super::{
    BLOCK_BYTES, LiveError, LiveSettings,
    block::{BlockCursor, Entry, TAG_BYTES},
    interfaces, program,
    sys::{self, Instruction, InterfaceInfo, Ring, Socket},
};
use crate::capture::{CaptureCounters, LinkEvent, LinkNotice, Packet};

const ETHERNET: u16 = libc::ARPHRD_ETHER;
const LOOPBACK: u16 = libc::ARPHRD_LOOPBACK;
const IP_PROTOCOLS: [u16; 2] = [0x0800, 0x86dd];
/// Sockets opened in advance for an interface that reappears after this process has dropped its privileges: a socket
/// cannot leave its fanout group for the group of the interface's new index.
const SPARES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    Down,
    Removed,
    Lost,
}

/// The fanout group that the shards of one interface share.
pub(super) struct Group {
    seed: u64,
    /// Index of the interface and number of the group.
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
                socket.set_fanout_program(&program::fanout(self.seed))?;
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
    /// Index of the interface that the socket is bound to.
    index: Option<i32>,
    state: State,
    ring: Ring,
    /// Position in the ring's current block, once reading it has started.
    cursor: Option<BlockCursor>,
    blocks: u64,
    socket: Socket,
    spares: Vec<Socket>,
    counters: CaptureCounters,
}

impl Link {
    pub(super) fn open(
        name: &str,
        settings: &Arc<LiveSettings>,
        group: Option<Arc<Group>>,
    ) -> Result<Link, LiveError> {
        let failed = |doing| move |source| LiveError::System { interface: name.to_owned(), doing, source };
        let probe = Socket::new(true).map_err(|source| refused(name, source))?;
        let info = interface_info(&probe, name).map_err(|source| unknown(name, source))?;
        let cooked = is_cooked(info);
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
            cursor: None,
            blocks: 0,
            socket,
            spares,
            counters: CaptureCounters::default(),
        };
        if info.up {
            link.attach(info).map_err(failed("binding"))?;
            link.state = State::Up;
        }
        Ok(link)
    }

    /// Binds to the interface and joins the group. Before it has joined, every shard would receive every packet: until
    /// then a program that rejects all packets is attached.
    fn attach(&mut self, info: InterfaceInfo) -> io::Result<()> {
        let settings = &self.settings;
        let ignore_outgoing = settings.ignore_outgoing || info.hardware == LOOPBACK;
        let reject_all = Instruction { code: 0x06, jt: 0, jf: 0, k: 0 };
        self.socket.attach_filter(&[reject_all])?;
        self.socket.bind(info.index)?;
        if let Some(group) = &self.group {
            group.join(&self.socket, info.index, ignore_outgoing)?;
        } else if ignore_outgoing {
            // Fails on kernels before 4.20; `next_block` ignores the packets then.
            let _ = self.socket.set_packet(libc::PACKET_IGNORE_OUTGOING, &1_i32);
        }
        if settings.promiscuous && info.index != 0 && info.hardware != LOOPBACK {
            self.socket.set_promiscuous(info.index)?;
        }
        self.socket.attach_filter(&program::filter(
            &settings.filter,
            layer(self.cooked),
            settings.snap_bytes,
        ))?;
        self.index = Some(info.index);
        Ok(())
    }

    /// A notice if the interface is down at the start.
    pub(super) fn opened(&self) -> Option<LinkNotice> {
        (!self.is_up()).then(|| LinkNotice { interface: self.name.clone(), event: LinkEvent::Down })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pollfd(&self) -> libc::pollfd {
        libc::pollfd { fd: self.socket.fd(), events: libc::POLLIN, revents: 0 }
    }

    /// The next packet of the ring; `None` where the kernel has filled no block, or `blocks` blocks have been read since
    /// the link was opened.
    #[inline]
    pub(super) fn next_entry(&mut self, blocks: u64) -> Option<Entry> {
        let cooked = self.cooked;
        while self.blocks < blocks {
            let block = self.ring.block()?;
            let cursor = self.cursor.get_or_insert_with(|| BlockCursor::new(block));
            let Some(entry) = cursor.next(block, !cooked) else {
                self.counters.damaged += u64::from(cursor.remaining());
                self.cursor = None;
                self.ring.release();
                self.blocks += 1;
                continue;
            };
            let outgoing = entry.direction == libc::PACKET_OUTGOING;
            let excluded = outgoing && (self.settings.ignore_outgoing || entry.hardware == LOOPBACK);
            let filter = &self.settings.filter;
            if excluded
                || cooked && !IP_PROTOCOLS.contains(&entry.protocol)
                || !filter.is_empty() && !filter.matches(&packet(&entry, block, 0, cooked))
            {
                self.counters.filtered += 1;
                continue;
            }
            self.counters.packets += 1;
            return Some(entry);
        }
        None
    }

    /// The packet of the entry that [`Link::next_entry`] has just returned.
    #[inline]
    pub(super) fn packet(&mut self, entry: &Entry, number: u64) -> Packet<'_> {
        let cooked = self.cooked;
        packet(entry, self.ring.block().unwrap_or_default(), number, cooked)
    }

    /// Blocks read since the link was opened.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Whether the interface was up at the last check.
    pub(super) fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Checks the interface, after a socket error or while it is not up; returns what changed.
    pub(super) fn look(&mut self) -> Option<LinkNotice> {
        // Reading the error clears it, so that the next poll blocks again.
        let _ = self.socket.take_error();
        let event = match (interface_info(&self.socket, &self.name), self.state) {
            (_, State::Lost) | (Err(_), State::Removed) => return None,
            (Err(_), _) => (State::Removed, LinkEvent::Removed),
            (Ok(info), State::Up) if !info.up => (State::Down, LinkEvent::Down),
            (Ok(info), State::Down | State::Removed) if info.up => match self.resume(info) {
                Ok(()) if self.state == State::Down => (State::Up, LinkEvent::Up),
                Ok(()) => (State::Up, LinkEvent::Back),
                Err(error) => (State::Lost, LinkEvent::Lost(error)),
            },
            (Ok(info), State::Up) if self.index != Some(info.index) => match self.resume(info) {
                Ok(()) => (State::Up, LinkEvent::Back),
                Err(error) => (State::Lost, LinkEvent::Lost(error)),
            },
            (Ok(_), _) => return None,
        };
        self.state = event.0;
        Some(LinkNotice { interface: self.name.clone(), event: event.1 })
    }

    /// Resumes capture from an interface that is up again, or from a new interface of the same name.
    fn resume(&mut self, info: InterfaceInfo) -> io::Result<()> {
        match self.index {
            // The kernel has rebound the socket.
            Some(index) if index == info.index => return Ok(()),
            // It was never up.
            None if is_cooked(info) == self.cooked => return self.attach(info),
            _ => {}
        }
        self.count();
        if self.group.is_some() || is_cooked(info) != self.cooked {
            let spare = if is_cooked(info) == self.cooked { self.spares.pop() } else { None };
            self.cooked = is_cooked(info);
            self.socket = match spare {
                Some(socket) => socket,
                None => Socket::new(self.cooked)?,
            };
            self.ring = new_ring(&self.socket, &self.settings)?;
            self.cursor = None;
        }
        self.attach(info)
    }

    /// The counters, including the kernel's.
    pub(super) fn count(&mut self) -> CaptureCounters {
        if let Ok(kernel) = self.socket.statistics() {
            self.counters.dropped += u64::from(kernel.drops);
            self.counters.ring_full += u64::from(kernel.freezes);
        }
        self.counters
    }
}

#[inline]
fn packet<'a>(entry: &Entry, block: &'a [u8], number: u64, cooked: bool) -> Packet<'a> {
    Packet {
        number,
        time_nanos: entry.time_nanos,
        link: layer(cooked),
        wire_len: entry.wire_len,
        bytes: block.get(entry.bytes.clone()).unwrap_or_default(),
    }
}

fn new_ring(socket: &Socket, settings: &LiveSettings) -> io::Result<Ring> {
    socket.set_packet(libc::PACKET_RESERVE, &(TAG_BYTES as libc::c_uint))?;
    let blocks = settings.ring_bytes.div_ceil(BLOCK_BYTES).max(2);
    Ring::new(socket, BLOCK_BYTES, blocks, settings.block_timeout.max(Duration::from_millis(1)))
}

fn interface_info(socket: &Socket, name: &str) -> io::Result<InterfaceInfo> {
    match name {
        "any" => Ok(InterfaceInfo { index: 0, hardware: 0, up: true }),
        name => socket.interface_info(name),
    }
}

/// Whether packets are captured without a link header: on every interface but Ethernet.
fn is_cooked(info: InterfaceInfo) -> bool {
    !matches!(info.hardware, ETHERNET | LOOPBACK)
}

/// The type of the packets' first header.
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

/// Waits for one of the links, for `wait` at most; returns the indices of links whose socket has an error.
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
