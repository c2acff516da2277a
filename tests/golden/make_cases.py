#!/usr/bin/env python3
"""Writes the golden cases of the packet level: tests/golden/<case>/input.pcap, case.toml and expected.csv.

usage: make_cases.py [CASE...]

The frames are generated here, byte by byte; the expected rows come from tshark, which must be installed to run this
script (the tests read the committed files only). DIFFERS lists the deliberate differences from tshark, which are
written to case.toml with their reasons.
"""
import pathlib
import shutil
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import tshark_packets as tshark  # noqa: E402

ETHERNET, NULL, RAW, LOOP, COOKED, COOKED_2 = 1, 0, 101, 108, 113, 276
TCP, UDP = 6, 17
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
PING = b"\xc0\x00"


# --- bytes, from the innermost layer out ---

def tcp(payload=b"", sport=40000, dport=1883, seq=1, flags=PSH | ACK, options=b"", offset=None):
    words = 5 + len(options) // 4 if offset is None else offset
    return struct.pack(">HHIIHHHH", sport, dport, seq, 1, words << 12 | flags, 1000, 0, 0) + options + payload


def udp(payload=b"", sport=5000, dport=9999, length=None):
    return struct.pack(">HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload


def ipv4(payload, protocol=TCP, total=None, flags=0x4000, ttl=64, ident=1, options=b""):
    words = 5 + len(options) // 4
    total = words * 4 + len(payload) if total is None else total
    addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    return struct.pack(">BBHHHBBH", 0x40 | words, 0, total, ident, flags, ttl, protocol, 0) + addresses + options + payload


def ipv6(payload, protocol=TCP, extensions=b"", length=None, hops=61):
    length = len(extensions) + len(payload) if length is None else length
    addresses = b"\xfd" + bytes(14) + b"\x01" + b"\xfd" + bytes(14) + b"\x02"
    return struct.pack(">IHBB", 0x60000000, length, protocol, hops) + addresses + extensions + payload


def ether_type(packet):
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


def ethernet(packet, tags=(), kind=None):
    head = bytes.fromhex("020000000001020000000002")
    for tag_type, tag in tags:
        head += struct.pack(">HH", tag_type, tag)
    return head + struct.pack(">H", ether_type(packet) if kind is None else kind) + packet


def cooked(packet):
    return struct.pack(">HHH8sH", 0, 1, 6, bytes(8), ether_type(packet)) + packet


def cooked_2(packet):
    return struct.pack(">HHIHBB8s", ether_type(packet), 0, 1, 1, 0, 6, bytes(8)) + packet


def mqtt_connect(flags, client=b"abcde", rest=b"", name=b"MQTT", level=4):
    body = struct.pack(">H", len(name)) + name + bytes([level, flags, 0, 60]) + struct.pack(">H", len(client)) + client
    body += rest
    return bytes([0x10, len(body)]) + body


def publish(topic, payload):
    body = struct.pack(">H", len(topic)) + topic + payload
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 0x7F | 0x80, len(body) >> 7])
    return b"\x30" + length + body


CONNECT = mqtt_connect(0x02)


def basic():
    """A TCP and a UDP conversation over both IP versions, one packet each."""
    return [
        ipv4(tcp(flags=SYN, seq=0)), ipv4(tcp(CONNECT)), ipv4(udp(b"hello"), UDP),
        ipv6(tcp(CONNECT, sport=41000)), ipv6(udp(b"hello"), UDP),
    ]


# --- the cases ---

def vlan():
    tags = [[(0x8100, 5)], [(0x88A8, 5), (0x8100, 7)], [(0x9100, 5), (0x8100, 7)], [(0x8100, 0xE000)], [(0x8100, 1)] * 3]
    frames = []
    for number, stack in enumerate(tags):
        frames.append(ethernet(ipv4(tcp(CONNECT, sport=40000 + number)), stack))
        frames.append(ethernet(ipv6(udp(b"hello", sport=5000 + number), UDP), stack))
    return ETHERNET, frames


