#!/usr/bin/env python3
"""Writes seeds of the targets `pcap`, `pcapng` and `frame` into fuzz/corpus, from the captures in tests/golden.

pcapng needs Wireshark's editcap. Seeds from data/lab for `frame` and `mqtt_stream`:
cargo test -p citronella-wire --test seeds -- --ignored
"""
import pathlib
import shutil
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
MAGICS = [b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d"]
# The order of the target `frame`.
LINKS = {1: 0, 113: 1, 276: 2, 0: 3, 108: 4, 101: 5}


def put(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def frames(data):
    order = "<" if data[:4] == MAGICS[0] else ">"
    link, at = LINKS[struct.unpack_from(order + "I", data, 20)[0]], 24
    while at + 16 <= len(data):
        length = struct.unpack_from(order + "I", data, at + 8)[0]
        yield bytes([link]) + data[at + 16 : at + 16 + length]
        at += 16 + length


editcap = shutil.which("editcap")
with tempfile.TemporaryDirectory() as scratch:
    for capture in sorted((HERE.parent / "tests/golden").glob("*/input.pcap")):
        case, data = capture.parent.name, capture.read_bytes()
        put("pcap", case, bytes([MAGICS.index(data[:4])]) + data[4:])
        for number, frame in enumerate(frames(data)):
            put("frame", f"{case}-{number}", frame)
        if editcap:
            out = pathlib.Path(scratch) / "out.pcapng"
            subprocess.run([editcap, "-F", "pcapng", capture, out], check=True, capture_output=True)
            put("pcapng", case, out.read_bytes()[4:])
