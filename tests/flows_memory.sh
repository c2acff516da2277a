#!/bin/sh
# Checks the memory of `citronella detect` with a million concurrent flows, and with twice the capacity of the flow table.
#
# usage: tests/flows_memory.sh CITRONELLA
#
# Runs `detect` on captures of 1,000,000 and of 2,200,000 TCP connections that stay open, two packets each, and prints
# peak resident memory. The table holds 1,048,576 flows: with the second capture the flows that are idle longest are
# evicted and counted.
# Exit code: 0 if both peaks are below 1.5 GB and every flow has a verdict, 1 if not, 2 for wrong usage.
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
CAPACITY, MAX_BYTES = 1_048_576, 1.5e9
ETHERNET = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0"
IP = struct.Struct(">BBHHHBBH4s4s")
TCP = struct.Struct(">HHIIBBHHH")
BROKER = bytes([10, 255, 0, 1])


def segment(source, sport, target, dport, flags):
    ip = IP.pack(0x45, 0, 40, 0, 0, 64, 6, 0, source, target)
    return ETHERNET + ip + TCP.pack(sport, dport, 1, 1, 0x50, flags, 1024, 0, 0)


def capture(path, flows):
    """SYN and SYN-ACK of each flow, 10 microseconds apart: all within a minute, so that no flow times out."""
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
    summary = json.loads(result.read_text())
    peak = usage.ru_maxrss * 1024
    is_complete = summary["flows"] == flows and summary["packets_scored"] == 2 * flows
    evicted = summary["flows_evicted"]
    ok = peak < MAX_BYTES and is_complete and evicted == max(0, flows - CAPACITY)
    failed |= not ok
    seconds = usage.ru_utime + usage.ru_stime
    print(
        f"{flows:,} concurrent flows: peak {peak / 1e6:,.0f} MB, {peak / min(flows, CAPACITY):,.0f} bytes a flow, "
        f"{evicted:,} evicted, {2 * flows / seconds:,.0f} packets a second of CPU: {'ok' if ok else 'FAILED'}"
    )
sys.exit(int(failed))
PYTHON
