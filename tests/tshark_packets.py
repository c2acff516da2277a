#!/usr/bin/env python3
"""Compares `citronella extract --level packet` with tshark, cell by cell.

usage: tshark_packets.py CITRONELLA [CAPTURE...] [--json FILE] [--markdown FILE] [--show N]
                         [--protocol-share PERCENT] [--spanning]

Both programs read each capture in parallel and their rows are compared as they arrive, so memory does not grow with
the capture. Without captures: every one under data/ and ../shared/data.

A row is a frame with TCP or UDP over its outermost IP header. Rows of frames in which tshark shows a part of a message
that spans segments are counted separately, as `spanning`.

Exit code: 0 if all rows are equal (or tshark is not installed: then nothing is compared), 1 if cells or rows differ, 2
for bad usage or a program that failed. Cells of `protocol` count only against --protocol-share (default 0: not at all)
and cells of spanning rows only with --spanning.
"""
import argparse
import collections
import csv
import datetime
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

COLUMNS = (
    "timestamp src_ip dst_ip protocol ttl ip_len ip_flag_df ip_flag_mf ip_flag_rb src_port dst_port tcp_flag_res "
    "tcp_flag_ns tcp_flag_cwr tcp_flag_ecn tcp_flag_urg tcp_flag_ack tcp_flag_push tcp_flag_reset tcp_flag_syn "
    "tcp_flag_fin mqtt_messagetype mqtt_messagelength mqtt_flag_uname mqtt_flag_passwd mqtt_flag_retain mqtt_flag_qos "
    "mqtt_flag_willflag mqtt_flag_clean mqtt_flag_reserved"
).split()
PROTOCOL = COLUMNS.index("protocol")
# The columns that identify a packet.
IDENTITY = [COLUMNS.index(name) for name in ("timestamp", "src_ip", "dst_ip", "src_port", "dst_port")]

# The fields requested from tshark: a name, and the display fields that may carry it (names differ between versions).
# The first that this tshark knows is used.
FIELDS = {
    "number": ["frame.number"],
    "time": ["frame.time_epoch"],
    "layers": ["frame.protocols"],
    "protocol": ["_ws.col.Protocol", "_ws.col.protocol"],
    "ip4_src": ["ip.src"],
    "ip4_dst": ["ip.dst"],
    "ip6_src": ["ipv6.src"],
    "ip6_dst": ["ipv6.dst"],
    "ttl4": ["ip.ttl"],
    "ttl6": ["ipv6.hlim"],
    "len4": ["ip.len"],
    "len6": ["ipv6.plen"],
    "df": ["ip.flags.df"],
    "mf": ["ip.flags.mf"],
    "rb": ["ip.flags.rb"],
    "tcp_src": ["tcp.srcport"],
    "tcp_dst": ["tcp.dstport"],
    "udp_src": ["udp.srcport"],
    "udp_dst": ["udp.dstport"],
    "res": ["tcp.flags.res"],
    "ns": ["tcp.flags.ae", "tcp.flags.ns"],
    "cwr": ["tcp.flags.cwr"],
    "ecn": ["tcp.flags.ece", "tcp.flags.ecn"],
    "urg": ["tcp.flags.urg"],
    "ack": ["tcp.flags.ack"],
    "push": ["tcp.flags.push"],
    "reset": ["tcp.flags.reset"],
    "syn": ["tcp.flags.syn"],
    "fin": ["tcp.flags.fin"],
    "type": ["mqtt.msgtype"],
    "length": ["mqtt.len"],
    "uname": ["mqtt.conflag.uname"],
    "passwd": ["mqtt.conflag.passwd"],
    "retain": ["mqtt.conflag.retain"],
    "qos": ["mqtt.conflag.qos"],
    "will": ["mqtt.conflag.willflag"],
    "clean": ["mqtt.conflag.cleansess"],
    "reserved": ["mqtt.conflag.reserved"],
    "segment": ["tcp.segment"],
    "segment_data": ["tcp.segment_data"],
    "reassembled_in": ["tcp.reassembled_in"],
    "retransmission": ["tcp.analysis.retransmission"],
}
AT = {name: index for index, name in enumerate(FIELDS)}

