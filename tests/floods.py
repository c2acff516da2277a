#!/usr/bin/env python3
"""Hostile floods as pcap streams, and the bounds that the program must keep under them. See tests/floods.sh.

usage: floods.py CITRONELLA [SCALE]
       floods.py --write FLOOD PACKETS    writes a flood to stdout
"""
import os
import struct
import subprocess
import sys

RAW_IPV4 = 228
CLIENT, BROKER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
SYN, PSH_ACK = 2, 24
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
MIB = 1 << 20


def ipv4(payload, src=CLIENT, protocol=6, flags=0, ident=0):
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), ident, flags, 64, protocol, 0) + src + BROKER + payload


def tcp(seq, flags, payload=b"", port=40000):
    return struct.pack(">HHIIHHHH", port, 1883, seq & 0xFFFFFFFF, 1, 5 << 12 | flags, 65535, 0, 0) + payload


def opened(head=b""):
    """A connection with its CONNECT and the beginning of a message; the next sequence number."""
    yield ipv4(tcp(0, SYN))
    yield ipv4(tcp(1, PSH_ACK, CONNECT + head))
    return 1 + len(CONNECT) + len(head)


def half_open(packets):
    """SYNs of as many connections, from as many ends."""
    segment = tcp(0, SYN)
    for number in range(packets):
        src = struct.pack(">I", 0x0B000000 + number // 50000)
        yield ipv4(struct.pack(">H", 10000 + number % 50000) + segment[2:], src)


def gaps(packets):
    """A connection whose every segment lies 64 KB behind the one before."""
    seq = yield from opened()
    for number in range(packets):
        yield ipv4(tcp(seq + number * 65536, PSH_ACK, b"\xc0\x00" * 8))


def single_bytes(packets):
    """A PUBLISH that comes byte by byte, in order; every tenth byte late by one segment."""
    seq = yield from opened(b"\x30\xff\xff\xff\x7f\x00\x01a")
    for number in range(packets):
        place = number + (1 if number % 10 == 8 else -1 if number % 10 == 9 else 0)
        yield ipv4(tcp(seq + place, PSH_ACK, b"x"))


def long_message(packets):
    """A PUBLISH that announces 256 MB and brings as much as the packets hold."""
    seq = yield from opened(b"\x30\xff\xff\xff\x7f\x00\x01a")
    payload = b"x" * 1460
    for number in range(packets):
        yield ipv4(tcp(seq + number * 1460, PSH_ACK, payload))


def fragments(packets):
    """First fragments of as many datagrams, whose others never come."""
    segment = tcp(0, PSH_ACK, b"x" * 44)
    for number in range(packets):
        src = struct.pack(">I", 0x0B000000 + (number >> 16))
        yield ipv4(segment, src, flags=0x2000, ident=number & 0xFFFF)


FLOODS = {flood.__name__: flood for flood in (half_open, gaps, single_bytes, long_message, fragments)}
# Flood, packets, command, MiB that it may take whole, what must be said on stderr of the whole one.
EVE = ["inspect", "--eve", "/dev/null", "-"]
CASES = [
    ("half_open", 1_000_000, EVE, 900, None),
    ("half_open", 2_000_000, EVE, 900, "flows were ended early: the table was full"),
    ("half_open", 1_000_000, ["detect", "-r", "-"], 1_430, None),
    ("gaps", 1_000_000, EVE, 64, None),
    ("single_bytes", 10_000_000, EVE, 64, None),
    ("long_message", 184_000, EVE, 64, None),
    ("fragments", 1_000_000, EVE, 64, "fragmented datagrams were not reassembled"),
    ("fragments", 1_000_000, ["detect", "-r", "-"], 96, None),
]
# CPU seconds of the whole for a second of its quarter: 4 is linear; a short run's start-up and a busy machine's noise.
STEEPEST, AT_LEAST_SECONDS = 7.0, 0.3


def write(out, name, packets):
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IPV4))
    chunk = []
    for number, packet in enumerate(FLOODS[name](packets)):
        # 100,000 packets a second: shorter than the time-outs.
        seconds, rest = divmod(number * 10, 1_000_000)
        chunk.append(struct.pack("<IIII", 1_581_698_736 + seconds, rest, len(packet), len(packet)) + packet)
        if len(chunk) == 10_000:
            out.write(b"".join(chunk))
            chunk.clear()
    out.write(b"".join(chunk))


def run(program, arguments, name, packets):
    """Peak MiB, CPU seconds and stderr of the program under a flood."""
    maker = subprocess.Popen([sys.executable, __file__, "--write", name, str(packets)], stdout=subprocess.PIPE)
    child = subprocess.Popen([program, *arguments], stdin=maker.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    maker.stdout.close()
    said = child.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    made = maker.wait()
    if status != 0 or made != 0:
        sys.exit(f"floods: {program} {' '.join(arguments)} under {name} failed: {said}")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, said


def main(program, scale):
    broken = 0
    for name, packets, arguments, most_mib, must_say in CASES:
        packets = max(4, int(packets * scale))
        _, quarter, _ = run(program, arguments, name, packets // 4)
        peak, seconds, said = run(program, arguments, name, packets)
        faults = []
        if peak > most_mib:
            faults.append(f"more than {most_mib} MiB")
        if seconds > STEEPEST * max(quarter, AT_LEAST_SECONDS):
            faults.append("not linear")
        if must_say and scale >= 1 and must_say not in said:
            faults.append(f"did not say: {must_say}")
        broken += bool(faults)
        told = " | ".join(line for line in said.splitlines() if "too many" in line or "full" in line or "cap" in line)
        print(
            f"{name} {packets:,} {arguments[0]}: {peak:.0f} MiB of {most_mib}, {seconds:.1f} s (a quarter: {quarter:.1f} s)"
            f" {'; '.join(faults) or 'kept'}{': ' + told if told else ''}",
            flush=True,
        )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--write" and sys.argv[2] in FLOODS:
        write(sys.stdout.buffer, sys.argv[2], int(sys.argv[3]))
    elif len(sys.argv) in (2, 3) and not sys.argv[1].startswith("-"):
        main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) == 3 else 1.0)
    else:
        sys.exit(__doc__)
