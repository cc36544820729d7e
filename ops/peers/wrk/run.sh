#!/bin/sh
# How fast a running agent answers, by a tool that is not ours: wrk, with 1, 16 and 64 connections
# that are kept alive, each of which sends as soon as it is answered. Every payment is a real one to
# the agent: take one whose store may be thrown away. One line of JSON for each number of
# connections: requests a second, latencies, refusals; with the agent's process id also the
# processor time of a request, all its threads together.
#
#   PHALANX_TOKEN=$(tail -1 http.tokens) ops/peers/wrk/run.sh http://127.0.0.1:8443 [PID] [SECONDS]
#
# What a request costs without reasons and with: `[explain] min_score` of the agent's policy at 1,000
# and at 1. wrk is Debian's package of that name.
set -eu

if [ $# -lt 1 ]; then
    echo "found no address, expected that of a running agent, such as http://127.0.0.1:8443" >&2
    exit 64
fi
command -v wrk >/dev/null || {
    echo "found no wrk, expected Debian's package wrk: apt-get install wrk" >&2
    exit 69
}
agent=${1%/}
process=${2:-}
seconds=${3:-8}
here=$(cd "$(dirname "$0")" && pwd)

# Clock ticks in user and kernel mode; the name, which may hold a space, ends with a parenthesis.
ticks() {
    sed 's/.*) //' "/proc/$process/stat" | awk '{ print $12 + $13 }'
}

for connections in 1 16 64; do
    before=0
    [ -z "$process" ] || before=$(ticks)
    said=$(wrk -t1 -c"$connections" -d"${seconds}s" --timeout 5s -s "$here/score.lua" "$agent" |
        grep '^{')
    if [ -n "$process" ]; then
        spent=$(($(ticks) - before))
        requests=$(echo "$said" | sed 's/.*"requests":\([0-9]*\).*/\1/')
        cpu=$((spent * 1000000 / $(getconf CLK_TCK) / requests))
        said=$(echo "$said" | sed "s/}\$/,\"cpu_us_per_request\":$cpu}/")
    fi
    echo "$said" | sed "s/^{/{\"connections\":$connections,/"
done