# From tshark 4.2 on, flags are words.
WORDS = {"True": "1", "False": "0"}
# IPv6 extension headers that may stand between the IP header and the transport.
EXTENSIONS = {"ipv6.hopopts", "ipv6.dstopts", "ipv6.routing", "ipv6.fraghdr", "ah", "ipv6.mobility", "ipv6.shim6"}
# Maximum distance at which rows are matched when one side has rows that the other lacks.
LOOK_AHEAD = 256
# citronella's exit code for bad input, such as a capture that yields no row.
EMPTY = 2


class Failure(Exception):
    """A program failed; the message says which and why."""


class Stream:
    """The lines that a program writes; its stderr is shown if it fails."""

    def __init__(self, command, folder, name):
        self.command, self.name = command, name
        self.log = open(pathlib.Path(folder) / f"{name}.log", "w+", errors="replace")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True, errors="replace",
            env=dict(os.environ, TZ="UTC"),
        )
        self.lines = self.process.stdout

    def finish(self, accept=0):
        """Waits for the program's end; raises Failure if it failed. `accept`: a further exit code of success."""
        self.lines.close()
        status = self.process.wait()
        self.log.seek(0)
        message = self.log.read().strip()
        self.log.close()
        if status not in (0, accept):
            raise Failure(f"{' '.join(map(str, self.command))}: exit code {status}: {message[-2000:] or 'no message'}")

    def stop(self):
        """Ends the program."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.lines.close()
        self.log.close()


def known_fields(tshark):
    """The display fields that this tshark knows, one for each name in FIELDS."""
    run = subprocess.run([tshark, "-G", "fields"], capture_output=True, text=True, errors="replace", check=True)
    known = {line.split("\t")[2] for line in run.stdout.splitlines() if line.startswith("F\t")}
    chosen = []
    for name, candidates in FIELDS.items():
        found = [field for field in candidates if field in known or field.startswith("_ws.col.")]
        if not found:
            raise Failure(f"this tshark has no field for '{name}' (tried {', '.join(candidates)})")
        chosen.append(found[0])
    return chosen


class Clock:
    """Converts epoch seconds with nanoseconds to the published form, `2020-02-14 16:45:36.818127`."""

    def __init__(self):
        self.second, self.text = None, ""

    def __call__(self, epoch):
        second, _, fraction = epoch.partition(".")
        if second != self.second:
            begin = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(second))
            self.second, self.text = second, begin.strftime("%Y-%m-%d %H:%M:%S.")
        return self.text + fraction[:6].ljust(6, "0")


def outermost(layers):
    """The outermost IP version and its payload, such as ("ip", "tcp"); None unless that is TCP or UDP.

    `layers` is frame.protocols.
    """
    network = None
    for layer in layers.split(":"):
        if network is None:
            network = layer if layer in ("ip", "ipv6") else None
        elif layer in ("tcp", "udp"):
            return network, layer
        elif layer not in EXTENSIONS:
            return None
    return None


def tshark_rows(lines):
    """(cells, frame number, spanning) for each row of tshark's fields."""
    clock = Clock()
    names = ["df", "mf", "rb"]
    flags = ["res", "ns", "cwr", "ecn", "urg", "ack", "push", "reset", "syn", "fin"]
    message = ["type", "length", "uname", "passwd", "retain", "qos", "will", "clean", "reserved"]
    ip_flags = [AT[name] for name in names]
    tcp_flags = [AT[name] for name in flags]
    mqtt = [AT[name] for name in message]
    number, time, layers, protocol = AT["number"], AT["time"], AT["layers"], AT["protocol"]
    for line in lines:
        v = line.rstrip("\n").split("\t")
        carried = outermost(v[layers])
        if carried is None:
            continue
        if carried[0] == "ip":
            network = [v[AT["ip4_src"]], v[AT["ip4_dst"]]]
            sizes = [v[AT["ttl4"]], v[AT["len4"]]] + [WORDS.get(v[i], v[i]) for i in ip_flags]
        else:
            network = [v[AT["ip6_src"]], v[AT["ip6_dst"]]]
            length = v[AT["len6"]]
            sizes = [v[AT["ttl6"]], str(40 + int(length)) if length else "", "", "", ""]
        cells = [clock(v[time]), *network, v[protocol], *sizes]
        if carried[1] == "tcp":
            cells += [v[AT["tcp_src"]], v[AT["tcp_dst"]]]
            cells += [WORDS.get(v[i], v[i]) for i in tcp_flags]
            cells += [WORDS.get(v[i], v[i]) for i in mqtt]
        else:
            cells += [v[AT["udp_src"]], v[AT["udp_dst"]], *[""] * (len(tcp_flags) + len(mqtt))]
        part = v[AT["segment_data"]] or v[AT["segment"]] or v[AT["reassembled_in"]]
        yield cells, int(v[number]), bool(part) and not v[AT["retransmission"]]