def null(order):
    families = {4: 2, 6: 30}
    return NULL, [struct.pack(order + "I", families[p[0] >> 4]) + p for p in basic()]


def ipv6_extensions():
    def options(following):  # hop-by-hop or destination options: one PadN
        return bytes([following, 0, 1, 4, 0, 0, 0, 0])

    routing = bytes([UDP, 0, 0, 0, 0, 0, 0, 0])
    atomic = struct.pack(">BBHI", TCP, 0, 0, 5)
    packets = [
        ipv6(tcp(CONNECT, sport=48000), 0, options(TCP)),
        ipv6(tcp(CONNECT, sport=48001), 60, options(TCP)),
        ipv6(udp(b"x", sport=48002), 43, routing),
        ipv6(tcp(CONNECT, sport=48003), 44, atomic),
        ipv6(tcp(CONNECT, sport=48004), 0, options(60) + options(TCP)),
        ipv6(b"", 59),
    ]
    return ETHERNET, [ethernet(p) for p in packets]


def ipv6_fragment(packet, at, more, identification, following, extensions=b""):
    """A fragment of the fragmentable part `packet` that starts at byte `at`; `following` is its first header."""
    header = struct.pack(">BBHI", following, 0, at | more, identification)
    return ipv6(packet, 44, extensions + header) if not extensions else ipv6(packet, 0, extensions + header)


def fragments():
    datagram = udp(bytes(range(200)) * 10, sport=7000)
    segment = tcp(publish(b"a", b"x" * 1500), sport=47000)
    frames = [
        ipv4(datagram[:1000], UDP, flags=0x2000, ident=7), ipv4(datagram[1000:], UDP, flags=125, ident=7),
        ipv4(segment[:1000], TCP, flags=0x2000, ident=8), ipv4(segment[1000:], TCP, flags=125, ident=8),
        # Incomplete datagrams.
        ipv4(tcp(PING, sport=47001), TCP, flags=0x2000, ident=9), ipv4(b"x" * 8, TCP, flags=3, ident=10),
    ]
    # Out of order, the last first, with different TTLs; the middle one twice; the identification reused afterwards.
    connect = tcp(CONNECT + PING * 4, sport=47002)
    parts = [
        ipv4(connect[32:], TCP, flags=4, ident=11, ttl=9), ipv4(connect[16:32], TCP, flags=0x2002, ident=11, ttl=8),
        ipv4(connect[16:32], TCP, flags=0x2002, ident=11, ttl=8), ipv4(connect[:16], TCP, flags=0x2000, ident=11, ttl=7),
    ]
    frames += parts
    again = tcp(CONNECT, sport=47003)
    frames += [ipv4(again[:24], TCP, flags=0x2000, ident=11), ipv4(again[24:], TCP, flags=3, ident=11)]
    # The same identification for another protocol, interleaved.
    frames += [
        ipv4(again[:24], TCP, flags=0x2000, ident=12), ipv4(datagram[:1000], UDP, flags=0x2000, ident=12),
        ipv4(datagram[1000:], UDP, flags=125, ident=12), ipv4(tcp(PING, sport=47004)[24:], TCP, flags=3, ident=12),
    ]
    # A message over two segments, each fragmented; a complete segment between the fragments of another.
    first, second = tcp(publish(b"b", b"y" * 300)[:200], sport=47005), tcp(publish(b"b", b"y" * 300)[200:], sport=47005, seq=201)
    frames += [
        ipv4(first[:96], TCP, flags=0x2000, ident=13), ipv4(first[96:], TCP, flags=12, ident=13),
        ipv4(second[:96], TCP, flags=0x2000, ident=14), ipv4(tcp(CONNECT, sport=47006)), ipv4(second[96:], TCP, flags=12, ident=14),
    ]
    # Datagrams with different VLAN tags are different.
    tagged = [(ipv4(again[:24], TCP, flags=0x2000, ident=160), 5), (ipv4(again[24:], TCP, flags=3, ident=160), 6),
              (ipv4(again[24:], TCP, flags=3, ident=160), 5)]
    return ETHERNET, [ethernet(p) for p in frames] + [ethernet(p, [(0x8100, tag)]) for p, tag in tagged]


