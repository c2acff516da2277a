#!/bin/sh
# Checks `citronella detect` over a day of packet time: recordings of data/lab, sent through a pipe in rounds, each later
# and with other network addresses.
#
# usage: tests/replay_day.sh [HOURS]
#
# HOURS: 24 by default, 57 at most. Prints a line for each round. Fails if
# - packets, flows, verdicts or records are lost;
# - a round's verdicts or alerts differ in any digit from those of a process that sees this round only;
# - a round has other alerts than the first, more than one flow in a thousand that is flagged in one of the two only, or
#   more than one in twenty of another class;
# - memory grows after the second round by more than the new hosts of each round need.
# Builds the release program and its test; needs 1 GB of memory and 300 MB of disk; takes two to three minutes.
set -eu
if [ $# -gt 1 ]; then
  sed -n '5s/^# //p' "$0" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
CITRONELLA_HOURS="${1:-24}" exec cargo test --release --locked -p citronella --test replay_day -- --ignored --nocapture
