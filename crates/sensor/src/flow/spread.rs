//! A capture's packets spread over threads.
//!
//! In: a capture and a [`Spread`]. Threads take turns at reading a block of packets; each decodes its block, keeps an
//! item of each packet that matters and sorts the items by a hash into a list for each shard. A shard takes its lists in
//! the order of the capture, on whichever thread is free, its own first. Out: the shards. A packet is decoded once, and
//! nothing waits for one thread: what a shard is told does not depend on their number.
//!
//! Memory: [`BATCHES_A_THREAD`] blocks of a few hundred KiB and their items a thread.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    capture::{Block, Capture, CaptureError, Packet},
    desk::{Desk, together},
};

/// Batches a thread that are read and not taken yet by all shards.
const BATCHES_A_THREAD: usize = 3;

/// What is done with the packets of a capture that is spread over threads.
pub trait Spread: Sync {
    /// What is kept of a packet.
    type Item: Send;
    /// A part of the state.
    type Shard: Send;
    /// Looks at all batches in the capture's order.
    type Order: Send;
    /// What it says of a batch to the shards.
    type Note: Clone + Send;

    /// What is kept of a packet and the hash that chooses its shard; `None` where nothing is. `index` is the item's place
    /// among those of its batch.
    fn item(&self, packet: &Packet<'_>, index: u32) -> Option<(u64, Self::Item)>;

    /// The next batch in the capture's order: its items' packet times in nanoseconds.
    fn batch(&self, order: &mut Self::Order, times: Vec<i64>) -> Self::Note;

    /// A shard takes items of a batch, in their order.
    fn take(&self, shard: &mut Self::Shard, items: &[Self::Item], note: &Self::Note);

    /// A shard has had all items of the batch.
    fn end(&self, _shard: &mut Self::Shard, _note: &Self::Note) {}

    /// Items that shards may take in any order among each other without a difference to the result; where fewer are left
    /// than a batch has, it is taken in the capture's order.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// The item's place in its batch.
    fn index(item: &Self::Item) -> u32;
}

/// A decoded batch: a list for each shard, and the times of all its items.
struct Batch<I> {
    lists: Vec<Vec<I>>,
    times: Vec<i64>,
}

struct List<W: Spread> {
    items: Vec<W::Item>,
    note: W::Note,
    /// Which batch it is of.
    number: u64,
}

/// Where the work stands.
struct Board<W: Spread> {
    order: W::Order,
    reading: bool,
    ended: Result<bool, CaptureError>,
    /// Batches read, and batches handed to the shards.
    read: u64,
    given: u64,
    /// Batches that were decoded before their turn.
    early: BTreeMap<u64, Batch<W::Item>>,
    shards: Vec<Queue<W>>,
    /// Lists of each batch that is under way and not taken yet.
    open: BTreeMap<u64, usize>,
    /// Items given to the shards and not taken yet.
    pending: usize,
    /// The batch given last is to be taken in the capture's order.
    in_order: bool,
    spare: Vec<Vec<W::Item>>,
}

struct Queue<W: Spread> {
    lists: VecDeque<List<W>>,
    busy: bool,
}

enum Job<W: Spread> {
    Read,
    Take(usize, List<W>),
    /// All shards, packet by packet.
    TakeInOrder(Vec<List<W>>),
}

/// Spreads the capture's packets over `threads`, the caller's included, and over the shards. Also says what ended the
/// capture; packets before a fault were taken. `told` hears the packets read so far, now and then.
pub fn spread<W: Spread>(
    work: &W,
    capture: &mut Capture,
    (shards, order): (Vec<W::Shard>, W::Order),
    threads: usize,
    mut told: impl FnMut(u64),
) -> (Vec<W::Shard>, Result<(), CaptureError>) {
    let threads = threads.max(1);
    let queues = shards.iter().map(|_| Queue { lists: VecDeque::new(), busy: false }).collect();
    let desk = Desk::new(Board::<W> {
        order,
        reading: false,
        ended: Ok(false),
        read: 0,
        given: 0,
        early: BTreeMap::new(),
        shards: queues,
        open: BTreeMap::new(),
        pending: 0,
        in_order: false,
        spare: Vec::new(),
    });
    let shards: Vec<Mutex<W::Shard>> = shards.into_iter().map(Mutex::new).collect();
    let most = threads * BATCHES_A_THREAD;
    let room = Room { work, desk: &desk, capture: Mutex::new(capture), shards: &shards, most };
    together(&desk, threads, || room.work(0, &mut told), |number| room.work(number, &mut |_| ()));
    let shards = shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
    let shards = shards.collect();
    (shards, desk.into_inner().ended.map(|_| ()))
}

struct Room<'a, W: Spread> {
    work: &'a W,
    desk: &'a Desk<Board<W>>,
    capture: Mutex<&'a mut Capture>,
    shards: &'a [Mutex<W::Shard>],
    /// Batches under way at a time.
    most: usize,
}