def fragments_ipv6():
    datagram = udp(bytes(range(200)) * 10, sport=7000)
    segment = tcp(CONNECT + PING * 10, sport=47000)
    options = bytes([TCP, 0, 1, 4, 0, 0, 0, 0])
    hop_by_hop = bytes([44, 0, 1, 4, 0, 0, 0, 0])
    packets = [
        ipv6_fragment(datagram[:1000], 0, 1, 7, UDP), ipv6_fragment(datagram[1000:], 1000, 0, 7, UDP),
        ipv6_fragment(segment[32:], 32, 0, 8, TCP), ipv6_fragment(segment[:32], 0, 1, 8, TCP),
        # Destination options within the fragmented part, hop-by-hop options before it.
        ipv6_fragment(options + segment[:24], 0, 1, 9, 60), ipv6_fragment(segment[24:], 32, 0, 9, 60),
        ipv6_fragment(segment[:32], 0, 1, 10, TCP, hop_by_hop), ipv6_fragment(segment[32:], 32, 0, 10, TCP, hop_by_hop),
        # Incomplete datagrams.
        ipv6_fragment(segment[:32], 0, 1, 11, TCP), ipv6_fragment(segment[32:], 32, 0, 12, TCP),
    ]
    return ETHERNET, [ethernet(p) for p in packets]