def our_rows(lines):
    """The cells of COLUMNS for each row that citronella wrote."""
    reader = csv.reader(lines)
    header = next(reader, None)
    if header is None:
        return
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise Failure(f"citronella's header lacks the columns {', '.join(missing)}")
    indices = [header.index(name) for name in COLUMNS]
    straight = indices == list(range(len(COLUMNS)))
    for row in reader:
        yield row[: len(COLUMNS)] if straight else [row[index] for index in indices]


def identity(cells):
    return [cells[index] for index in IDENTITY]


class Window:
    """An iterator with bounded look-ahead."""

    def __init__(self, rows):
        self.rows, self.seen = iter(rows), collections.deque()

    def next(self):
        """The next row, or None at the end."""
        return self.seen.popleft() if self.seen else next(self.rows, None)

    def find(self, wanted, key):
        """The number of rows before the first with the key `wanted`; None if it is not within LOOK_AHEAD."""
        for index in range(LOOK_AHEAD):
            if index == len(self.seen):
                row = next(self.rows, None)
                if row is None:
                    return None
                self.seen.append(row)
            if key(self.seen[index]) == wanted:
                return index
        return None


def paired(ours, theirs):
    """Pairs (ours, theirs) in capture order, with None if a side lacks the row."""
    ours, theirs = Window(ours), Window(theirs)
    while True:
        mine, other = ours.next(), theirs.next()
        if mine is None and other is None:
            return
        if mine is None or other is None or identity(mine) == identity(other[0]):
            yield mine, other
            continue
        extra_ours = ours.find(identity(other[0]), identity)
        extra_theirs = theirs.find(identity(mine), lambda row: identity(row[0]))
        if extra_ours is not None and (extra_theirs is None or extra_ours <= extra_theirs):
            yield mine, None
            for _ in range(extra_ours):
                yield ours.next(), None
            yield ours.next(), other
        elif extra_theirs is not None:
            yield None, other
            for _ in range(extra_theirs):
                yield None, theirs.next()
            yield mine, theirs.next()
        else:
            yield mine, other


class Tally:
    """Counts of compared and differing rows and cells."""

    def __init__(self, show):
        self.show = show
        self.rows = self.spanning = self.only_ours = self.only_theirs = 0
        self.differing = [0] * len(COLUMNS)
        self.differing_spanning = [0] * len(COLUMNS)
        self.examples, self.examples_spanning = [], []
        self.protocols = collections.Counter()

    def pair(self, capture, mine, other):
        """Compares one pair of rows."""
        if mine is None or other is None:
            self.only_ours += other is None
            self.only_theirs += mine is None
            cells, frame = (mine, None) if other is None else other[:2]
            ours, theirs = (cells, []) if other is None else ([], cells)
            self.example(capture, frame, "row", ",".join(ours), ",".join(theirs), False)
            return
        cells, frame, spanning = other
        self.rows += 1
        self.spanning += spanning
        if mine == cells:
            return
        differing = self.differing_spanning if spanning else self.differing
        for index, (a, b) in enumerate(zip(mine, cells)):
            if a != b:
                differing[index] += 1
                if index == PROTOCOL:
                    self.protocols[a, b] += 1
                self.example(capture, frame, COLUMNS[index], a, b, spanning)

    def example(self, capture, frame, column, ours, theirs, spanning):
        examples = self.examples_spanning if spanning else self.examples
        if len(examples) < self.show:
            examples.append(dict(capture=capture, frame=frame, column=column, citronella=ours, tshark=theirs))

    def add(self, other):
        """Adds another tally to this one."""
        self.rows += other.rows
        self.spanning += other.spanning
        self.only_ours += other.only_ours
        self.only_theirs += other.only_theirs
        for index in range(len(COLUMNS)):
            self.differing[index] += other.differing[index]
            self.differing_spanning[index] += other.differing_spanning[index]
        self.examples = (self.examples + other.examples)[: self.show]
        self.examples_spanning = (self.examples_spanning + other.examples_spanning)[: self.show]
        self.protocols += other.protocols

    @property
    def plain(self):
        """Rows without a part of a spanning message."""
        return self.rows - self.spanning

    def document(self):
        """The counts, for --json."""
        return dict(
            rows=self.rows, spanning_rows=self.spanning, only_citronella=self.only_ours, only_tshark=self.only_theirs,
            columns={
                name: dict(
                    differing=self.differing[index], equal_percent=share(self.plain, self.differing[index]),
                    spanning_differing=self.differing_spanning[index],
                    spanning_equal_percent=share(self.spanning, self.differing_spanning[index]),
                )
                for index, name in enumerate(COLUMNS)
            },
            protocol_differences=[
                dict(citronella=ours, tshark=theirs, rows=rows) for (ours, theirs), rows in self.protocols.most_common()
            ],
            examples=self.examples, spanning_examples=self.examples_spanning,
        )


