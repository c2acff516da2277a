//! Live capture on a veth pair, in a network namespace of each test's own thread. Without root, `ip` or tcpreplay the
//! tests are skipped with a message.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)] // timestamps are compared with the clock

use std::{
    fs,
    net::UdpSocket,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use citronella_sensor::capture::{
    CaptureCounters, LinkEvent, Next, Source,
    live::{self, LiveSettings, LiveShard},
};
use citronella_wire::decode_frame;
use nix::sched::{CloneFlags, unshare};

/// Runs `test` on a thread with an empty network namespace, or prints why it is skipped.
fn in_a_network(tools: &[&str], test: impl FnOnce() + Send) {
    for tool in tools {
        let found = Command::new(tool).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.is_err() {
            eprintln!("skipped: {tool} is not installed");
            return;
        }
    }
    let ran = thread::scope(|scope| {
        let thread = scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => test(),
            Err(error) => eprintln!("skipped: making a network namespace needs root ({error})"),
        });
        thread.join()
    });
    if let Err(panic) = ran {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A veth pair v0, v1 without traffic of its own.
fn veth_pair() {
    // In this thread's namespace; fails on a kernel without IPv6, which needs no setting.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    ip("link add v0 type veth peer name v1");
    ip("link set v0 up");
    ip("link set v1 up");
}

/// Sends frames on v0 with tcpreplay.
fn send(frames: &[Vec<u8>]) {
    let name = format!("live-{}-{:?}.pcap", std::process::id(), thread::current().id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, pcap(frames)).unwrap();
    let output = Command::new("tcpreplay").args(["-q", "-K", "--topspeed", "-i", "v0"]).arg(&path).output();
    fs::remove_file(&path).unwrap();
    let output = output.unwrap();
    assert!(output.status.success(), "tcpreplay: {}", String::from_utf8_lossy(&output.stderr));
}

fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: [u32; 4]| words.into_iter().flat_map(u32::to_le_bytes);
    let mut file = b"\xd4\xc3\xb2\xa1\x02\0\x04\0".to_vec();
    file.extend(words([0, 0, 65_535, 1]));
    for frame in frames {
        let length = frame.len() as u32;
        file.extend(words([1_581_698_736, 0, length, length]));
        file.extend(frame);
    }
    file
}

