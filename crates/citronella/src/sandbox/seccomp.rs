//! seccomp: an allow list of the system calls that detection makes. All others fail with EPERM.

use std::{collections::BTreeMap, env::consts::ARCH};

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Memory, threads, clocks, signal handlers, properties of the process itself.
const PROCESS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_membarrier,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_prlimit64,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_umask,
    libc::SYS_getcwd,
];

/// Files within the bounds of Landlock, pipes, and waiting for them.
const FILES: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fchmod,
    libc::SYS_flock,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
];

/// Packet sockets that are open: a socket is bound again when its interface comes back.
const SOCKETS: &[i64] = &[libc::SYS_bind, libc::SYS_getsockopt, libc::SYS_setsockopt];

/// System calls that newer architectures lack.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_poll,
    libc::SYS_time,
    libc::SYS_getdents,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[i64] = &[];

pub(super) fn restrict() -> Result<(), String> {
    let target = TargetArch::try_from(ARCH).map_err(|_| format!("no filter for {ARCH}"))?;
    for program in programs(target).map_err(|error| error.to_string())? {
        apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Two filter programs; the kernel applies the stricter result.
fn programs(target: TargetArch) -> Result<[BpfProgram; 2], BackendError> {
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    let allowed = SeccompFilter::new(rules()?, denied, SeccompAction::Allow, target)?;
    // The flags of clone3 are in memory, which a filter cannot read. ENOSYS makes the C library fall back to clone.
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let without_clone3 = SeccompFilter::new(clone3, SeccompAction::Allow, absent, target)?;
    Ok([without_clone3.try_into()?, allowed.try_into()?])
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let plain = [PROCESS, FILES, SOCKETS, LEGACY].into_iter().flatten();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = plain.map(|&call| (call, Vec::new())).collect();
    let flag = |argument, flag: i32, set: bool| {
        let (flag, wanted) = (flag as u64, if set { flag as u64 } else { 0 });
        let compare = SeccompCmpOp::MaskedEq(flag);
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, compare, wanted)?;
        SeccompRule::new(vec![condition])
    };
    let one_of = |argument, values: &[u64]| {
        let equal = |&value| {
            let compare = SeccompCmpOp::Eq;
            SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)?])
        };
        values.iter().map(equal).collect::<Result<Vec<_>, _>>()
    };
    // New threads but no processes; new memory but no executable pages.
    rules.insert(libc::SYS_clone, vec![flag(0, libc::CLONE_THREAD, true)?]);
    rules.insert(libc::SYS_mmap, vec![flag(2, libc::PROT_EXEC, false)?]);
    rules.insert(libc::SYS_mprotect, vec![flag(2, libc::PROT_EXEC, false)?]);
    rules.insert(libc::SYS_prctl, one_of(0, &[libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64])?);
    #[allow(clippy::unnecessary_cast)] // an i32 with musl
    let requests = [
        libc::SIOCGIFINDEX as u64,
        libc::SIOCGIFHWADDR as u64,
        libc::SIOCGIFFLAGS as u64,
        libc::TCGETS as u64,
        libc::TIOCGWINSZ as u64,
    ];
    rules.insert(libc::SYS_ioctl, one_of(1, &requests)?);
    Ok(rules)
}
