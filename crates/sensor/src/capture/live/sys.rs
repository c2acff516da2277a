//! The system calls of live capture and the memory that the kernel shares: all unsafe code of this crate.
//!
//! The interface of this module is safe: a socket that closes itself, and a block of the ring as a byte slice while it
//! belongs to this process. `block.rs` checks everything that it reads from a block, like any other input.
#![allow(unsafe_code)]

use std::{
    ffi::c_int,
    io, mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Offset of `block_status` in a block (`struct tpacket_block_desc` of linux/if_packet.h).
const STATUS_OFFSET: usize = 8;
/// linux/if_packet.h; the libc crate has no names for these on every target.
const MR_PROMISC: u16 = 1;
const SO_ATTACH_FILTER: c_int = libc::SO_ATTACH_FILTER;

/// An instruction of a classic BPF program (linux/filter.h).
pub(super) type Instruction = libc::sock_filter;

/// An interface's index, type and state, from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InterfaceInfo {
    pub(super) index: i32,
    /// ARPHRD_ number of its link layer.
    pub(super) hardware: u16,
    pub(super) up: bool,
}

/// Counters since the last call (PACKET_STATISTICS).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Statistics {
    pub(super) drops: u32,
    pub(super) freezes: u32,
}

/// A packet socket, which receives nothing until it is bound.
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// # Errors
    /// EPERM without CAP_NET_RAW.
    pub(super) fn new(cooked: bool) -> io::Result<Socket> {
        let kind = if cooked { libc::SOCK_DGRAM } else { libc::SOCK_RAW };
        // SAFETY: no pointers; the result is checked before it is used as a descriptor.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a new descriptor that nobody else owns.
        Ok(Socket(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    fn set<T: Copy>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        let size = mem::size_of::<T>() as libc::socklen_t;
        // SAFETY: the pointer and the size describe `value`, which outlives the call; the kernel only reads it.
        check(unsafe { libc::setsockopt(self.fd(), level, option, ptr::from_ref(value).cast(), size) })
    }

    fn get<T: Copy>(&self, level: c_int, option: c_int, mut value: T) -> io::Result<T> {
        let mut size = mem::size_of::<T>() as libc::socklen_t;
        let at = ptr::from_mut(&mut value).cast();
        // SAFETY: the pointer and the size describe `value`; every T used here is valid for all bit patterns.
        check(unsafe { libc::getsockopt(self.fd(), level, option, at, &raw mut size) })?;
        Ok(value)
    }

    pub(super) fn set_packet<T: Copy>(&self, option: c_int, value: &T) -> io::Result<()> {
        self.set(libc::SOL_PACKET, option, value)
    }

    /// The socket's pending error, which this clears.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let code: c_int = self.get(libc::SOL_SOCKET, libc::SO_ERROR, 0)?;
        Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
    }

    pub(super) fn attach_filter(&self, program: &[Instruction]) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, SO_ATTACH_FILTER, &to_fprog(program))
    }

    pub(super) fn set_fanout_program(&self, program: &[Instruction]) -> io::Result<()> {
        self.set_packet(libc::PACKET_FANOUT_DATA, &to_fprog(program))
    }

    /// Joins the fanout group `id`, or creates one; returns its number.
    pub(super) fn join_fanout(&self, id: Option<u16>, mode: u32) -> io::Result<u16> {
        let mode = if id.is_none() { mode | libc::PACKET_FANOUT_FLAG_UNIQUEID } else { mode };
        self.set_packet(libc::PACKET_FANOUT, &(u32::from(id.unwrap_or(0)) | mode << 16))?;
        let joined: c_int = self.get(libc::SOL_PACKET, libc::PACKET_FANOUT, 0)?;
        Ok((joined & 0xffff) as u16)
    }

    pub(super) fn set_promiscuous(&self, index: i32) -> io::Result<()> {
        let request =
            libc::packet_mreq { mr_ifindex: index, mr_type: MR_PROMISC, mr_alen: 0, mr_address: [0; 8] };
        self.set_packet(libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Binds to an interface (0: all); packets arrive from now on.
    pub(super) fn bind(&self, index: i32) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: index,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let size = mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: the pointer and the size describe `address`, which outlives the call.
        check(unsafe { libc::bind(self.fd(), ptr::from_ref(&address).cast(), size) })
    }

    pub(super) fn statistics(&self) -> io::Result<Statistics> {
        let none = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let counted = self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS, none)?;
        Ok(Statistics { drops: counted.tp_drops, freezes: counted.tp_freeze_q_cnt })
    }

    /// # Errors
    /// ENODEV if no interface has that name.
    pub(super) fn interface_info(&self, interface: &str) -> io::Result<InterfaceInfo> {
        // SAFETY: ifreq is plain data, for which all zeros are valid.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        let Some(name) = request.ifr_name.get_mut(..interface.len() + 1) else {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        };
        for (to, &from) in name.iter_mut().zip(interface.as_bytes()) {
            *to = from as libc::c_char;
        }
        let mut query = |what: libc::Ioctl| {
            // SAFETY: `request` is a whole ifreq, which the kernel reads and writes within its size.
            check(unsafe { libc::ioctl(self.fd(), what, &raw mut request) }).map(|()| request.ifr_ifru)
        };
        // SAFETY: each request has just filled in the field that is read, and any bits are a valid integer.
        let index = unsafe { query(libc::SIOCGIFINDEX as libc::Ioctl)?.ifru_ifindex };
        // SAFETY: as above.
        let hardware = unsafe { query(libc::SIOCGIFHWADDR as libc::Ioctl)?.ifru_hwaddr.sa_family };
        // SAFETY: as above.
        let flags = unsafe { query(libc::SIOCGIFFLAGS as libc::Ioctl)?.ifru_flags };
        Ok(InterfaceInfo { index, hardware, up: c_int::from(flags) & libc::IFF_UP != 0 })
    }
}

