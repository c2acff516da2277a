//! What one shard's thread reads from: a ring for each interface.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    LiveCounters, LiveError, LiveSettings, Notice,
    socket::{Group, Link, wait_for},
};
use crate::capture::Packet;

/// How often an interface that is away is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Blocks taken from one ring before the next has its turn.
const BLOCKS_A_TURN: usize = 32;

/// Packets from all interfaces, for one shard.
pub struct LiveShard {
    links: Vec<Link>,
    sockets: Vec<libc::pollfd>,
    /// Only one shard tells of the interfaces; all follow them.
    tells: bool,
    notices: Vec<Notice>,
    looked: Instant,
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
    let shard = |at| {
        let links = settings.interfaces.iter().zip(&groups);
        let links = links.map(|(name, group)| Link::open(name, &settings, group.clone()));
        let links = links.collect::<Result<Vec<_>, LiveError>>()?;
        let tells = at == 0;
        Ok(LiveShard {
            notices: links.iter().filter(|_| tells).filter_map(Link::opened).collect(),
            links,
            sockets: Vec::new(),
            tells,
            looked: now(),
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

/// What a turn of [`LiveShard::poll`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Packets handed out.
    pub packets: u64,
    /// The wall clock where no packet came, in nanoseconds since 1970-01-01 UTC: packet time goes on without packets.
    pub idle_at_nanos: Option<i64>,
}

impl LiveShard {
    /// Hands out the packets that are there; waits for some, `wait` at most, where there are none.
    ///
    /// # Errors
    /// Waiting failed; an interface that goes away is no error but a [`Notice`].
    pub fn poll(&mut self, wait: Duration, mut each: impl FnMut(Packet<'_>)) -> Result<Polled, LiveError> {
        let before = self.number;
        if !self.turn(&mut each) {
            let failed = wait_for(&self.links, &mut self.sockets, wait).map_err(|source| {
                LiveError::System { interface: self.names(), doing: "waiting for packets", source }
            })?;
            self.turn(&mut each);
            self.look(&failed);
        }
        let packets = self.number - before;
        Ok(Polled { packets, idle_at_nanos: (packets == 0).then(wall_clock) })
    }

    /// What happened to the interfaces since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// What was counted so far, over all interfaces.
    pub fn counters(&mut self) -> LiveCounters {
        let mut sum = LiveCounters::default();
        for link in &mut self.links {
            sum += link.count();
        }
        sum
    }

    /// Some blocks of each ring; whether there were any.
    fn turn(&mut self, each: &mut impl FnMut(Packet<'_>)) -> bool {
        let mut any = false;
        for link in &mut self.links {
            for _ in 0..BLOCKS_A_TURN {
                if !link.next_block(&mut self.number, each) {
                    break;
                }
                any = true;
            }
        }
        any
    }

    fn look(&mut self, failed: &[usize]) {
        let away = self.links.iter().any(|link| !link.is_up());
        let due = away && self.looked.elapsed() >= LOOK_EVERY;
        if failed.is_empty() && !due {
            return;
        }
        self.looked = now();
        for (at, link) in self.links.iter_mut().enumerate() {
            if (failed.contains(&at) || !link.is_up())
                && let Some(notice) = link.look()
                && self.tells
            {
                self.notices.push(notice);
            }
        }
    }

    fn names(&self) -> String {
        self.links.iter().map(Link::name).collect::<Vec<_>>().join(", ")
    }
}

// The two clocks that live capture needs: one to look for an interface now and then, one that stands in for packet
// time while no packet comes.

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)]
fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