/// UDP from host `from` to host `to` of 10.0.0.0/24.
fn udp(from: u8, to: u8, ports: [u16; 2], tags: &[[u8; 4]], payload: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from];
    frame.extend(tags.concat());
    frame.extend([0x08, 0, 0x45, 0]);
    frame.extend((28 + payload as u16).to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to]);
    frame.extend(ports.map(u16::to_be_bytes).concat());
    frame.extend((8 + payload as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(vec![b'x'; payload]);
    frame
}

fn open(interfaces: &[&str], shards: usize, change: impl FnOnce(&mut LiveSettings)) -> Vec<LiveShard> {
    let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
    let mut settings = LiveSettings { interfaces, ring_bytes: 8 << 20, ..Default::default() };
    change(&mut settings);
    live::open(&settings, shards).unwrap()
}

/// A captured packet: bytes, length on the wire, time.
type Seen = (Vec<u8>, u32, i64);

/// Packets until `count` have arrived, or none arrive any more.
fn gather(shard: &mut LiveShard, count: usize) -> Vec<Seen> {
    let (mut seen, mut idle) = (Vec::new(), 0);
    while seen.len() < count && idle < 4 {
        match shard.next().unwrap() {
            Next::Packet(packet) => {
                seen.push((packet.bytes.to_vec(), packet.wire_len, packet.time_nanos));
                idle = 0;
            }
            Next::Idle(_) => idle += 1,
            Next::Drained | Next::LinkChanged(_) => {}
            next => panic!("{next:?}"),
        }
    }
    seen
}

/// Changes of the interfaces until there are `count`.
fn notices(shard: &mut LiveShard, count: usize) -> Vec<LinkEvent> {
    let (mut events, mut idle) = (Vec::new(), 0);
    while events.len() < count && idle < 10 {
        match shard.next().unwrap() {
            Next::LinkChanged(notice) => events.push(notice.event),
            Next::Idle(_) => idle += 1,
            _ => {}
        }
    }
    events
}

#[test]
fn packets_have_their_tags_lengths_and_time() {
    in_a_network(&["ip", "tcpreplay"], || {
        veth_pair();
        let [mut shard] = open(&["v1"], 1, |_| ()).try_into().ok().unwrap();
        let tag = |protocol, id| [protocol, if protocol == 0x81 { 0 } else { 0xa8 }, 0x60, id];
        let frames = [
            udp(1, 2, [1, 2], &[], 40),
            udp(1, 2, [1, 2], &[tag(0x81, 5)], 40),
            udp(1, 2, [1, 2], &[tag(0x88, 7), tag(0x81, 5)], 40),
        ];
        send(&frames);
        let seen = gather(&mut shard, 3);
        let bytes: Vec<_> = seen.iter().map(|(bytes, _, _)| bytes.clone()).collect();
        assert_eq!(bytes, frames);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        for ((bytes, wire_len, time), frame) in seen.iter().zip(&frames) {
            assert_eq!(*wire_len as usize, frame.len());
            assert!((0..10_000_000_000).contains(&(now - time)), "{time} at {now}");
            let decoded = decode_frame(citronella_wire::LinkType::Ethernet, bytes);
            assert_eq!(decoded.ip.unwrap().src.to_string(), "10.0.0.1");
        }
        assert!(seen.iter().any(|(_, _, time)| time % 1000 != 0), "timestamps in nanoseconds");
    });
}

#[test]
fn a_snap_length_cuts_packets_and_keeps_their_wire_length() {
    in_a_network(&["ip", "tcpreplay"], || {
        veth_pair();
        let [mut shard] = open(&["v1"], 1, |settings| settings.snap_bytes = 64).try_into().ok().unwrap();
        send(&[udp(1, 2, [1, 2], &[], 900)]);
        let seen = gather(&mut shard, 1);
        assert_eq!((seen[0].0.len(), seen[0].1), (64, 942));
    });
}

#[test]
fn the_filter_passes_its_ports_and_networks() {
    in_a_network(&["ip", "tcpreplay"], || {
        veth_pair();
        let [mut shard] = open(&["v1"], 1, |settings| {
            settings.filter.ports = vec![1883];
            settings.filter.networks = vec!["10.0.0.4/30".parse().unwrap()];
        })
        .try_into()
        .ok()
        .unwrap();
        let wanted = [udp(5, 2, [1883, 9], &[], 40), udp(2, 6, [9, 1883], &[[0x81, 0, 0, 5]; 2], 40)];
        let others = [udp(5, 2, [9, 10], &[], 40), udp(1, 2, [9, 1883], &[[0x81, 0, 0, 5]; 2], 40)];
        send(&[others[0].clone(), wanted[0].clone(), others[1].clone(), wanted[1].clone()]);
        let seen: Vec<_> = gather(&mut shard, 2).into_iter().map(|(bytes, _, _)| bytes).collect();
        assert_eq!(seen, wanted);
        // Two tags are more than the kernel's program looks through: the rest was judged here.
        assert_eq!(shard.counters(), CaptureCounters { packets: 2, filtered: 1, ..Default::default() });
    });
}

#[test]
fn packets_are_sharded_by_host_pair() {
    in_a_network(&["ip", "tcpreplay"], || {
        veth_pair();
        let mut shards = open(&["v1"], 3, |_| ());
        let pairs = (1..=60_u8).map(|host| (host, 200));
        let frames: Vec<_> = pairs
            .flat_map(|(a, b)| [udp(a, b, [5, u16::from(a)], &[], 40), udp(b, a, [7, 9], &[], 40)])
            .collect();
        send(&frames);
        let seen: Vec<Vec<Seen>> = shards.iter_mut().map(|shard| gather(shard, 120)).collect();
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), frames.len(), "each packet once");
        let mut used = 0;
        for packets in &seen {
            let hosts =
                |at: usize| packets.iter().map(move |(bytes, _, _)| bytes[at]).filter(|&host| host != 200);
            let (mut one_way, mut other_way): (Vec<_>, Vec<_>) = (hosts(29).collect(), hosts(33).collect());
            one_way.sort_unstable();
            other_way.sort_unstable();
            assert_eq!(one_way, other_way, "both directions in one shard");
            used += usize::from(!packets.is_empty());
        }
        assert!(used >= 2, "60 pairs of hosts in one shard of three");
    });
}

#[cfg(feature = "pcap")]
#[test]
fn an_expression_matches_as_in_files() {
    use citronella_sensor::capture::expression::Expression;

    in_a_network(&["ip", "tcpreplay"], || {
        veth_pair();
        let tag = [0x81, 0, 0x60, 5];
        let frames = [
            udp(1, 2, [1, 1883], &[], 40),
            udp(1, 2, [1, 1884], &[], 40),
            udp(1, 2, [1, 1883], &[tag], 40),
            udp(1, 2, [1, 1884], &[tag], 40),
        ];
        // The frames that match, and how many others pass the kernel's program.
        let cases = [
            ("udp port 1883", vec![0], 2),
            ("vlan 5 and udp port 1883", vec![2], 1),
            ("udp port 1883 or (vlan and port 1884)", vec![0, 3], 1),
            ("greater 200", vec![], 2),
            ("", vec![0, 1, 2, 3], 0),
        ];
        for (text, passed, filtered) in cases {
            let expression = Some(Expression::new(text).unwrap());
            let [mut shard] =
                open(&["v1"], 1, |settings| settings.filter.expression = expression).try_into().ok().unwrap();
            send(&frames);
            let seen: Vec<_> = gather(&mut shard, 5).into_iter().map(|(bytes, ..)| bytes).collect();
            let expected: Vec<_> = passed.iter().map(|&at: &usize| frames[at].clone()).collect();
            assert!(seen == expected, "{text}: {} packets", seen.len());
            assert_eq!(shard.counters().filtered, filtered, "{text}");
        }
        // Without a link layer the same expression starts at the IP header.
        let expression = Some(Expression::new("udp port 1883").unwrap());
        let [mut shard] =
            open(&["any"], 1, |settings| settings.filter.expression = expression).try_into().ok().unwrap();
        send(&frames[..2]);
        // Sent on v0, received on v1.
        assert_eq!(gather(&mut shard, 3).len(), 2);
    });
}

