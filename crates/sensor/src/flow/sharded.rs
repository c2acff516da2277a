//! Processes a capture in shards, on several threads.
//!
//! In: a capture and a [`ShardedWork`]. Threads take turns at reading a block of packets; each decodes its block and sorts
//! the resulting items by a hash into a list for each shard. A shard processes its lists in capture order, on any free
//! thread; each thread prefers its own shard. Out: the shards. Each packet is decoded once, and results do not depend on the number of
//! threads. Limits: [`BATCHES_PER_THREAD`] blocks (a few hundred KiB each) and their items per thread.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use citronella_nn::parallel::{BeforeSleep, Guard, Monitor};

use crate::capture::{Block, Capture, CaptureError, Packet};

/// Batches per thread that are read and not yet processed by all shards.
const BATCHES_PER_THREAD: usize = 3;

/// Spins for some 200 us: processing a list takes about as long, and waking a thread is slow.
const BEFORE_SLEEP: BeforeSleep = BeforeSleep { spins: 8_000, yields: 0 };

/// The work on a capture's packets.
pub trait ShardedWork: Sync {
    /// Extracted from a packet.
    type Item: Send;
    /// A part of the state.
    type Shard: Send;
    /// State over all batches in capture order.
    type Sequencer: Send;
    /// What the sequencer derives from a batch for the shards.
    type Note: Clone + Send;

    /// Extracts a packet's item and the hash that selects its shard; `None` skips the packet. `index` counts the items of the
    /// batch.
    fn item(&self, packet: &Packet<'_>, index: u32) -> Option<(u64, Self::Item)>;

    /// Sees every batch, in capture order: the packet times of its items, in nanoseconds.
    fn sequence(&self, sequencer: &mut Self::Sequencer, times: Vec<i64>) -> Self::Note;

    /// Processes items of a batch in a shard, in order.
    fn process(&self, shard: &mut Self::Shard, items: &[Self::Item], note: &Self::Note);

    /// Called after the last item of a batch in a shard.
    fn end_batch(&self, _shard: &mut Self::Shard, _note: &Self::Note) {}

    /// Items that the shards may process in any order among each other without changing the result. A batch with more items is
    /// processed in capture order.
    fn unordered_capacity(&self) -> usize {
        usize::MAX
    }

    /// The index that [`ShardedWork::item`] was given.
    fn index(item: &Self::Item) -> u32;
}

/// A decoded batch: a list for each shard, and the times of all its items.
struct Batch<I> {
    lists: Vec<Vec<I>>,
    times: Vec<i64>,
}

/// Items of a batch for one shard.
struct ItemList<W: ShardedWork> {
    items: Vec<W::Item>,
    note: W::Note,
    /// Number of the batch.
    batch: u64,
}

/// Batches under way and the jobs that they lead to.
struct JobQueue<W: ShardedWork> {
    sequencer: W::Sequencer,
    is_reading: bool,
    /// Whether the capture has ended, or its error.
    ended: Result<bool, CaptureError>,
    batches_read: u64,
    batches_sequenced: u64,
    /// Decoded batches that wait for their turn, by number.
    decoded: BTreeMap<u64, Batch<W::Item>>,
    shards: Vec<ShardQueue<W>>,
    /// Unprocessed lists of each batch that is read.
    open_lists: BTreeMap<u64, usize>,
    /// Items that are sequenced and not processed yet.
    pending_items: usize,
    /// The last sequenced batch has to be processed in capture order.
    in_order: bool,
    /// Emptied lists, kept to reuse their allocations.
    recycled: Vec<Vec<W::Item>>,
}

struct ShardQueue<W: ShardedWork> {
    lists: VecDeque<ItemList<W>>,
    is_busy: bool,
}

enum Job<W: ShardedWork> {
    Read,
    /// A list of one shard.
    Process(usize, ItemList<W>),
    /// A batch over all shards, in capture order.
    ProcessInOrder(Vec<ItemList<W>>),
}

/// Processes all packets of the capture on `threads` threads, the caller's included. Returns the shards and the capture's
/// error, if any; packets before the error were processed. `on_progress` gets the number of packets read so far.
pub fn run_sharded<W: ShardedWork>(
    work: &W,
    capture: &mut Capture,
    (shards, sequencer): (Vec<W::Shard>, W::Sequencer),
    threads: usize,
    mut on_progress: impl FnMut(u64),
) -> (Vec<W::Shard>, Result<(), CaptureError>) {
    let threads = threads.max(1);
    let queues = shards.iter().map(|_| ShardQueue { lists: VecDeque::new(), is_busy: false }).collect();
    let queue = Monitor::new(JobQueue::<W>::new(sequencer, queues), BEFORE_SLEEP);
    let shards: Vec<Mutex<W::Shard>> = shards.into_iter().map(Mutex::new).collect();
    let max_batches = threads * BATCHES_PER_THREAD;
    let pipeline =
        ShardedPipeline { work, queue: &queue, capture: Mutex::new(capture), shards: &shards, max_batches };
    queue.run(
        threads,
        || pipeline.run_thread(0, &mut on_progress),
        |number| pipeline.run_thread(number, &mut |_| ()),
    );
    let shards = shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner));
    let shards = shards.collect();
    (shards, queue.into_inner().ended.map(|_| ()))
}