/// The kernel copies the program while the option is set, so the pointer need not live longer.
fn to_fprog(program: &[Instruction]) -> libc::sock_fprog {
    libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() }
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits until one of the sockets has a block or an error, for `wait` at most; a signal ends the wait early.
pub(super) fn poll(sockets: &mut Vec<libc::pollfd>, wait: Duration) -> io::Result<()> {
    let millis = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the pointer and the length describe the vector's elements, which the kernel reads and writes.
    match check(unsafe { libc::poll(sockets.as_mut_ptr(), sockets.len() as libc::nfds_t, millis) }) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other,
    }
}

/// A receive ring in the kernel's memory, mapped: `blocks` blocks of `block_bytes` each, filled in order.
pub(super) struct Ring {
    base: NonNull<u8>,
    block_bytes: usize,
    blocks: usize,
    next: usize,
}

// SAFETY: the mapping belongs to this value alone and may be used from any one thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Creates a TPACKET_V3 ring (Documentation/networking/packet_mmap.rst) for the socket and maps it.
    pub(super) fn new(
        socket: &Socket,
        block_bytes: usize,
        blocks: usize,
        timeout: Duration,
    ) -> io::Result<Ring> {
        const FRAME_BYTES: u32 = 2048; // only a check of the kernel's: version 3 packs packets by their size
        socket.set_packet(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as c_int))?;
        let request = libc::tpacket_req3 {
            tp_block_size: block_bytes as u32,
            tp_block_nr: blocks as u32,
            tp_frame_size: FRAME_BYTES,
            tp_frame_nr: block_bytes as u32 / FRAME_BYTES * blocks as u32,
            tp_retire_blk_tov: timeout.as_millis() as u32,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        socket.set_packet(libc::PACKET_RX_RING, &request)?;
        let (length, access) = (block_bytes * blocks, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping at an address of the kernel's choice; it is checked before use.
        let base = unsafe { libc::mmap(ptr::null_mut(), length, access, libc::MAP_SHARED, socket.fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Ring { base, block_bytes, blocks, next: 0 })
    }

    /// The current block; `None` while the kernel still fills it.
    #[inline]
    pub(super) fn block(&mut self) -> Option<&mut [u8]> {
        if self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: `next` is below `blocks`, so the block lies within the mapping. With TP_STATUS_USER the kernel leaves it
        // alone until `release`, which takes `&mut self` and so outlives the slice; `&mut self` keeps out a second
        // borrower.
        Some(unsafe {
            std::slice::from_raw_parts_mut(
                self.base.add(self.next * self.block_bytes).as_ptr(),
                self.block_bytes,
            )
        })
    }

    /// Returns the current block to the kernel and moves on to the next one.
    #[inline]
    pub(super) fn release(&mut self) {
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.blocks;
    }

    /// The status word of the current block.
    #[inline]
    fn status(&self) -> &AtomicU32 {
        // SAFETY: `next` is below `blocks`, so the status lies within the mapping, aligned to 4 as the mapping is to a page;
        // the kernel changes it at any time, hence an atomic.
        unsafe {
            let block = self.base.add(self.next * self.block_bytes);
            AtomicU32::from_ptr(block.add(STATUS_OFFSET).as_ptr().cast())
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: base and length are the mapping's own, and no borrow of it outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.block_bytes * self.blocks) };
    }
}
