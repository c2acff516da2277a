#!/bin/sh
# Holds `citronella detect` to constant memory and complete accounts over a day of packet time: recordings of
# data/lab, round after round, each later and from other networks, through a pipe.
#
# usage: tests/replay_day.sh [HOURS]
#
# Default: 24 hours, of 57 at most. Prints what each round came to. Fails where packets, flows, verdicts or records were
# lost; where a round's verdicts and alerts differ in any digit from those of a program that is sent this round alone;
# where an alert is missing or added against the first round, or more than one flow in a thousand is called there and not
# here, or one in twenty another attack; or where memory grew after the second round by more than the hosts that are new in
# each round may take. Builds the release program and its test; needs 1 GB of memory and 300 MB of disk, and takes two
# minutes or three.
set -eu
if [ $# -gt 1 ]; then
  sed -n '5s/^# //p' "$0" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
CITRONELLA_HOURS="${1:-24}" exec cargo test --release --locked -p citronella --test replay_day -- --ignored --nocapture
