//! Filter expressions: the interpreter accepts the same packets as libpcap and as the filters by port and network.
#![cfg(feature = "pcap")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use citronella_sensor::capture::{
    Capture, CaptureError,
    expression::{Expression, ExpressionError},
    filter::Filter,
};
use citronella_sensor::capture::{Files, Next, Source};
use citronella_wire::LinkType;

fn lab(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/lab").join(name)
}

const CAPTURES: [&str; 4] = [
    "run-1/normal.pcap.zst",
    "run-2/scan_sU.pcap.zst",
    "tools-2/ncrack_slow.pcap.zst",
    "run-3/malformed.pcap.zst",
];

#[test]
fn programs_accept_what_libpcap_accepts() {
    let texts = [
        "",
        "ip",
        "ip6",
        "arp",
        "icmp or icmp6",
        "tcp port 1883",
        "udp and not port 53",
        "portrange 1000-2000",
        "src net 10.0.0.0/8 and dst host 10.91.7.28",
        "ip6 host fe80::1 or ip6 net ff00::/8",
        "len > 100 and len <= 300",
        "greater 1000",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "tcp[((tcp[12] & 0xf0) >> 2)] = 0x10",
        "ip[2:2] - ((ip[0] & 0xf) << 2) * 1 > 40 and ip[8] % 2 = 0",
        "ether[0] & 1 = 1 and ether broadcast",
        "ip[6:2] & 0x3fff != 0",
        "not (tcp or udp) or ip proto 47",
        "tcp dst portrange 1-1023 and tcp[0:2] > 40000 or udp[4:2] / 8 = 2",
    ];
    let mut matched = 0;
    for text in texts {
        let expression = Expression::new(text).unwrap();
        // libpcap's own interpreter.
        let dead = pcap::Capture::dead(pcap::Linktype::ETHERNET).unwrap();
        let theirs = dead.compile(text, true).unwrap();
        for name in CAPTURES {
            let mut capture = Capture::open(&lab(name)).unwrap();
            while let Some(packet) = capture.next().unwrap() {
                assert_eq!(packet.wire_len as usize, packet.bytes.len());
                let matches = expression.matches(&packet);
                assert_eq!(matches, theirs.filter(packet.bytes), "{text}: {name}: packet {}", packet.number);
                matched += u64::from(matches);
            }
        }
    }
    assert!(matched > 100_000, "{matched}");
}

#[test]
fn an_expression_matches_what_ports_and_networks_match() {
    let filters = [
        ("port 1883", vec![1883], vec![]),
        ("port 1883 or port 22", vec![1883, 22], vec![]),
        ("port 1883 and net 10.91.7.0/25", vec![1883], vec!["10.91.7.0/25"]),
    ];
    for (text, ports, networks) in filters {
        let networks = networks.into_iter().map(|network| network.parse().unwrap()).collect();
        let by_endpoints = Filter { ports, networks, expression: None };
        let by_text = Filter { expression: Some(Expression::new(text).unwrap()), ..Filter::default() };
        let mut matched = 0;
        for name in CAPTURES {
            let mut capture = Capture::open(&lab(name)).unwrap();
            while let Some(packet) = capture.next().unwrap() {
                assert_eq!(
                    by_text.matches(&packet),
                    by_endpoints.matches(&packet),
                    "{text}: {name}: {}",
                    packet.number
                );
                matched += u64::from(by_endpoints.matches(&packet));
            }
        }
        assert!(matched > 50, "{text}: {matched}");
    }
}

#[test]
fn invalid_expressions_are_rejected_with_libpcaps_message() {
    let problem = |text: &str| match Expression::new(text) {
        Err(ExpressionError::Wrong { problem, .. }) => problem,
        other => panic!("{text}: {other:?}"),
    };
    assert!(problem("tcp prot 1883").contains("syntax error"));
    assert!(problem("port 99999").contains("99999"));
    assert!(problem("(tcp").contains("syntax error"));
    // The direction is not in a file, only in the kernel's metadata.
    assert!(Expression::new("inbound").unwrap().check(LinkType::Ethernet).is_err());
    assert!(matches!(Expression::new("tcp\0"), Err(ExpressionError::Wrong { .. })));
}

#[test]
fn an_expression_that_does_not_apply_to_a_link_layer_is_an_error_of_the_file() {
    let expression = Expression::new("ether src 2:0:0:0:0:1").unwrap();
    assert!(expression.check(LinkType::Ethernet).is_ok());
    let error = expression.check(LinkType::RawIp).unwrap_err();
    assert!(error.to_string().contains("raw_ip"), "{error}");
    // A pcap file of raw IP with one packet.
    let mut file = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x65\0\0\0".to_vec();
    file.extend([[1_u32, 0, 20, 20].map(u32::to_le_bytes).concat(), vec![0x45; 20]].concat());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("raw-{}.pcap", std::process::id()));
    std::fs::write(&path, file).unwrap();
    let filter = Filter { expression: Some(expression), ..Filter::default() };
    let mut files = Files::new(vec![path.clone(), path.clone()], filter);
    let mut rejected = 0;
    loop {
        match files.next() {
            Ok(Next::End) => break,
            Ok(Next::Packet(_) | Next::Idle(_)) => panic!("a packet"),
            Ok(_) => {}
            Err(CaptureError::Filter { name, .. }) => {
                assert_eq!(name, path.display().to_string());
                rejected += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    std::fs::remove_file(path).unwrap();
    assert_eq!(rejected, 2);
}