/// The queue with everything that its threads share.
struct ShardedPipeline<'a, W: ShardedWork> {
    work: &'a W,
    queue: &'a Monitor<JobQueue<W>>,
    capture: Mutex<&'a mut Capture>,
    shards: &'a [Mutex<W::Shard>],
    /// Batches that are read and not processed, at most.
    max_batches: usize,
}

impl<W: ShardedWork> ShardedPipeline<'_, W> {
    fn run_thread(&self, number: usize, on_progress: &mut dyn FnMut(u64)) {
        let mut block = Block::default();
        let mut queue = self.queue.lock();
        while !self.queue.has_panicked() {
            self.sequence(&mut queue);
            match self.next_job(&mut queue, number) {
                Some(job) => {
                    drop(queue);
                    queue = self.run(job, &mut block, on_progress);
                }
                None if queue.is_done() => break,
                None => queue = queue.wait(),
            }
        }
    }

    /// Hands decoded batches to the shards, in capture order.
    fn sequence(&self, queue: &mut JobQueue<W>) {
        loop {
            let number = queue.batches_sequenced;
            let Some(batch) = queue.decoded.get(&number) else { return };
            let items = batch.times.len();
            let fits = self.work.unordered_capacity() >= queue.pending_items.saturating_add(items);
            if !fits && queue.pending_items > 0 {
                return;
            }
            queue.in_order = !fits;
            let Some(batch) = queue.decoded.remove(&number) else { return };
            let note = self.work.sequence(&mut queue.sequencer, batch.times);
            queue.batches_sequenced += 1;
            queue.pending_items += items;
            for (shard, items) in queue.shards.iter_mut().zip(batch.lists) {
                shard.lists.push_back(ItemList { items, note: note.clone(), batch: number });
            }
        }
    }

    fn next_job(&self, queue: &mut JobQueue<W>, thread: usize) -> Option<Job<W>> {
        if queue.in_order {
            return queue.all_idle().then(|| {
                queue.shards.iter_mut().for_each(|shard| shard.is_busy = true);
                Job::ProcessInOrder(
                    queue.shards.iter_mut().filter_map(|shard| shard.lists.pop_front()).collect(),
                )
            });
        }
        let count = queue.shards.len();
        let own = thread % count;
        if let Some(list) = queue.pop(own) {
            return Some(Job::Process(own, list));
        }
        if !queue.is_reading && matches!(queue.ended, Ok(false)) && queue.open_lists.len() < self.max_batches
        {
            queue.is_reading = true;
            return Some(Job::Read);
        }
        let mut others = (1..count).map(|step| (thread + step) % count);
        others.find_map(|shard| Some(Job::Process(shard, queue.pop(shard)?)))
    }

    /// Runs a job without the lock, then locks the queue.
    fn run(
        &self,
        job: Job<W>,
        block: &mut Block,
        on_progress: &mut dyn FnMut(u64),
    ) -> Guard<'_, JobQueue<W>> {
        match job {
            Job::Read => self.read(block, on_progress),
            Job::Process(shard, list) => {
                if let Some(state) = self.shards.get(shard) {
                    let mut state = lock(state);
                    self.work.process(&mut state, &list.items, &list.note);
                    self.work.end_batch(&mut state, &list.note);
                }
                let mut queue = self.queue.lock();
                queue.complete(shard, list);
                queue.notify_all();
                queue
            }
            Job::ProcessInOrder(lists) => {
                self.process_in_order(&lists);
                let mut queue = self.queue.lock();
                queue.in_order = false;
                lists.into_iter().enumerate().for_each(|(shard, list)| queue.complete(shard, list));
                queue.notify_all();
                queue
            }
        }
    }

    /// Reads a block, lets the next thread read, and decodes.
    fn read(&self, block: &mut Block, on_progress: &mut dyn FnMut(u64)) -> Guard<'_, JobQueue<W>> {
        let (ended, packets) = {
            let mut capture = lock(&self.capture);
            (capture.block(block).map(|more| !more), capture.packets())
        };
        let mut queue = self.queue.lock();
        queue.is_reading = false;
        let number = queue.batches_read;
        let has_block = matches!(ended, Ok(false));
        queue.ended = ended;
        if !has_block {
            queue.notify_all();
            return queue;
        }
        queue.batches_read += 1;
        queue.open_lists.insert(number, self.shards.len());
        let lists = self.shards.iter().map(|_| queue.recycled.pop().unwrap_or_default()).collect();
        queue.notify_all();
        drop(queue);
        on_progress(packets);
        let batch = self.decode(block, lists);
        let mut queue = self.queue.lock();
        queue.decoded.insert(number, batch);
        queue.notify_all();
        queue
    }

    fn decode(&self, block: &mut Block, mut lists: Vec<Vec<W::Item>>) -> Batch<W::Item> {
        let mut times = Vec::with_capacity(block.len());
        let shards = lists.len() as u64;
        for packet in block.packets() {
            if let Some((hash, item)) = self.work.item(&packet, times.len() as u32) {
                // Bits that hash tables use neither as bucket nor as tag, so that shards and tables stay independent.
                let shard = (((hash >> 40 & 0xffff) * shards) >> 16) as usize;
                if let Some(list) = lists.get_mut(shard) {
                    list.push(item);
                    times.push(packet.time_nanos);
                }
            }
        }
        Batch { lists, times }
    }

    fn process_in_order(&self, lists: &[ItemList<W>]) {
        let mut states: Vec<_> = self.shards.iter().map(lock).collect();
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
            self.work.process(state, head, &list.note);
            *rest = tail;
        }
        states.iter_mut().zip(lists).for_each(|(state, list)| self.work.end_batch(state, &list.note));
    }
}

