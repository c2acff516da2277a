#!/bin/sh
# Checks that `citronella extract` needs constant memory: a capture ten times as long needs no more.
#
# usage: tests/memory.sh CITRONELLA [CAPTURE.pcap]
#
# Repeats the records of a plain pcap file (default: those of the golden cases) with advancing times up to 200,000 and
# 2,000,000 packets, extracts both to CSV and Parquet and prints the peak resident memory of each run.
# Exit code: 0 if the longer capture needs at most an eighth plus 4 MiB more, 1 if not, 2 for wrong usage.
# Needs python3 and 250 MB in the folder for temporary files (TMPDIR).
set -eu
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  sed -n '4s/^# //p' "$0" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 - "$here/golden" "$folder" "$@" <<'PYTHON'
import os
import pathlib
import struct
import sys

golden, folder, program, *capture = sys.argv[1:]
folder = pathlib.Path(folder)
SHORT, LONG = 200_000, 2_000_000


def records(path):
    """Link type and (captured bytes, wire length) of a little-endian pcap; no records for anything else."""
    data = pathlib.Path(path).read_bytes()
    if data[:4] != b"\xd4\xc3\xb2\xa1":
        return None, []
    link, offset, found = struct.unpack_from("<I", data, 20)[0], 24, []
    while offset + 16 <= len(data):
        captured, wire = struct.unpack_from("<II", data, offset + 8)
        found.append((data[offset + 16 : offset + 16 + captured], wire))
        offset += 16 + captured
    return link, found


def repeated(path, link, base, packets):
    """Writes `packets` records, a tenth of a millisecond apart."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link))
        for number in range(packets):
            data, wire = base[number % len(base)]
            seconds, rest = divmod(number, 10_000)
            out.write(struct.pack("<IIII", 1_581_698_736 + seconds, rest * 100, len(data), wire) + data)


def peak(arguments):
    """Peak resident memory of a run, in MiB."""
    pid = os.posix_spawn(program, [program, *arguments], os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"memory.sh: {program} {' '.join(arguments)} failed")
    return usage.ru_maxrss / 1024


if capture:
    link, base = records(capture[0])
else:
    ethernet = [found for link, found in map(records, sorted(pathlib.Path(golden).glob("*/input.pcap"))) if link == 1]
    link, base = 1, [record for found in ethernet for record in found]
if not base:
    print("memory.sh: no records to repeat: not a plain little-endian pcap, or no golden cases", file=sys.stderr)
    sys.exit(2)
grew = False
for packets in (SHORT, LONG):
    repeated(folder / f"{packets}.pcap", link, base, packets)
for kind in ("csv", "parquet"):
    figures = []
    for packets in (SHORT, LONG):
        output = folder / f"rows.{kind}"
        figures.append(peak(["extract", "--level", "packet", "-o", str(output), str(folder / f"{packets}.pcap")]))
        output.unlink()
    short, long = figures
    more = long > short * 1.125 + 4
    grew |= more
    print(f"{kind}: {SHORT:,} packets {short:.1f} MiB, {LONG:,} packets {long:.1f} MiB: {'GREW' if more else 'constant'}")
sys.exit(int(grew))
PYTHON
