#!/bin/sh
# Holds the program to bounded memory and linear time under hostile floods, as `tests/floods.py` makes them.
#
# usage: tests/floods.sh CITRONELLA [SCALE]
#
# Each flood goes through `inspect --eve` or `detect` on stdin, once as a quarter and once whole. Printed: peak resident
# memory, CPU seconds of both, what the program said was dropped. SCALE multiplies the packets (default 1: 1,000,000
# half-open flows, 1,000,000 gaps of 64 KB, 10,000,000 segments of one byte, a message of 256 MB, 1,000,000 fragments).
# Exit code: 0 if every flood kept its bounds, 1 if not, 2 for bad usage. Needs python3; takes about ten minutes.
set -eu
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  sed -n '4s/^# //p' "$0" >&2
  exit 2
fi
exec python3 "$(dirname "$0")/floods.py" "$@"
