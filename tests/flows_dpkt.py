#!/usr/bin/env python3
"""Compares the uniflow and biflow levels with a slow, independent implementation of the data set's rules.

usage: flows_dpkt.py PROGRAM [CAPTURE...] [--tolerance 1e-9]

PROGRAM is `citronella` (called as `PROGRAM extract --level LEVEL -o - CAPTURE`) or the sensor's example `flows`
(called as `PROGRAM LEVEL CAPTURE`). Captures are .pcap or .pcapng, plain, .gz or .zst; without any, every one under
data/ and ../shared/data is compared.

All sums are integer nanoseconds and fractions, so that the comparison is with the rules and not with another rounding.
Rows must be in the same order.

Exit code: 0 if all rows are equal (or dpkt is missing: then nothing is compared, with a message), 1 if rows differ, 2
if a program failed.
"""
import argparse
import collections
import csv
import gzip
import io
import math
import pathlib
import shutil
import socket
import subprocess
import sys
from fractions import Fraction

try:
    import dpkt
except ImportError:
    dpkt = None

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = [
    "num_pkts", "mean_iat", "std_iat", "min_iat", "max_iat", "mean_offset", "mean_pkt_len", "std_pkt_len",
    "min_pkt_len", "max_pkt_len", "num_bytes", "num_psh_flags", "num_rst_flags", "num_urg_flags",
]
TEXT = {"ip_src", "ip_dst"}
# Columns that only the extended levels have.
EXTENDED = {"mean_offset", "fwd_mean_offset", "bwd_mean_offset", "num_src_flows", "src_ip_dst_prt_delta"}


class Skip(Exception):
    """A requirement is missing; the message says which."""


def content(path):
    """The capture's bytes, decompressed."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix != ".zst":
        return path.read_bytes()
    try:
        import zstandard
        with open(path, "rb") as file:
            return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    except ImportError:
        pass
    program = shutil.which("zstd")
    if program is None:
        raise Skip("neither the module zstandard nor the program zstd is here")
    return subprocess.run([program, "-dcq", str(path)], stdout=subprocess.PIPE, check=True).stdout


def packets(path):
    """(nanoseconds, IP object) of each IPv4 packet."""
    data = io.BytesIO(content(path))
    for number, (time, frame, link) in enumerate(records(data), 1):
        try:
            ip = network(link, frame)
        except (dpkt.UnpackError, IndexError) as error:
            print(f"{path.name} packet {number}: dpkt cannot read it ({error})", file=sys.stderr)
            continue
        if isinstance(ip, dpkt.ip.IP):
            yield time, ip


def records(data):
    """(nanoseconds, bytes, link type) of each record. dpkt's readers round times to floats, so it is not used here."""
    magic = data.read(4)
    orders = {
        b"\xd4\xc3\xb2\xa1": ("little", 1000), b"\xa1\xb2\xc3\xd4": ("big", 1000),
        b"\x4d\x3c\xb2\xa1": ("little", 1), b"\xa1\xb2\x3c\x4d": ("big", 1),
    }
    if magic not in orders:
        data.seek(0)
        yield from blocks(data)
        return
    order, unit = orders[magic]
    number = lambda raw: int.from_bytes(raw, order)
    header = data.read(20)
    link = number(header[16:20]) & 0xFFFF
    while len(record := data.read(16)) == 16:
        seconds, fraction, length = number(record[0:4]), number(record[4:8]), number(record[8:12])
        yield seconds * 10**9 + fraction * unit, data.read(length), link


