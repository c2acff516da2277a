#!/bin/sh
# Holds `citronella detect` to constant memory and complete accounts over a day of packet time: all recordings of
# data/lab, round after round, each later and from other networks, through a pipe.
#
# usage: tests/replay_day.sh [HOURS]
#
# Default: 24 hours, of 40 at most. Prints what each round came to. Fails where packets, flows, verdicts or records were
# lost, where an alert is missing or added against the first round, or where memory grew after the second. Builds the
# release program and its test; needs 500 MB of memory and 300 MB of disk, and takes about a minute.
set -eu
if [ $# -gt 1 ]; then
  sed -n '5s/^# //p' "$0" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
CITRONELLA_HOURS="${1:-24}" exec cargo test --release --locked -p citronella --test replay_day -- --ignored --nocapture