#[test]
fn loopback_packets_are_captured_once() {
    in_a_network(&["ip"], || {
        ip("link set lo up");
        for (interface, shards) in [("lo", 1), ("lo", 2), ("any", 1), ("any", 2)] {
            let mut opened = open(&[interface], shards, |_| ());
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..10 {
                sender.send_to(b"once", receiver.local_addr().unwrap()).unwrap();
            }
            let seen: usize = opened.iter_mut().map(|shard| gather(shard, 11).len()).sum();
            assert_eq!(seen, 10, "{interface}, {shards} shards");
        }
    });
}

#[test]
fn capture_continues_after_an_interface_was_down_or_removed() {
    in_a_network(&["ip", "tcpreplay"], || {
        for shards in [1, 2] {
            veth_pair();
            let mut opened = open(&["v1"], shards, |_| ());
            let step = |opened: &mut Vec<LiveShard>, what: &str, expected: &str| {
                for one in what.split("; ") {
                    ip(one);
                }
                let events: Vec<_> = opened.iter_mut().map(|shard| notices(shard, 1)).collect();
                let reported: Vec<_> = events.iter().flatten().map(|event| format!("{event:?}")).collect();
                assert_eq!(reported, [expected], "{what}: reported once, by the first shard");
            };
            let send_and_count = |opened: &mut Vec<LiveShard>| {
                let frames: Vec<_> = (1..=30).map(|host| udp(host, 200, [1, 2], &[], 40)).collect();
                send(&frames);
                let seen: usize = opened.iter_mut().map(|shard| gather(shard, 31).len()).sum();
                assert_eq!(seen, frames.len(), "{shards} shards");
            };
            step(&mut opened, "link set v1 down", "Down");
            step(&mut opened, "link set v1 up", "Up");
            send_and_count(&mut opened);
            step(&mut opened, "link del v1", "Removed");
            veth_pair();
            step(&mut opened, "link set v1 up", "Back");
            send_and_count(&mut opened);
            ip("link del v1");
        }
    });
}

#[test]
fn an_interface_may_be_down_at_the_start() {
    in_a_network(&["ip", "tcpreplay"], || {
        veth_pair();
        ip("link set v1 down");
        let mut opened = open(&["v1"], 2, |_| ());
        assert!(matches!(notices(&mut opened[0], 1)[..], [LinkEvent::Down]));
        ip("link set v1 up");
        assert!(matches!(notices(&mut opened[0], 1)[..], [LinkEvent::Up]));
        notices(&mut opened[1], 1);
        send(&[udp(1, 2, [1, 2], &[], 40)]);
        let seen: usize = opened.iter_mut().map(|shard| gather(shard, 2).len()).sum();
        assert_eq!(seen, 1);
    });
}

#[test]
fn a_full_ring_counts_dropped_packets() {
    in_a_network(&["ip", "tcpreplay"], || {
        veth_pair();
        let [mut shard] = open(&["v1"], 1, |settings| settings.ring_bytes = 1 << 19).try_into().ok().unwrap();
        let frames = vec![udp(1, 2, [1, 2], &[], 1400); 2000];
        send(&frames);
        let seen = gather(&mut shard, frames.len());
        let counters = shard.counters();
        assert!(counters.dropped > 0 && !seen.is_empty(), "{counters:?}");
        assert_eq!(counters.packets + counters.dropped, frames.len() as u64);
    });
}

#[test]
fn errors_name_the_interface() {
    let open = |interfaces: &[&str]| {
        let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
        live::open(&LiveSettings { interfaces, ..Default::default() }, 1).err().map(|error| error.to_string())
    };
    assert_eq!(open(&["lo", "lo"]).unwrap(), "lo: named twice; every packet would count twice");
    assert!(open(&[]).unwrap().contains("-i INTERFACE"));
    let message = open(&["no-such-name"]).unwrap();
    // Without CAP_NET_RAW, that error comes first.
    assert!(
        message.contains("no such interface; there are lo") || message.contains("CAP_NET_RAW"),
        "{message}"
    );
}
