#!/usr/bin/env bash
# Live capture at a constant rate: tcpreplay sends a capture over a veth pair between two network namespaces, and
# `citronella detect -i` captures at the peer; no packet may be lost.
#
# usage: tests/live_rate.sh PROGRAM CAPTURE.pcap [PACKETS_A_SECOND=100000] [SECONDS=60] [arguments of detect...]
#
# Needs root, ip and tcpreplay; sends nothing to a real network. Prints the packets sent, captured and dropped, and the CPU
# time of the detector. Exit code: 0 if no packet was lost, 1 otherwise, 77 if skipped, with the reason.
set -euo pipefail
program=$(realpath "$1") capture=$(realpath "$2") rate=${3:-100000} seconds=${4:-60}
shift $(($# < 4 ? $# : 4))
skip() { echo "skipped: $1"; exit 77; }
[ "$(id -u)" -eq 0 ] || skip "network namespaces need root"
for tool in ip tcpreplay; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done

inside="citronella-rate-$$-inside" outside="citronella-rate-$$-outside" work=$(mktemp -d)
clean() {
  [ -z "${detector:-}" ] || kill "$detector" 2>/dev/null || true
  ip netns del "$inside" 2>/dev/null || true
  ip netns del "$outside" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
ip netns add "$inside"
ip netns add "$outside"
for host in "$inside" "$outside"; do ip netns exec "$host" sysctl -qw net.ipv6.conf.default.disable_ipv6=1; done
ip -n "$outside" link add v0 type veth peer name v1 netns "$inside"
ip -n "$inside" link set v1 up
ip -n "$outside" link set v0 up

ip netns exec "$inside" "$program" detect -i v1 --json "$@" >"$work/summary.json" 2>"$work/log" &
detector=$!
for _ in $(seq 100); do grep -q '^capturing from' "$work/log" && break; sleep 0.1; done
grep 'sandbox: ' "$work/log" || true

packets=$((rate * seconds))
ip netns exec "$outside" tcpreplay -q -K --loop=0 --limit="$packets" --pps="$rate" -i v0 "$capture" >"$work/sent"
sent=$(awk '/Successful packets:/ { print $3 }' "$work/sent")
grep '^Rated' "$work/sent"
sleep 1
read -r user system < <(awk '{ print $14, $15 }' "/proc/$detector/stat")
kill -TERM "$detector"
wait "$detector" || { cat "$work/log"; exit 1; }
detector=
duration=$(awk '/^Actual:/ { print $(NF - 1) }' "$work/sent")
python3 - "$work/summary.json" "$sent" "$user" "$system" "$(getconf CLK_TCK)" "$duration" <<'PYTHON'
import json, sys
summary = json.load(open(sys.argv[1]))
sent, user, system, hertz = map(int, sys.argv[2:6])
seconds = float(sys.argv[6])
print(f"sent {sent:,}, captured {summary['packets']:,}, dropped {summary['kernel_drops']:,} (ring full {summary['ring_full']} times)")
print(f"in {seconds:.1f} s; CPU: {user / hertz / seconds:.1%} in the program, {system / hertz / seconds:.1%} in the kernel, of one core")
sys.exit(0 if summary["packets"] == sent and summary["kernel_drops"] == 0 else 1)
PYTHON