def fragments_hostile():
    """Overlaps, contradictions, impossible lengths, truncated fragments."""
    frames = []

    def v4(*parts, sport, ident):
        whole = tcp(CONNECT + PING * 20, sport=sport)
        for part in parts:
            at, end, more, *change = part
            data = whole[at:end] if not change else change[0]
            frames.append(ethernet(ipv4(data, TCP, flags=(0x2000 if more else 0) | at // 8, ident=ident)))

    # Partly repeated bytes; different bytes at the same offset, after and before the first copy.
    v4((0, 32, 1), (24, 48, 1), (48, 74, 0), sport=48000, ident=20)
    v4((0, 32, 1), (24, 40, 1, b"\xe0\x00" * 8), (40, 74, 0), sport=48001, ident=21)
    # Beyond the end; a contradicting end; longer than a datagram can be; no multiple of eight.
    v4((0, 32, 1), (32, 74, 0), (80, 88, 1, b"x" * 8), sport=48002, ident=22)
    v4((0, 32, 1), (40, 74, 0), (32, 40, 0), (32, 40, 1), sport=48003, ident=23)
    v4((0, 32, 1), (65528, 65536, 0, b"x" * 8), sport=48004, ident=24)
    # The first or the second was truncated by the snap length.
    first = ethernet(ipv4(tcp(CONNECT + PING * 20, sport=48005)[:48], TCP, flags=0x2000, ident=25))
    second = ethernet(ipv4(tcp(CONNECT + PING * 20, sport=48005)[48:], TCP, flags=6, ident=25))
    frames += [(first[:70], len(first)), second, first, (second[:40], len(second))]
    # IPv6: a partly repeated fragment, then the one that completes the datagram.
    whole = tcp(CONNECT + PING * 20, sport=48006)
    for at, end, more in ((0, 32, 1), (24, 48, 1), (48, 74, 0)):
        frames.append(ethernet(ipv6_fragment(whole[at:end], at, more, 26, TCP)))
    return ETHERNET, frames


def lengths():
    packets = [
        # Segmentation offload leaves a total length of 0: the packet is as long as the frame.
        ipv4(tcp(CONNECT, sport=42000), total=0), ipv4(tcp(PING, sport=42001), total=0),
        ipv4(udp(b"hello", sport=42002), UDP, total=0),
        # Longer and shorter than the frame, down to less than a header.
        ipv4(tcp(CONNECT, sport=42003), total=9999), ipv4(tcp(CONNECT, sport=42004), total=45),
        ipv4(tcp(CONNECT, sport=42005), total=30), ipv4(tcp(CONNECT, sport=42006), total=10),
        ipv6(tcp(CONNECT, sport=42007), length=22), ipv6(tcp(CONNECT, sport=42008), length=999),
    ]
    return ETHERNET, [ethernet(p) for p in packets]


def cut_frames():
    whole = ethernet(ipv4(tcp(CONNECT)))
    frames = [(whole[:length], len(whole)) for length in (14, 20, 33, 34, 36, 40, 53, 54, 55, 56, 60, len(whole) - 1)]
    datagram = ethernet(ipv6(udp(b"hello"), UDP))
    frames += [(datagram[:length], len(datagram)) for length in (30, 54, 58, 62, 64)]
    # Every frame has its own flow, so that none is a retransmission of another.
    return ETHERNET, [(renumber(frame, at), wire) for at, (frame, wire) in enumerate(frames)]


def renumber(frame, number):
    at = 34 if frame[12:14] == b"\x08\x00" else 54
    return frame[:at] + struct.pack(">H", 50000 + number) + frame[at + 2 :] if len(frame) >= at + 2 else frame


def connect_flags():
    frames = []
    for number, flags in enumerate([0, 1, 2, 4, 8, 0x10, 0x18, 0x20, 0x40, 0x80, 0xEE, 0xF6, 0xFE, 0xFF]):
        # The fields that the flags announce: Will topic and message, user name, password.
        fields = 2 * (flags >> 2 & 1) + (flags >> 7) + (flags >> 6 & 1)
        frames.append(ethernet(ipv4(tcp(mqtt_connect(flags, rest=b"\x00\x01a" * fields), sport=40000 + number))))
    names = [(b"MQIsdp", 3), (b"MQTT", 3), (b"MQTT", 4), (b"MQTT", 6)]
    for number, (name, level) in enumerate(names):
        frames.append(ethernet(ipv4(tcp(mqtt_connect(2, name=name, level=level), sport=41000 + number))))
    return ETHERNET, frames


def several_messages():
    first = CONNECT + publish(b"t", b"1") + PING
    second = publish(b"t", b"2") + publish(b"tt", b"33") + b"\xe0\x00"
    third = PING + PING
    segments, at = [], 1
    for payload in (first, second, third):
        segments.append(ethernet(ipv4(tcp(payload, seq=at))))
        at += len(payload)
    return ETHERNET, segments


def reserved_types():
    frames = []
    for number, first in enumerate([0x00, 0x0F, 0xF0, 0xFF, 0xC0, 0xD0, 0xE0]):
        frames.append(ethernet(ipv4(tcp(bytes([first, 0]), sport=40000 + number))))
        frames.append(ethernet(ipv4(tcp(bytes([first, 2, 0, 1]), sport=41000 + number))))
    return ETHERNET, frames


def cut_connect():
    """The connection ends before the Remaining Length."""
    frames = []
    for number, length in enumerate([1, 2, 4, 8, 9, 10, 12, 14, 16, len(CONNECT)]):
        frames.append(ethernet(ipv4(tcp(CONNECT[:length], sport=40000 + number, flags=FIN | PSH | ACK))))
    # Complete by a Remaining Length that is too short for all fields.
    for number, length in enumerate([0, 2, 6, 7, 8, 10]):
        frames.append(ethernet(ipv4(tcp(bytes([0x10, length]) + CONNECT[2 : 2 + length], sport=41000 + number))))
    return ETHERNET, frames


def tcp_flags():
    frames = []
    for number, flags in enumerate([0, *(1 << bit for bit in range(12)), SYN | ACK, FIN | PSH | URG, 0xFFF]):
        frames.append(ethernet(ipv4(tcp(b"", sport=40000 + number, flags=flags))))
    for number, flags in enumerate([0x0000, 0x2000, 0x4000, 0x8000, 0xC000]):
        frames.append(ethernet(ipv4(udp(b"x", sport=6000 + number), UDP, flags=flags, ident=20 + number)))
    options = [b"\x01" * 12, b"\x08\x0a" + bytes(8) + b"\x01\x01", b"\xff" * 8]
    for number, option in enumerate(options):
        frames.append(ethernet(ipv4(tcp(CONNECT, sport=42000 + number, options=option), options=b"\x01" * 8)))
    frames += [ethernet(ipv4(tcp(CONNECT, sport=43000 + words, offset=words))) for words in (0, 4, 5, 6, 15)]
    return ETHERNET, frames


def padding():
    """Ethernet pads short frames: bytes after the IP packet do not belong to it."""
    frames = [ethernet(p) for p in basic()] + [ethernet(ipv4(tcp(b"", sport=45000))), ethernet(ipv4(tcp(PING, sport=45001)))]
    return ETHERNET, [frame + b"\xc0\x00" * 3 for frame in frames]


def not_rows():
    """Packets that make no row, around one that does."""
    inner = ipv4(tcp(CONNECT, sport=49000))
    echo = struct.pack(">BBHI", 8, 0, 0, 0) + b"ping"
    unreachable = struct.pack(">BBHI", 3, 3, 0, 0) + ipv4(udp(b"abc"), UDP)
    arp = bytes.fromhex("0001080006040001") + bytes(20)
    packets = [ipv4(echo, 1), ipv4(unreachable, 1), ipv4(inner, 4), ipv4(b"\0\0\x08\0" + inner, 47), ipv4(b"x" * 20, 132)]
    frames = [ethernet(p) for p in packets]
    return ETHERNET, frames + [ethernet(arp, kind=0x0806), ethernet(b"\0" * 46, kind=0x88B5), ethernet(ipv4(tcp(CONNECT)))]


CASES = {
    "vlan": ("802.1Q, QinQ with 0x88a8 and 0x9100, a priority tag, three tags", vlan),
    "linux-cooked-v1": ("Linux cooked capture v1, as `tcpdump -i any` wrote", lambda: (COOKED, [cooked(p) for p in basic()])),
    "linux-cooked-v2": ("Linux cooked capture v2, as `tcpdump -i any` writes", lambda: (COOKED_2, [cooked_2(p) for p in basic()])),
    "raw-ip": ("No link header", lambda: (RAW, basic())),
    "null-little-endian": ("BSD loopback, address family in little-endian order", lambda: null("<")),
    "null-big-endian": ("BSD loopback, address family in big-endian order", lambda: null(">")),
    "loop": ("OpenBSD loopback, address family in network order", lambda: (LOOP, [struct.pack(">I", 2 if p[0] >> 4 == 4 else 24) + p for p in basic()])),
    "ipv6-extensions": ("Extension headers before the transport, an atomic fragment, no next header", ipv6_extensions),
    "fragments": ("IPv4 fragments, of complete and of incomplete datagrams", fragments),
    "fragments-ipv6": ("IPv6 fragments, of complete and of incomplete datagrams", fragments_ipv6),
    "fragments-hostile": ("Fragments that overlap, contradict each other, are impossible, or were truncated", fragments_hostile),
    "ip-lengths": ("IPv4 total length 0 (segmentation offload), and lengths that contradict the frame", lengths),
    "cut-frames": ("Frames truncated within every header", cut_frames),
    "connect-flags": ("CONNECT with each flag and with all flags, and with unusual protocol names and levels", connect_flags),
    "several-messages": ("Several MQTT messages in a segment: the first one counts", several_messages),
    "reserved-types": ("MQTT types 0 and 15, and types without a payload", reserved_types),
    "cut-connect": ("CONNECT cut short by the connection's end or by its own length", cut_connect),
    "tcp-flags": ("Every TCP and IPv4 flag alone and together, options, impossible data offsets", tcp_flags),
    "padding": ("Ethernet padding that looks like MQTT", padding),
    "not-rows": ("ICMP with a UDP header inside, tunnels, SCTP, ARP: no rows", not_rows),
}


def write_pcap(path, link, frames):
    order = ">" if path.parent.name == "null-big-endian" else "<"
    with open(path, "wb") as out:
        out.write(struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link))
        for number, frame in enumerate(frames):
            data, wire = frame if isinstance(frame, tuple) else (frame, len(frame))
            out.write(struct.pack(order + "IIII", 1581698736 + number, 818127 + number, len(data), wire) + data)


def main(names):
    program = shutil.which("tshark") or sys.exit("make_cases.py: tshark is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split(" (Git")[0]
    fields = tshark.known_fields(program)
    ask = [word for field in fields for word in ("-e", field)]
    for name in names or CASES:
        about, make = CASES[name]
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        link, frames = make()
        write_pcap(folder / "input.pcap", link, frames)
        command = [program, "-n", "-r", str(folder / "input.pcap"), "-T", "fields", "-E", "occurrence=f", "-E", "separator=/t"]
        lines = subprocess.run([*command, *ask], capture_output=True, text=True, check=True).stdout.splitlines()
        rows = {frame: cells for cells, frame, _ in tshark.tshark_rows(lines)}
        differs = []
        for packet, columns, ours, why in DIFFERS.get(name, []):
            if columns is None:
                del rows[packet]
                differs.append(f'packet = {packet}\nrow = "none"\nwhy = "{why}"\n')
                continue
            for column in columns.split():
                index = tshark.COLUMNS.index(column)
                value = ours[column] if isinstance(ours, dict) else ours
                theirs, rows[packet][index] = rows[packet][index], value
                differs.append(f'packet = {packet}\ncolumn = "{column}"\ntshark = "{theirs}"\nours = "{value}"\nwhy = "{why}"\n')
        with open(folder / "expected.csv", "w") as out:
            for cells in [[*tshark.COLUMNS, "is_attack"], *([*row, ""] for row in rows.values())]:
                out.write(",".join(cells) + "\n")
        with open(folder / "case.toml", "w") as out:
            out.write(f'about = "{about}"\nlevel = "packet"\npackets = {len(frames)}\nrows = {len(rows)}\nexpected_from = "{version}"\n')
            out.writelines(f"\n[[differs]]\n{text}" for text in differs)
        print(f"{name}: {len(frames)} packets, {len(rows)} rows")


FLAGS = "tcp_flag_res tcp_flag_ns tcp_flag_cwr tcp_flag_ecn tcp_flag_urg tcp_flag_ack tcp_flag_push tcp_flag_reset tcp_flag_syn tcp_flag_fin"
PUSHED = {name: "1" if name in ("tcp_flag_ack", "tcp_flag_push") else "0" for name in FLAGS.split()}
CUT = "a row needs a complete TCP or UDP header"
MQTT = (
    "mqtt_messagetype mqtt_messagelength mqtt_flag_uname mqtt_flag_passwd mqtt_flag_retain mqtt_flag_qos"
    " mqtt_flag_willflag mqtt_flag_clean mqtt_flag_reserved"
)
CUT_FRAGMENT = "bytes already decoded from a truncated fragment are a retransmission"
OFFSET = "the flags precede the impossible data offset and are decoded"

# Deliberate differences from tshark: packet from 1, columns (None: no row), Citronella's values, reason.
DIFFERS = {
    "fragments-hostile": [
        (18, "protocol", "TCP", CUT_FRAGMENT), (18, MQTT, "", CUT_FRAGMENT),
        (22, None, None, "an IPv6 datagram with an overlap is discarded (RFC 5722, 4)"),
    ],
    "cut-frames": [(packet, None, None, CUT) for packet in (4, 5, 6, 7, 14, 15)],
    "ip-lengths": [(6, None, None, CUT)],
    "tcp-flags": [(packet, FLAGS, PUSHED, OFFSET) for packet in (25, 26)],
}

if __name__ == "__main__":
    main(sys.argv[1:])
