//! The programs, run by the interpreter over packets and compared with the filter.

use citronella_wire::{Frame, decode_frame};
use proptest::prelude::*;

use super::*;

const RAW: LinkType = LinkType::RawIp;

/// What the kernel would return for a packet without a link header and tag: loads of metadata are replaced by their
/// values.
fn run(program: &[Instruction], packet: &[u8]) -> u32 {
    let protocol = if packet.first().is_some_and(|first| first >> 4 == 4) { IPV4 } else { IPV6 };
    let resolve = |&Instruction { code, jt, jf, k }: &Instruction| match (code, k) {
        (LOAD_HALF, PROTOCOL) => bpf::Instruction { code: 0, jt, jf, k: protocol },
        (LOAD_BYTE, HAS_VLAN_TAG) => bpf::Instruction { code: 0, jt, jf, k: 0 },
        (LOAD_WORD | LOAD_HALF | LOAD_BYTE | LOAD_HALF_AT_X | LOAD_X_HEADER_LENGTH, NETWORK..) => {
            bpf::Instruction { code, jt, jf, k: k - NETWORK }
        }
        _ => bpf::Instruction { code, jt, jf, k },
    };
    Program::new(program.iter().map(resolve).collect()).run(packet.len() as u32, packet).unwrap_or(0)
}

fn v4(source: [u8; 4], destination: [u8; 4], protocol: u8, ports: [u16; 2], fragment: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 40, 0, 1];
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(source.iter().chain(&destination));
    packet.extend(ports.map(u16::to_be_bytes).concat());
    packet.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    packet
}

fn v6(source: [u16; 8], destination: [u16; 8], next: u8, ports: [u16; 2]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 20, next, 64];
    packet.extend(source.iter().chain(&destination).flat_map(|word| word.to_be_bytes()));
    packet.extend(ports.map(u16::to_be_bytes).concat());
    packet.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
    packet
}

fn frame(packet: &[u8]) -> Frame<'_> {
    decode_frame(LinkType::RawIp, packet)
}

fn endpoint_filter(ports: &[u16], networks: &[&str]) -> Filter {
    Filter {
        ports: ports.to_vec(),
        networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
        ..Filter::default()
    }
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    // Few values, so that filters match.
    let port = || prop_oneof![Just(1883_u16), Just(22), Just(40_000)];
    let octets = || (Just(10_u8), 0..2_u8, 0..2_u8, 1..4_u8).prop_map(<[u8; 4]>::from);
    let words = || (0..2_u16, 0..3_u16).prop_map(|(net, host)| [0x2001, 0xdb8, net, 0, 0, 0, 0, host]);
    let protocol = || prop_oneof![Just(6_u8), Just(17), Just(1), Just(58), Just(0), Just(44), Just(47)];
    prop_oneof![
        (octets(), octets(), protocol(), [port(), port()], prop_oneof![Just(0_u16), Just(0x2000), Just(5)])
            .prop_map(|(from, to, protocol, ports, fragment)| v4(from, to, protocol, ports, fragment)),
        (words(), words(), protocol(), [port(), port()])
            .prop_map(|(from, to, next, ports)| v6(from, to, next, ports)),
    ]
}

proptest! {
    #[test]
    fn the_kernels_filter_accepts_all_that_the_filter_matches(
        packet in packet(), cut in 0_usize..80,
        ports in proptest::sample::subsequence(vec![1883_u16, 8883, 22], 0..3),
        networks in proptest::sample::subsequence(
            vec!["10.0.0.0/16", "10.1.1.0/24", "10.0.1.2", "0.0.0.0/0", "2001:db8::/48", "2001:db8:1::2"], 0..4),
    ) {
        let networks: Vec<_> = networks.iter()
            .map(|text| text.parse().unwrap_or_else(|_| IpNet::from(text.parse::<IpAddr>().unwrap()))).collect();
        let filter = Filter { ports, networks, ..Filter::default() };
        let packet = &packet[..packet.len().min(cut).max(1)];
        let accepted = run(&super::filter(&filter, RAW, 262_144), packet);
        prop_assert!(accepted == 0 || accepted == 262_144);
        prop_assert!(accepted != 0 || !filter.matches_endpoints(&frame(packet)), "{:?}", filter);
    }

    #[test]
    fn both_directions_and_all_ports_of_two_hosts_go_to_one_shard(
        from in any::<[u8; 4]>(), to in any::<[u8; 4]>(), ports in any::<[u16; 2]>(), other in any::<[u16; 2]>(),
        from6 in any::<[u16; 8]>(), to6 in any::<[u16; 8]>(), seed in any::<u64>(),
    ) {
        let program = fanout(seed);
        let shard = run(&program, &v4(from, to, 6, ports, 0));
        prop_assert_eq!(shard, run(&program, &v4(to, from, 17, other, 0x2000)));
        let shard = run(&program, &v6(from6, to6, 6, ports));
        prop_assert_eq!(shard, run(&program, &v6(to6, from6, 44, other)));
    }
}

