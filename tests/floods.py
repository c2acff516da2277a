#!/usr/bin/env python3
"""Hostile floods as pcap streams, and the bounds on memory and time under each. See tests/floods.sh.

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
    """A connection with a CONNECT and the start of a message; returns the next sequence number."""
    yield ipv4(tcp(0, SYN))
    yield ipv4(tcp(1, PSH_ACK, CONNECT + head))
    return 1 + len(CONNECT) + len(head)


def half_open(packets):
    """A SYN of a new connection in each packet."""
    segment = tcp(0, SYN)
    for number in range(packets):
        src = struct.pack(">I", 0x0B000000 + number // 50000)
        yield ipv4(struct.pack(">H", 10000 + number % 50000) + segment[2:], src)


def gaps(packets):
    """A connection with a gap of 64 KB before each segment."""
    seq = yield from opened()
    for number in range(packets):
        yield ipv4(tcp(seq + number * 65536, PSH_ACK, b"\xc0\x00" * 8))


def single_bytes(packets):
    """A PUBLISH in segments of one byte, in order but for a swapped pair in every ten."""
    seq = yield from opened(b"\x30\xff\xff\xff\x7f\x00\x01a")
    for number in range(packets):
        index = number + (1 if number % 10 == 8 else -1 if number % 10 == 9 else 0)
        yield ipv4(tcp(seq + index, PSH_ACK, b"x"))


def long_message(packets):
    """A PUBLISH with an announced length of 256 MB, sent as far as the packets go."""
    seq = yield from opened(b"\x30\xff\xff\xff\x7f\x00\x01a")
    payload = b"x" * 1460
    for number in range(packets):
        yield ipv4(tcp(seq + number * 1460, PSH_ACK, payload))


def fragments(packets):
    """The first fragment of a new datagram in each packet; no other fragments."""
    segment = tcp(0, PSH_ACK, b"x" * 44)
    for number in range(packets):
        src = struct.pack(">I", 0x0B000000 + (number >> 16))
        yield ipv4(segment, src, flags=0x2000, ident=number & 0xFFFF)


FLOODS = {flood.__name__: flood for flood in (half_open, gaps, single_bytes, long_message, fragments)}
# Flood, packets, command, limit in MiB, text that must be on stderr; both for the whole flood.
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
# Limit of the CPU time of the whole flood over that of its quarter (4 is linear; the rest allows for noise), and the least
# time of the quarter that counts (a shorter one is mostly start-up).
MAX_TIME_RATIO, MIN_SECONDS = 7.0, 0.3


def write(out, name, packets):
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, RAW_IPV4))
    chunk = []
    for number, packet in enumerate(FLOODS[name](packets)):
        # 100,000 packets a second: the flood ends before timeouts expire.
        seconds, rest = divmod(number * 10, 1_000_000)
        chunk.append(struct.pack("<IIII", 1_581_698_736 + seconds, rest, len(packet), len(packet)) + packet)
        if len(chunk) == 10_000:
            out.write(b"".join(chunk))
            chunk.clear()
    out.write(b"".join(chunk))


def run(program, arguments, name, packets):
    """Peak MiB, CPU seconds and stderr of the program under a flood."""
    generator = subprocess.Popen([sys.executable, __file__, "--write", name, str(packets)], stdout=subprocess.PIPE)
    child = subprocess.Popen([program, *arguments], stdin=generator.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    generator.stdout.close()
    log = child.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(child.pid, 0)
    generator_status = generator.wait()
    if status != 0 or generator_status != 0:
        sys.exit(f"floods: {program} {' '.join(arguments)} under {name} failed: {log}")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, log


def main(program, scale):
    failures = 0
    for name, packets, arguments, max_mib, required in CASES:
        packets = max(4, int(packets * scale))
        _, quarter, _ = run(program, arguments, name, packets // 4)
        peak, seconds, log = run(program, arguments, name, packets)
        faults = []
        if peak > max_mib:
            faults.append(f"more than {max_mib} MiB")
        if seconds > MAX_TIME_RATIO * max(quarter, MIN_SECONDS):
            faults.append("not linear")
        if required and scale >= 1 and required not in log:
            faults.append(f"missing on stderr: {required}")
        failures += bool(faults)
        warnings = " | ".join(line for line in log.splitlines() if "too many" in line or "full" in line or "cap" in line)
        print(
            f"{name} {packets:,} {arguments[0]}: {peak:.0f} MiB of {max_mib}, {seconds:.1f} s (a quarter: {quarter:.1f} s)"
            f" {'; '.join(faults) or 'ok'}{': ' + warnings if warnings else ''}",
            flush=True,
        )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--write" and sys.argv[2] in FLOODS:
        write(sys.stdout.buffer, sys.argv[2], int(sys.argv[3]))
    elif len(sys.argv) in (2, 3) and not sys.argv[1].startswith("-"):
        main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) == 3 else 1.0)
    else:
        sys.exit(__doc__)