def share(rows, differing):
    """Percent of equal cells; None without rows."""
    return 100 * (rows - differing) / rows if rows else None


def percent(value):
    """A share as text: 100 only if nothing differs."""
    if value is None:
        return "-"
    return "100" if value == 100 else f"{min(value, 99.9999):.4f}"


def compare(binary, tshark, fields, capture, name, show):
    """The tally of one capture."""
    tally = Tally(show)
    ask = list(itertools.chain.from_iterable(("-e", field) for field in fields))
    with tempfile.TemporaryDirectory() as folder:
        theirs = Stream(
            [tshark, "-n", "-r", str(capture), "-T", "fields", "-E", "occurrence=f", "-E", "separator=/t", *ask],
            folder, "tshark",
        )
        ours = Stream([binary, "extract", "--level", "packet", "-o", "-", str(capture)], folder, "citronella")
        try:
            for mine, other in paired(our_rows(ours.lines), tshark_rows(theirs.lines)):
                tally.pair(name, mine, other)
            theirs.finish()
            ours.finish(accept=EMPTY if tally.rows == tally.only_theirs == 0 else 0)
        finally:
            ours.stop()
            theirs.stop()
    return tally


def captures_here():
    """Every capture under data/ and ../shared/data; of two with the same path and size, one."""
    endings = tuple(kind + suffix for kind in (".pcap", ".pcapng", ".cap") for suffix in ("", ".zst", ".gz"))
    found = {}
    for folder in (ROOT / "data", ROOT.parent / "shared" / "data"):
        for path in sorted(folder.rglob("*")):
            if path.name.endswith(endings):
                found.setdefault((path.relative_to(folder), path.stat().st_size), path)
    return list(found.values())


def table(tally):
    """The comparison as Markdown."""
    lines = [
        "| column | equal cells, % | differing cells | in spanning rows, % | differing cells |",
        "|---|---|---|---|---|",
    ]
    for index, name in enumerate(COLUMNS):
        plain, spanning = tally.differing[index], tally.differing_spanning[index]
        lines.append(
            f"| {name} | {percent(share(tally.plain, plain))} | {plain} "
            f"| {percent(share(tally.spanning, spanning))} | {spanning} |"
        )
    return "\n".join(lines) + "\n"


def report(tally, names):
    """Prints the comparison."""
    print(f"\n{len(names)} captures, {tally.rows:,} rows compared, {tally.spanning:,} of them spanning")
    print(f"rows only in citronella: {tally.only_ours:,}; only in tshark: {tally.only_theirs:,}\n")
    print(f"{'column':<20} {'equal %':>9} {'differ':>9} {'spanning: equal %':>18} {'differ':>9}")
    for index, name in enumerate(COLUMNS):
        plain, spanning = tally.differing[index], tally.differing_spanning[index]
        print(
            f"{name:<20} {percent(share(tally.plain, plain)):>9} {plain:>9,} "
            f"{percent(share(tally.spanning, spanning)):>18} {spanning:>9,}"
        )
    if tally.protocols:
        print("\nprotocol, ours and tshark's: " + ", ".join(
            f"{ours}/{theirs} {rows:,}" for (ours, theirs), rows in tally.protocols.most_common(20)
        ))
    for title, examples in (("differences", tally.examples), ("differences in spanning rows", tally.examples_spanning)):
        if examples:
            print(f"\nfirst {title}:")
        for example in examples:
            print(
                f"  {example['capture']} frame {example['frame']} {example['column']}: "
                f"ours '{example['citronella']}', tshark's '{example['tshark']}'"
            )