#[test]
fn the_kernels_filter_rejects_other_ports_and_networks() {
    let program = filter(&endpoint_filter(&[1883], &["10.0.0.0/24"]), RAW, 96);
    assert_eq!(run(&program, &v4([10, 0, 0, 1], [10, 0, 0, 2], 6, [40_000, 1883], 0)), 96);
    assert_eq!(run(&program, &v4([10, 0, 0, 1], [10, 0, 0, 2], 6, [40_000, 22], 0)), 0);
    assert_eq!(run(&program, &v4([10, 0, 1, 1], [10, 0, 2, 2], 6, [40_000, 1883], 0)), 0);
    assert_eq!(run(&program, &v6([0x2001; 8], [0x2001; 8], 6, [40_000, 1883])), 0);
    assert_eq!(run(&filter(&Filter::default(), RAW, 96), &[0x45]), 96);
}

#[test]
fn an_expression_and_the_endpoints_must_both_match() {
    // `len >= 50`, which returns more than the snap length.
    let lines = [(0x80, 0, 0, 0), (0x35, 0, 1, 50), (0x06, 0, 0, 1 << 18), (0x06, 0, 0, 0)];
    let longer = lines.map(|(code, jt, jf, k)| bpf::Instruction { code, jt, jf, k });
    let short = v4([10, 0, 0, 1], [10, 0, 0, 2], 6, [40_000, 1883], 0);
    let long = [&short[..], &[0; 20]].concat();
    let all = prepend(&Program::new(longer.to_vec()), &endpoints(&Filter::default(), 96)).unwrap();
    assert_eq!((run(&all, &short), run(&all, &long)), (0, 96));
    let ssh = prepend(&Program::new(longer.to_vec()), &endpoints(&endpoint_filter(&[22], &[]), 96)).unwrap();
    assert_eq!((run(&ssh, &short), run(&ssh, &long)), (0, 0));
    // A tag that the kernel removed.
    let tagged = all.iter().map(|&instruction| match instruction.k {
        HAS_VLAN_TAG => Instruction { code: 0, k: 1, ..instruction },
        _ => instruction,
    });
    assert_eq!(run(&tagged.collect::<Vec<_>>(), &short), 96);
    let too_long = Program::new([longer[0]].repeat(MAX_INSTRUCTIONS));
    assert_eq!(prepend(&too_long, &endpoints(&Filter::default(), 96)).map(|program| program.len()), None);
}

#[test]
fn a_filter_too_long_for_the_kernel_accepts_more_not_less() {
    let networks = (0..2000_u32).map(|n| IpNet::from(IpAddr::from(n.to_be_bytes()))).collect();
    let program = filter(&Filter { ports: vec![1883], networks, ..Filter::default() }, RAW, 96);
    assert!(program.len() <= MAX_INSTRUCTIONS);
    assert_eq!(run(&program, &v4([10, 0, 0, 1], [10, 0, 0, 2], 6, [40_000, 1883], 0)), 96);
    assert_eq!(run(&program, &v4([10, 0, 0, 1], [10, 0, 0, 2], 6, [40_000, 22], 0)), 0);
}

#[test]
fn shards_get_about_equal_shares() {
    let program = fanout(0x9e37_79b9_7f4a_7c15);
    for shards in [2_u32, 3, 4] {
        let mut shares = vec![0_u32; shards as usize];
        for host in 0..2000_u32 {
            let [_, _, high, low] = host.to_be_bytes();
            shares
                [(run(&program, &v4([10, 0, high, low], [10, 9, 0, 1], 6, [1, 2], 0)) % shards) as usize] +=
                1;
        }
        for share in shares {
            assert!(share.abs_diff(2000 / shards) < 2000 / shards / 4, "{shards} shards, one with {share}");
        }
    }
}
