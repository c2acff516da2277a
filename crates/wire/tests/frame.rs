//! Frames of every link layer: cut and malformed ones, fragments, extension headers, tunnels.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use citronella_wire::{
    Frame, Icmp, LinkType, Reason, Tcp, TcpFlags, Transport, TunnelKind, Udp, decode_datagram, decode_frame,
};

/// A TCP segment of ports 32768 and 1883 with timestamps and a payload.
fn tcp(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 0, 0x07, 0x5b, 0, 0, 0, 1, 0, 0, 0, 2, 0x81, 0x18, 0x20, 0, 0, 0, 0, 0];
    bytes.extend([1, 1, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4]);
    bytes.extend(payload);
    bytes
}

fn udp(dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x30, 0x39];
    bytes.extend(dst_port.to_be_bytes());
    bytes.extend((payload.len() as u16 + 8).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

fn v4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0xb8];
    bytes.extend((payload.len() as u16 + 20).to_be_bytes());
    bytes.extend([0x12, 0x34]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([63, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([next, 62]);
    bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

fn ethernet(tags: &[u8], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&[0; 12][..], tags, &ether_type.to_be_bytes(), payload].concat()
}

fn tcp_of(frame: &Frame<'_>) -> Tcp {
    let Some(Transport::Tcp(tcp)) = frame.transport else { panic!("TCP: {frame:?}") };
    tcp
}

fn udp_of(frame: &Frame<'_>) -> Udp {
    let Some(Transport::Udp(udp)) = frame.transport else { panic!("UDP: {frame:?}") };
    udp
}

fn icmp_of(frame: &Frame<'_>) -> Icmp {
    let Some(Transport::Icmp(icmp)) = frame.transport else { panic!("ICMP: {frame:?}") };
    icmp
}

#[test]
fn every_link_layer_gives_the_same_segment() {
    let (four, six) = (v4(6, 0x4000, &tcp(b"hello")), v6(6, &tcp(b"hello")));
    let link = |header: &[u8], packet: &[u8]| [header, packet].concat();
    let sll = |kind: u16| [&[0; 14][..], &kind.to_be_bytes()].concat();
    let sll2 = |kind: u16| [&kind.to_be_bytes()[..], &[0; 18]].concat();
    let snap = [0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00];
    let pppoe = [0x11, 0, 0, 1, 0, 0, 0, 0x21];
    for (kind, bytes) in [
        (LinkType::Ethernet, ethernet(&[], 0x0800, &four)),
        (LinkType::Ethernet, ethernet(&[], 0x86dd, &six)),
        (LinkType::Ethernet, ethernet(&[0x81, 0, 0x20, 5], 0x0800, &four)),
        (LinkType::Ethernet, ethernet(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 5], 0x86dd, &six)),
        (LinkType::Ethernet, ethernet(&[], 65, &link(&snap, &four))),
        (LinkType::Ethernet, ethernet(&[], 0x8864, &link(&pppoe, &four))),
        (LinkType::LinuxSll, link(&sll(0x0800), &four)),
        (LinkType::LinuxSll2, link(&sll2(0x86dd), &six)),
        (LinkType::Null, link(&[2, 0, 0, 0], &four)),
        (LinkType::Null, link(&[0, 0, 0, 30], &six)),
        (LinkType::Null, link(&[24, 0, 0, 0], &six)),
        (LinkType::Loop, link(&[0, 0, 0, 2], &four)),
        (LinkType::RawIp, four.clone()),
        (LinkType::RawIp, six.clone()),
        (LinkType::RawIpv4, four.clone()),
        (LinkType::RawIpv6, six.clone()),
    ] {
        // Padding is not payload.
        let padded = [&bytes[..], &[0xee; 7]].concat();
        let frame = decode_frame(kind, &padded);
        let tcp = tcp_of(&frame);
        assert_eq!((tcp.src_port, tcp.dst_port, tcp.seq, tcp.ack, tcp.window), (32_768, 1883, 1, 2, 8_192));
        assert_eq!(tcp.flags, TcpFlags(0x118));
        assert!(tcp.flags.ns() && tcp.flags.psh() && tcp.flags.ack() && !tcp.flags.syn());
        assert_eq!(tcp.options.timestamps, Some((3, 4)));
        assert_eq!((frame.payload, frame.payload_len, frame.stop), (&b"hello"[..], 5, None));
        let ip = frame.ip.unwrap();
        assert_eq!((ip.protocol, ip.total_len), (6, if ip.version() == 4 { 57 } else { 77 }));
        assert_eq!((ip.ttl, ip.dont_fragment), if ip.version() == 4 { (63, true) } else { (62, false) });
    }
    let tagged = ethernet(&[0x88, 0xa8, 0, 7, 0x81, 0, 0x6f, 0xff], 0x0800, &four);
    assert_eq!(decode_frame(LinkType::Ethernet, &tagged).vlans.ids(), [7, 0xfff]);
}

#[test]
fn a_cut_frame_has_its_offset_and_announced_length() {
    let whole = ethernet(&[], 0x0800, &v4(6, 0, &tcp(&[b'x'; 100])));
    let frame = decode_frame(LinkType::Ethernet, &whole[..96]);
    assert_eq!((frame.payload.len(), frame.payload_len, frame.stop), (30, 100, None));
    for (len, layer) in [(10, "link"), (14, "ipv4"), (33, "ipv4"), (34, "tcp"), (60, "tcp")] {
        let stop = decode_frame(LinkType::Ethernet, &whole[..len]).stop.unwrap();
        assert_eq!((stop.layer.name(), stop.reason), (layer, Reason::Cut), "{len}");
    }
    // Cut within the options: the fixed fields are decoded.
    let frame = decode_frame(LinkType::Ethernet, &whole[..60]);
    assert_eq!((tcp_of(&frame).dst_port, frame.payload_len), (1883, 100));
}

#[test]
fn invalid_lengths_stop_decoding() {
    let mut short_header = v4(6, 0, &tcp(b""));
    short_header[0] = 0x43;
    let frame = decode_frame(LinkType::RawIpv4, &short_header);
    assert_eq!((frame.stop.unwrap().reason, frame.ip.unwrap().ttl), (Reason::HeaderLength, 63));

    let mut short_total = v4(6, 0, &tcp(b""));
    short_total[3] = 19;
    let frame = decode_frame(LinkType::RawIpv4, &short_total);
    assert_eq!((frame.stop.unwrap().reason, frame.payload_len), (Reason::Length, 0));

    let mut offloaded = v4(6, 0, &tcp(b"abc"));
    offloaded[2..4].fill(0);
    assert_eq!(decode_frame(LinkType::RawIpv4, &offloaded).payload, b"abc");

    let mut offset = v4(6, 0, &tcp(b"abc"));
    offset[32] = 0x40;
    let frame = decode_frame(LinkType::RawIpv4, &offset);
    assert_eq!((tcp_of(&frame).dst_port, frame.payload_len), (1883, 0));
    assert_eq!(frame.stop.unwrap().reason, Reason::HeaderLength);

    let mut datagram = v4(17, 0, &udp(53, b"abc"));
    datagram[25] = 7;
    assert_eq!(decode_frame(LinkType::RawIpv4, &datagram).stop.unwrap().layer.name(), "udp");

    let misnamed = ethernet(&[], 0x0800, &v6(6, &tcp(b"")));
    let frame = decode_frame(LinkType::Ethernet, &misnamed);
    assert_eq!(frame.stop.unwrap().reason, Reason::Version);
}

#[test]
fn fragments_have_their_bytes_as_payload() {
    let datagram = udp(1883, &[7; 24]);
    let first = v4(17, 0x2000, &datagram[..16]);
    let second = v4(17, 0x0002, &datagram[16..]);
    let frame = decode_frame(LinkType::RawIpv4, &first);
    assert_eq!(
        (frame.stop.unwrap().reason, frame.transport, frame.payload.len()),
        (Reason::Fragment, None, 16)
    );
    let ip = frame.ip.unwrap();
    assert!(ip.more_fragments && ip.is_fragment());
    let later = decode_frame(LinkType::RawIpv4, &second);
    assert_eq!((later.ip.unwrap().fragment_offset, later.ip.unwrap().identification), (2, 0x1234));
    let together = [frame.payload, later.payload].concat();
    let whole = decode_datagram(ip, &together, together.len());
    assert_eq!((udp_of(&whole).dst_port, whole.payload.len()), (1883, 24));
    assert!(!whole.ip.unwrap().is_fragment());
    assert_eq!(whole.ip.unwrap().total_len, 52);
}

#[test]
fn extension_headers_are_decoded() {
    let options = [&[60, 0, 1, 4, 0, 0, 0, 0][..], &[6, 0, 1, 4, 0, 0, 0, 0], &tcp(b"x")].concat();
    let bytes = v6(0, &options);
    let frame = decode_frame(LinkType::RawIpv6, &bytes);
    assert_eq!((tcp_of(&frame).dst_port, frame.ip.unwrap().header_len, frame.payload), (1883, 56, &b"x"[..]));
    // RFC 8200, 4.5: offset 3, more fragments, identification 9.
    let fragment = [&[17, 0, 0, 25, 0, 0, 0, 9][..], b"data"].concat();
    let frame = decode_frame(LinkType::RawIpv6, &v6(44, &fragment)).ip.unwrap();
    assert_eq!((frame.fragment_offset, frame.more_fragments, frame.identification), (3, true, 9));
    // RFC 4302, 2.2: an authentication header of 16 bytes on IPv4.
    let authenticated = [&[6, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0][..], &tcp(b"x")].concat();
    assert_eq!(tcp_of(&decode_frame(LinkType::RawIpv4, &v4(51, 0, &authenticated))).src_port, 32_768);
    let cut = v6(0, &[6, 9, 0, 0, 0, 0, 0, 0]);
    assert_eq!(decode_frame(LinkType::RawIpv6, &cut).stop.unwrap().reason, Reason::Length);
}

#[test]
fn icmp_errors_have_the_quoted_packet() {
    let original = &v4(17, 0, &udp(161, b"public"))[..28];
    let error = [&[3, 3, 0, 0, 0, 0, 0, 0][..], original].concat();
    let bytes = v4(1, 0, &error);
    let icmp = icmp_of(&decode_frame(LinkType::RawIpv4, &bytes));
    assert_eq!((icmp.version, icmp.kind, icmp.code), (4, 3, 3));
    let quoted = icmp.original.unwrap();
    assert_eq!((quoted.src_port, quoted.dst_port, quoted.protocol), (12_345, 161, 17));
    assert_eq!(quoted.dst, "10.0.0.2".parse::<IpAddr>().unwrap());
    let echo = v6(58, &[128, 0, 0, 0, 0, 1, 0, 2, b'p']);
    let frame = decode_frame(LinkType::RawIpv6, &echo);
    assert_eq!((icmp_of(&frame).rest, icmp_of(&frame).original, frame.payload), (0x1_0002, None, &b"p"[..]));
}

#[test]
fn tunnels_are_decapsulated_one_level() {
    let inner = v4(6, 0, &tcp(b"mqtt"));
    let framed = ethernet(&[], 0x0800, &inner);
    let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0][..], &framed].concat();
    let geneve = [&[0, 0, 0x65, 0x58, 0, 0, 43, 0][..], &framed].concat();
    let gre = [&[0x20, 0, 0x08, 0, 0, 0, 0, 44][..], &inner].concat();
    for (kind, id, bytes) in [
        (TunnelKind::IpInIp, 0, v4(4, 0, &inner)),
        (TunnelKind::Ipv6InIp, 0, v4(41, 0, &v6(6, &tcp(b"mqtt")))),
        (TunnelKind::Gre, 44, v4(47, 0, &gre)),
        (TunnelKind::Vxlan, 42, v4(17, 0, &udp(4789, &vxlan))),
        (TunnelKind::Geneve, 43, v4(17, 0, &udp(6081, &geneve))),
    ] {
        let frame = decode_frame(LinkType::RawIpv4, &bytes);
        let tunnel = frame.tunnel.unwrap();
        assert_eq!((tunnel.kind, tunnel.id), (kind, id));
        let inside = frame.inner().unwrap();
        assert_eq!((tcp_of(&inside).dst_port, inside.payload), (1883, &b"mqtt"[..]));
        assert!(inside.inner().is_none());
    }
}

#[test]
fn tcp_options_are_found_among_others() {
    let mut bytes = tcp(b"")[..20].to_vec();
    bytes[12] = 0xa0;
    bytes.extend([2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7]);
    let options = tcp_of(&decode_frame(LinkType::RawIpv4, &v4(6, 0, &bytes))).options;
    assert_eq!((options.mss, options.window_scale, options.sack_permitted), (Some(1_460), Some(7), true));
    assert_eq!((options.timestamps, options.malformed), (Some((1, 2)), false));
    bytes[20..24].copy_from_slice(&[2, 0, 0, 0]);
    assert!(tcp_of(&decode_frame(LinkType::RawIpv4, &v4(6, 0, &bytes))).options.malformed);
}

#[test]
fn link_types_have_pcaps_numbers() {
    for (number, name) in
        [(0u32, "null"), (1, "ethernet"), (101, "raw_ip"), (108, "loop"), (113, "linux_sll")]
    {
        assert_eq!(LinkType::from_pcap(number).unwrap().name(), name);
    }
    assert_eq!(LinkType::from_pcap(276u16), Some(LinkType::LinuxSll2));
    assert_eq!(LinkType::from_pcap(147u16), None);
}