def faults(tally, protocol_share, with_spanning):
    """The reasons for which the comparison fails."""
    found = []
    if tally.only_ours or tally.only_theirs:
        found.append(f"{tally.only_ours + tally.only_theirs:,} rows are on one side only")
    cells = sum(tally.differing) - tally.differing[PROTOCOL]
    if cells:
        found.append(f"{cells:,} cells differ")
    wrong, rows = tally.differing[PROTOCOL], tally.plain
    if with_spanning:
        cells = sum(tally.differing_spanning) - tally.differing_spanning[PROTOCOL]
        if cells:
            found.append(f"{cells:,} cells of spanning rows differ")
        wrong, rows = wrong + tally.differing_spanning[PROTOCOL], tally.rows
    if rows and share(rows, wrong) < protocol_share:
        found.append(f"protocol: {percent(share(rows, wrong))} % equal, {protocol_share:g} % wanted")
    return found


def arguments():
    parser = argparse.ArgumentParser(description="Compares citronella's packet level with tshark, cell by cell.")
    parser.add_argument("citronella", help="the program")
    parser.add_argument("captures", nargs="*", type=pathlib.Path, help="default: all under data/ and ../shared/data")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="write the results as one JSON document")
    parser.add_argument("--markdown", metavar="FILE", type=pathlib.Path, help="write docs/schema.md's table")
    parser.add_argument("--show", metavar="N", type=int, default=20,
                        help="differing cells of each kind to show (default 20)")
    parser.add_argument("--protocol-share", metavar="PERCENT", type=float, default=0.0,
                        help="fail below this share of equal protocol cells")
    parser.add_argument("--spanning", action="store_true", help="also fail for spanning rows")
    return parser.parse_args()


def main():
    given = arguments()
    tshark = shutil.which("tshark")
    if tshark is None:
        print("tshark is not installed: the packet level was not compared (scripts/setup installs it)")
        return 0
    binary = shutil.which(given.citronella) or shutil.which(str(pathlib.Path(given.citronella).resolve()))
    captures = given.captures or captures_here()
    try:
        if binary is None:
            raise Failure(f"{given.citronella}: no such program; build it with 'cargo build --release'")
        if not captures:
            raise Failure("no captures given, and none under data/ or ../shared/data")
        absent = [str(path) for path in captures if not path.is_file()]
        if absent:
            raise Failure(f"no such capture: {', '.join(absent)}")
        fields = known_fields(tshark)
        total, each, failed = Tally(given.show), {}, False
        shared = os.path.commonpath([path.resolve().parent for path in captures])
        for path in captures:
            name = str(path.resolve().relative_to(shared))
            try:
                tally = compare(binary, tshark, fields, path, name, given.show)
            except Failure as failure:
                print(f"tshark_packets: {failure}", file=sys.stderr)
                failed = True
                continue
            cells = sum(tally.differing) - tally.differing[PROTOCOL]
            print(
                f"{name}: {tally.rows:,} rows, {tally.spanning:,} spanning, differing cells: {cells:,}, protocol "
                f"{tally.differing[PROTOCOL]:,}, spanning {sum(tally.differing_spanning):,}, "
                f"rows on one side {tally.only_ours + tally.only_theirs:,}", file=sys.stderr, flush=True,
            )
            each[name] = tally.document()
            total.add(tally)
    except Failure as failure:
        print(f"tshark_packets: {failure}", file=sys.stderr)
        return 2
    report(total, each)
    if given.json:
        given.json.write_text(json.dumps(dict(total=total.document(), captures=each), indent=1) + "\n")
    if given.markdown:
        given.markdown.write_text(table(total))
    found = faults(total, given.protocol_share, given.spanning)
    print("\n" + ("differs: " + "; ".join(found) if found else "failed" if failed else "equal"))
    return 2 if failed else 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