impl<W: ShardedWork> JobQueue<W> {
    fn new(sequencer: W::Sequencer, shards: Vec<ShardQueue<W>>) -> JobQueue<W> {
        JobQueue {
            sequencer,
            is_reading: false,
            ended: Ok(false),
            batches_read: 0,
            batches_sequenced: 0,
            decoded: BTreeMap::new(),
            shards,
            open_lists: BTreeMap::new(),
            pending_items: 0,
            in_order: false,
            recycled: Vec::new(),
        }
    }

    fn all_idle(&self) -> bool {
        self.shards.iter().all(|shard| !shard.is_busy)
    }

    /// Takes the next list of an idle shard, which is busy from now on.
    fn pop(&mut self, shard: usize) -> Option<ItemList<W>> {
        let queue = self.shards.get_mut(shard).filter(|queue| !queue.is_busy)?;
        let list = queue.lists.pop_front()?;
        queue.is_busy = true;
        Some(list)
    }

    /// The shard has processed the list.
    fn complete(&mut self, shard: usize, list: ItemList<W>) {
        self.pending_items -= list.items.len();
        if let Some(queue) = self.shards.get_mut(shard) {
            queue.is_busy = false;
        }
        if let Some(open) = self.open_lists.get_mut(&list.batch) {
            *open -= 1;
            if *open == 0 {
                self.open_lists.remove(&list.batch);
            }
        }
        let mut items = list.items;
        items.clear();
        self.recycled.push(items);
    }

    fn is_done(&self) -> bool {
        !matches!(self.ended, Ok(false)) && !self.is_reading && self.open_lists.is_empty()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
