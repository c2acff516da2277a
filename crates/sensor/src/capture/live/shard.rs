//! The live source of one shard: a ring for each interface, read packet by packet.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    mem::take,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    LiveError, LiveSettings,
    block::Entry,
    socket::{Group, Link, wait_for},
};
use crate::capture::{CaptureCounters, CaptureError, LinkNotice, Next, Source};

/// How long [`LiveShard`] waits for packets before it reports that it is idle. A packet ends the wait.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Interval at which a removed interface is looked for.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// Blocks read from one ring before the next has its turn.
const BLOCKS_A_TURN: u64 = 32;

/// Packets from all interfaces, for one shard.
pub struct LiveShard {
    links: Vec<Link>,
    sockets: Vec<libc::pollfd>,
    /// The link that is read, and the count of its blocks at which its turn ends.
    turn: usize,
    turn_ends: u64,
    /// Packets have been delivered since the rings were last empty.
    has_delivered: bool,
    /// `poll` has failed.
    has_failed: bool,
    /// Only one shard reports changes of interfaces; all follow them.
    reports_links: bool,
    notices: VecDeque<LinkNotice>,
    checked: Instant,
    number: u64,
}

/// Opens the interfaces for `shards` shards.
///
/// # Errors
/// No interface is named, one does not exist, the process lacks CAP_NET_RAW, or the kernel has no memory for a ring.
pub fn open(settings: &LiveSettings, shards: usize) -> Result<Vec<LiveShard>, LiveError> {
    check(settings, shards)?;
    let settings = Arc::new(settings.clone());
    let random = RandomState::new();
    let group = |name| (shards > 1).then(|| Group::new(random.hash_one(name)));
    let groups: Vec<_> = settings.interfaces.iter().map(group).collect();
    let shard = |index| {
        let links = settings.interfaces.iter().zip(&groups);
        let links = links.map(|(name, group)| Link::open(name, &settings, group.clone()));
        let links = links.collect::<Result<Vec<_>, LiveError>>()?;
        let reports_links = index == 0;
        Ok(LiveShard {
            notices: links.iter().filter(|_| reports_links).filter_map(Link::opened).collect(),
            links,
            sockets: Vec::new(),
            turn: 0,
            turn_ends: BLOCKS_A_TURN,
            has_delivered: false,
            has_failed: false,
            reports_links,
            checked: now(),
            number: 0,
        })
    };
    (0..shards).map(shard).collect()
}

fn check(settings: &LiveSettings, shards: usize) -> Result<(), LiveError> {
    let setting = |text: &str| Err(LiveError::Setting(text.to_owned()));
    if settings.interfaces.is_empty() {
        return setting("no interface to capture from; name one (-i INTERFACE)");
    }
    let mut names: Vec<_> = settings.interfaces.iter().collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair.first() == pair.last()).and_then(<[_]>::first) {
        return setting(&format!("{twice}: named twice; every packet would count twice"));
    }
    if names.len() > 1 && names.iter().any(|name| *name == "any") {
        return setting("any is all interfaces; name no other beside it");
    }
    match shards {
        1..=256 => Ok(()),
        _ => setting("capture runs in 1 to 256 threads"),
    }
}

impl LiveShard {
    /// The next packet of any ring. Each interface has its turn, of at most [`BLOCKS_A_TURN`] blocks.
    #[inline]
    fn next_entry(&mut self) -> Option<(usize, Entry)> {
        for _ in 0..=self.links.len() {
            let link = self.links.get_mut(self.turn)?;
            if let Some(entry) = link.next_entry(self.turn_ends) {
                return Some((self.turn, entry));
            }
            self.turn = (self.turn + 1) % self.links.len();
            self.turn_ends = self.links.get(self.turn)?.blocks() + BLOCKS_A_TURN;
        }
        None
    }

    #[inline]
    fn packet(&mut self, link: usize, entry: &Entry) -> Next<'_> {
        self.has_delivered = true;
        self.number += 1;
        let number = self.number;
        match self.links.get_mut(link) {
            Some(link) => Next::Packet(link.packet(entry, number)),
            None => Next::End,
        }
    }

    /// Waits for packets; the links whose socket has failed, or `None` where waiting has failed before.
    fn wait(&mut self) -> Result<Option<Vec<usize>>, LiveError> {
        match wait_for(&self.links, &mut self.sockets, POLL_TIMEOUT) {
            Ok(failed) => Ok(Some(failed)),
            Err(_) if self.has_failed => Ok(None),
            Err(source) => {
                self.has_failed = true;
                Err(LiveError::System { interface: self.names(), doing: "waiting for packets", source })
            }
        }
    }

    /// Checks the interfaces whose socket has failed, and at intervals those that are away.
    fn check_links(&mut self, failed: &[usize]) {
        let away = self.links.iter().any(|link| !link.is_up());
        let due = away && self.checked.elapsed() >= CHECK_EVERY;
        if failed.is_empty() && !due {
            return;
        }
        self.checked = now();
        for (index, link) in self.links.iter_mut().enumerate() {
            if (failed.contains(&index) || !link.is_up())
                && let Some(notice) = link.look()
                && self.reports_links
            {
                self.notices.push_back(notice);
            }
        }
    }

    fn names(&self) -> String {
        self.links.iter().map(Link::name).collect::<Vec<_>>().join(", ")
    }
}

impl Source for LiveShard {
    /// Waits up to [`POLL_TIMEOUT`] where the rings are empty.
    #[inline]
    fn next(&mut self) -> Result<Next<'_>, CaptureError> {
        if let Some(notice) = self.notices.pop_front() {
            return Ok(Next::LinkChanged(notice));
        }
        if let Some((link, entry)) = self.next_entry() {
            return Ok(self.packet(link, &entry));
        }
        if take(&mut self.has_delivered) {
            return Ok(Next::Drained);
        }
        let Some(failed) = self.wait()? else { return Ok(Next::End) };
        match self.next_entry() {
            Some((link, entry)) => Ok(self.packet(link, &entry)),
            None => {
                // Only now: an interface that is back gets a new ring.
                self.check_links(&failed);
                Ok(Next::Idle(wall_clock()))
            }
        }
    }

    fn counters(&mut self) -> CaptureCounters {
        let mut sum = CaptureCounters::default();
        self.links.iter_mut().for_each(|link| sum += link.count());
        sum
    }
}

// The two clocks of live capture: one for the interval at which interfaces are looked for, one that replaces packet time
// while no packets arrive.

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)]
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