def blocks(data):
    """The same for pcapng: enhanced packet blocks of any number of interfaces and any time resolution."""
    order, interfaces = "little", []
    number = lambda raw: int.from_bytes(raw, order)
    while len(head := data.read(8)) == 8:
        if head[:4] == b"\x0a\x0d\x0d\x0a":
            magic = data.read(4)
            order = "little" if magic == b"\x4d\x3c\x2b\x1a" else "big"
            interfaces = []
            data.read(number(head[4:8]) - 12)
            continue
        kind, body = number(head[0:4]), data.read(number(head[4:8]) - 8)
        if kind == 1:
            unit, rest = Fraction(1, 10**6), body[8:]
            while len(rest) >= 4 and number(rest[0:2]) != 0:
                code, length = number(rest[0:2]), number(rest[2:4])
                if code == 9:
                    power = rest[4]
                    unit = Fraction(1, 2 ** (power & 127)) if power & 128 else Fraction(1, 10**power)
                rest = rest[4 + (length + 3) // 4 * 4:]
            interfaces.append((number(body[0:2]), unit))
        elif kind == 6:
            link, unit = interfaces[number(body[0:4])]
            ticks = number(body[4:8]) << 32 | number(body[8:12])
            yield int(ticks * unit * 10**9), body[20:20 + number(body[12:16])], link


def network(link, frame):
    """The link layer's payload."""
    if link == 1:
        return dpkt.ethernet.Ethernet(frame).data
    if link == 113:
        return dpkt.sll.SLL(frame).data
    if link in (12, 101, 228):
        return dpkt.ip.IP(frame) if frame[0] >> 4 == 4 else None
    if link == 0:
        return dpkt.loopback.Loopback(frame).data
    raise Skip(f"link type {link} is not supported")


def uniflows(path):
    """The packets of each 5-tuple, in the order of their first packets."""
    flows = collections.OrderedDict()
    for time, ip in packets(path):
        segment = ip.data
        if not isinstance(segment, (dpkt.tcp.TCP, dpkt.udp.UDP)):
            continue
        flags = segment.flags if isinstance(segment, dpkt.tcp.TCP) else 0
        key = (
            socket.inet_ntoa(ip.src), socket.inet_ntoa(ip.dst), segment.sport, segment.dport,
            6 if isinstance(segment, dpkt.tcp.TCP) else 17,
        )
        flows.setdefault(key, []).append((time, ip.len, flags))
    return flows


def mean(values):
    return Fraction(sum(values), len(values))


def deviation(values):
    """Population standard deviation."""
    middle = mean(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / len(values))


def statistics(flow):
    """BLOCK's values of one direction's packets."""
    times = sorted(time for time, _, _ in flow)
    lengths = [length for _, length, _ in flow]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    second = 10**9
    if gaps:
        offsets = [time - times[0] for time in times[1:]]
        timing = [
            mean(gaps) / second, deviation(gaps) / second, Fraction(min(gaps), second), Fraction(max(gaps), second),
            mean(offsets) / second,
        ]
    else:
        timing = [0, 0, 0, 0, 0]
    count = lambda bit: sum(1 for _, _, flags in flow if flags & bit)
    values = [
        len(flow), *timing, mean(lengths), deviation(lengths), min(lengths), max(lengths), sum(lengths),
        count(dpkt.tcp.TH_PUSH), count(dpkt.tcp.TH_RST), count(dpkt.tcp.TH_URG),
    ]
    return dict(zip(BLOCK, values))


def uniflow_rows(flows):
    for (src, dst, src_port, dst_port, protocol), packets_of in flows.items():
        yield dict(
            ip_src=src, ip_dst=dst, prt_src=src_port, prt_dst=dst_port, proto=protocol, **statistics(packets_of)
        )


def biflow_rows(flows):
    done, rows = set(), []

    def row(key, reply):
        src, dst, src_port, dst_port, protocol = key
        values = dict(ip_src=src, ip_dst=dst, prt_src=src_port, prt_dst=dst_port, proto=protocol)
        values.update(("fwd_" + name, value) for name, value in statistics(flows[key]).items())
        values.update(("bwd_" + name, value) for name, value in statistics(flows[reply]).items())
        rows.append(values)

    for key in flows:
        reverse = (key[1], key[0], key[3], key[2], key[4])
        if key not in done and reverse in flows:
            done.update((key, reverse))
            row(key, reverse)
    for key in flows:
        if key not in done and key[4] == 17:
            row(key, key)
    ports = collections.defaultdict(list)
    for values in rows:
        ports[values["ip_src"]].append(values["prt_dst"])
    for values in rows:
        own = sorted(ports[values["ip_src"]])
        values["num_src_flows"] = len(own)
        gaps = [b - a for a, b in zip(own, own[1:])]
        values["src_ip_dst_prt_delta"] = mean(gaps) if gaps else own[0]
    return rows


def ours(program, level, path):
    """The program's rows."""
    if "citronella" in pathlib.Path(program).name:
        command = [program, "extract", "--level", level, "-o", "-", str(path)]
    else:
        command = [program, level, str(path)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {run.returncode}: {run.stderr.strip()[-500:]}")
    return list(csv.DictReader(io.StringIO(run.stdout)))


def near(theirs, mine, tolerance):
    if theirs == mine:
        return True
    return abs(theirs - mine) <= tolerance * max(abs(theirs), abs(mine))


def compare(name, level, wanted, found, tolerance):
    """The number of differing rows; prints the first few."""
    differing = abs(len(wanted) - len(found))
    if differing:
        print(f"{name} {level}: {len(found)} rows, {len(wanted)} expected")
    worst = 0.0
    for number, (theirs, mine) in enumerate(zip(wanted, found), 1):
        wrong = []
        for column, value in theirs.items():
            if column not in mine:
                if column not in EXTENDED:
                    wrong.append(f"{column} is missing")
                continue
            text = mine[column]
            if column in TEXT:
                if text != value:
                    wrong.append(f"{column} {text}, expected {value}")
                continue
            value, got = float(value), float(text)
            if not near(value, got, tolerance):
                wrong.append(f"{column} {got!r}, expected {value!r}")
            elif value != got:
                worst = max(worst, abs(value - got) / max(abs(value), abs(got)))
        if wrong:
            differing += 1
            if differing < 10:
                print(f"{name} {level} row {number}: {'; '.join(wrong[:4])}")
    print(f"{name} {level}: {len(found)} rows, {differing} differ, largest relative difference {worst:.1e}", flush=True)
    return differing


def captures_here():
    kinds = (".pcap", ".pcapng", ".pcap.zst", ".pcapng.zst", ".pcap.gz")
    folders = [ROOT / "data", ROOT.parent / "shared" / "data"]
    found = [path for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*"))]
    if not folders[1].is_dir():
        print("../shared/data is missing: its captures were not compared")
    return [path for path in found if path.name.endswith(kinds)]


def main():
    parser = argparse.ArgumentParser(description="Compares the flow levels with a slow implementation of the rules.")
    parser.add_argument("program", help="citronella, or the sensor's example `flows`")
    parser.add_argument("captures", nargs="*", type=pathlib.Path, help="default: all under data/ and ../shared/data")
    parser.add_argument("--tolerance", type=float, default=1e-9, help="largest relative difference (default 1e-9)")
    parser.add_argument("--levels", nargs="+", help="default: uniflow and biflow; for `flows` the extended ones")
    given = parser.parse_args()
    if dpkt is None:
        print("dpkt is not installed: the flow levels were not compared")
        return 0
    extended = "citronella" not in pathlib.Path(given.program).name
    levels = given.levels or (["uniflow-extended", "biflow-extended"] if extended else ["uniflow", "biflow"])
    differing = 0
    for path in given.captures or captures_here():
        try:
            flows = uniflows(path)
            for level in levels:
                rows = list(uniflow_rows(flows)) if level.startswith("uniflow") else biflow_rows(flows)
                if rows:
                    found = ours(given.program, level, path)
                    differing += compare(path.name, level, rows, found, given.tolerance)
        except Skip as skip:
            print(f"{path}: skipped: {skip}")
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 2
    print("equal" if differing == 0 else f"{differing} rows differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