impl<W: Spread> Room<'_, W> {
    fn work(&self, own: usize, told: &mut dyn FnMut(u64)) {
        let mut block = Block::default();
        let mut board = self.desk.lock();
        while !self.desk.is_lost() {
            self.give(&mut board);
            match self.job(&mut board, own) {
                Some(job) => {
                    drop(board);
                    board = self.run(job, &mut block, told);
                }
                None if board.is_done() => break,
                None => board = self.desk.wait(board),
            }
        }
    }

    /// Hands decoded batches to the shards, in order.
    fn give(&self, board: &mut Board<W>) {
        loop {
            let Some(batch) = board.early.get(&board.given) else { return };
            let items: usize = batch.times.len();
            let fits = self.work.room() >= board.pending.saturating_add(items);
            if !fits && board.pending > 0 {
                return;
            }
            board.in_order = !fits;
            let number = board.given;
            let Some(batch) = board.early.remove(&number) else { return };
            let note = self.work.batch(&mut board.order, batch.times);
            board.given += 1;
            board.pending += items;
            for (queue, items) in board.shards.iter_mut().zip(batch.lists) {
                queue.lists.push_back(List { items, note: note.clone(), number });
            }
        }
    }

    /// The next thing to do, if there is one.
    fn job(&self, board: &mut Board<W>, own: usize) -> Option<Job<W>> {
        if board.in_order {
            return board.all_idle().then(|| {
                board.shards.iter_mut().for_each(|queue| queue.busy = true);
                Job::TakeInOrder(
                    board.shards.iter_mut().filter_map(|queue| queue.lists.pop_front()).collect(),
                )
            });
        }
        let count = board.shards.len();
        if let Some(list) = board.pop(own % count) {
            return Some(Job::Take(own % count, list));
        }
        if !board.reading && matches!(board.ended, Ok(false)) && board.open.len() < self.most {
            board.reading = true;
            return Some(Job::Read);
        }
        let mut others = (1..count).map(|step| (own + step) % count);
        others.find_map(|shard| Some(Job::Take(shard, board.pop(shard)?)))
    }

    fn run(&self, job: Job<W>, block: &mut Block, told: &mut dyn FnMut(u64)) -> MutexGuard<'_, Board<W>> {
        match job {
            Job::Read => self.read(block, told),
            Job::Take(shard, list) => {
                let taken = list.items.len();
                if let Some(state) = self.shards.get(shard) {
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    self.work.take(&mut state, &list.items, &list.note);
                    self.work.end(&mut state, &list.note);
                }
                let mut board = self.desk.lock();
                board.pending -= taken;
                board.taken(shard, list);
                self.desk.ring(&board);
                board
            }
            Job::TakeInOrder(lists) => {
                self.take_in_order(&lists);
                let mut board = self.desk.lock();
                board.in_order = false;
                board.pending -= lists.iter().map(|list| list.items.len()).sum::<usize>();
                lists.into_iter().enumerate().for_each(|(shard, list)| board.taken(shard, list));
                self.desk.ring(&board);
                board
            }
        }
    }

    fn read(&self, block: &mut Block, told: &mut dyn FnMut(u64)) -> MutexGuard<'_, Board<W>> {
        let (ended, packets) = {
            let mut capture = self.capture.lock().unwrap_or_else(PoisonError::into_inner);
            (capture.block(block).map(|more| !more), capture.packets())
        };
        let mut board = self.desk.lock();
        board.reading = false;
        let number = board.read;
        let goes_on = matches!(ended, Ok(false));
        board.ended = ended;
        if !goes_on {
            self.desk.ring(&board);
            return board;
        }
        board.read += 1;
        board.open.insert(number, self.shards.len());
        let mut lists: Vec<Vec<W::Item>> =
            self.shards.iter().map(|_| board.spare.pop().unwrap_or_default()).collect();
        self.desk.ring(&board);
        drop(board);
        told(packets);
        let mut times = Vec::with_capacity(block.len());
        let shards = lists.len() as u64;
        for packet in block.packets() {
            if let Some((hash, item)) = self.work.item(&packet, times.len() as u32) {
                // Neither the bits that choose a table's bucket nor those that it compares.
                let shard = (((hash >> 40 & 0xffff) * shards) >> 16) as usize;
                if let Some(list) = lists.get_mut(shard) {
                    list.push(item);
                    times.push(packet.time_nanos);
                }
            }
        }
        let mut board = self.desk.lock();
        board.early.insert(number, Batch { lists, times });
        self.desk.ring(&board);
        board
    }

    fn take_in_order(&self, lists: &[List<W>]) {
        let mut states: Vec<_> =
            self.shards.iter().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        let mut rests: Vec<&[W::Item]> = lists.iter().map(|list| list.items.as_slice()).collect();
        loop {
            let heads = rests.iter().enumerate().filter_map(|(at, rest)| Some((W::index(rest.first()?), at)));
            let Some((_, at)) = heads.min() else { break };
            let (Some(state), Some(list), Some(rest)) =
                (states.get_mut(at), lists.get(at), rests.get_mut(at))
            else {
                break;
            };
            let (head, tail) = rest.split_at(1);
            self.work.take(state, head, &list.note);
            *rest = tail;
        }
        states.iter_mut().zip(lists).for_each(|(state, list)| self.work.end(state, &list.note));
    }
}

impl<W: Spread> Board<W> {
    fn all_idle(&self) -> bool {
        self.shards.iter().all(|queue| !queue.busy)
    }

    /// A list of the shard, which then is busy with it.
    fn pop(&mut self, shard: usize) -> Option<List<W>> {
        let queue = self.shards.get_mut(shard).filter(|queue| !queue.busy)?;
        let list = queue.lists.pop_front()?;
        queue.busy = true;
        Some(list)
    }

    /// The shard is done with the list.
    fn taken(&mut self, shard: usize, list: List<W>) {
        if let Some(queue) = self.shards.get_mut(shard) {
            queue.busy = false;
        }
        if let Some(open) = self.open.get_mut(&list.number) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&list.number);
            }
        }
        let mut items = list.items;
        items.clear();
        self.spare.push(items);
    }

    fn is_done(&self) -> bool {
        !matches!(self.ended, Ok(false)) && !self.reading && self.open.is_empty()
    }
}
