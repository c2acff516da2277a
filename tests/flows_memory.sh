#!/bin/sh
# Holds `citronella detect` to its memory: a million conversations at a time, and twice as many as there is room for.
#
# usage: tests/flows_memory.sh CITRONELLA
#
# Makes captures of 1,000,000 and of 2,200,000 TCP connections that are opened and stay open, two packets each, detects
# in them and prints the peak of resident memory. The table has room for 1,048,576 flows: of the second capture the
# flows idle longest make room, and are counted.
# Exit code: 0 if both stay below 1.5 GB and every flow has a verdict, 1 if not, 2 for bad usage.
# Needs python3 and 400 MB in the folder for temporary files (TMPDIR).
set -eu
if [ $# -ne 1 ]; then
  sed -n '4s/^# //p' "$0" >&2
  exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 - "$folder" "$1" <<'PYTHON'
import json
import os
import pathlib
import struct
import sys

folder, program = pathlib.Path(sys.argv[1]), sys.argv[2]
ROOM, MOST = 1_048_576, 1.5e9
ETHERNET = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0"
IP = struct.Struct(">BBHHHBBH4s4s")
TCP = struct.Struct(">HHIIBBHHH")
BROKER = bytes([10, 255, 0, 1])


def segment(source, sport, target, dport, flags):
    ip = IP.pack(0x45, 0, 40, 0, 0, 64, 6, 0, source, target)
    return ETHERNET + ip + TCP.pack(sport, dport, 1, 1, 0x50, flags, 1024, 0, 0)


def capture(path, flows):
    """SYN and SYN-ACK of each, 10 microseconds apart: all within a minute, so that none times out."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for flow in range(flows):
            client = bytes([10, flow >> 20 & 255, flow >> 12 & 255, 1 + (flow >> 10 & 3)])
            port = 1024 + (flow & 1023)
            for number, packet in enumerate(
                (segment(client, port, BROKER, 1883, 0x02), segment(BROKER, 1883, client, port, 0x12))
            ):
                seconds, rest = divmod((2 * flow + number) * 10, 1_000_000)
                out.write(struct.pack("<IIII", 1_581_698_736 + seconds, rest, len(packet), len(packet)) + packet)


failed = False
for flows in (1_000_000, 2_200_000):
    path, result = folder / "flows.pcap", folder / "result.json"
    capture(path, flows)
    with open(result, "wb") as out:
        actions = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1)]
        arguments = [program, "detect", "--json", "-r", str(path)]
        pid = os.posix_spawn(program, arguments, os.environ, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"flows_memory.sh: {' '.join(arguments)} failed")
    found = json.loads(result.read_text())
    peak = usage.ru_maxrss * 1024
    whole = found["flows"] == flows and found["packets_scored"] == 2 * flows
    evicted = found["evicted_flows"]
    good = peak < MOST and whole and evicted == max(0, flows - ROOM)
    failed |= not good
    seconds = usage.ru_utime + usage.ru_stime
    print(
        f"{flows:,} flows at a time: peak {peak / 1e6:,.0f} MB, {peak / min(flows, ROOM):,.0f} bytes a flow, "
        f"{evicted:,} evicted, {2 * flows / seconds:,.0f} packets a second of CPU: {'held' if good else 'FAILED'}"
    )
sys.exit(int(failed))
PYTHON
