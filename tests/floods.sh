#!/bin/sh
# Checks that memory is bounded and time linear under the hostile floods of `tests/floods.py`.
#
# usage: tests/floods.sh CITRONELLA [SCALE]
#
# Sends a quarter of each flood and the whole flood to `inspect --eve` or `detect` on stdin. Prints peak resident memory,
# CPU seconds of both runs and the warnings about dropped data. SCALE multiplies the packets (default 1: 1,000,000
# half-open flows, 1,000,000 gaps of 64 KB, 10,000,000 segments of one byte, a message of 256 MB, 1,000,000 fragments).
# Exit code: 0 if all bounds hold, 1 if not, 2 for wrong usage. Needs python3; takes about ten minutes.
set -eu
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  sed -n '4s/^# //p' "$0" >&2
  exit 2
fi
exec python3 "$(dirname "$0")/floods.py" "$@"
