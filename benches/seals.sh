#!/bin/sh
# What `store: sealed` costs: CPU time of the proxy's process a request at a fixed rate, with pins in memory and with seals, by turns, in one run,
# for chat (nothing to seal), turns of a chain and streamed turns.
# Usage: sh benches/seals.sh [SECONDS [ROUNDS]]; needs target/release/riparian and riparian-loadtest, and /proc.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-8} rounds=${2:-2}
. benches/stage.sh
RIPARIAN_BENCH_KEY=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
export RIPARIAN_BENCH_KEY

# Requests, into count, and ticks of CPU, into used.
load() {
    before=$(awk '{ print $14 + $15 }' "/proc/$proxy/stat")
    "$loadtest" run --target "http://$address/v1" --credential bench --rate 500 --seconds "$2" --mix "$1" --no-digest --json "$folder/json" >/dev/null 2>&1 ||
        [ -s "$folder/json" ] # without the clouds' own record it cannot judge, and says so
    used=$(($(awk '{ print $14 + $15 }' "/proc/$proxy/stat") - before))
    count=$(sed -n '/"duration"/,/}/s/.*"count": \([0-9]*\).*/\1/p' "$folder/json")
}

measure() {
    store=$1 mix=$2 keys=
    [ "$store" = memory ] || keys=", keys: [{ env: RIPARIAN_BENCH_KEY }]"
    cat >"$folder/riparian.yaml" <<YAML
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:0 }]
clouds: { one: { endpoints: [{ name: one, dialect: openai, url: "$url", credential: passthrough }] } }
telemetry: { access_log: off }
sessions: { key: { env: RIPARIAN_BENCH_KEY }, pins: { store: $store$keys } }
contract:
  enforce: r
  readings: { r: { stateful_from: continues } }
  terms: [{ id: t, only: one }]
YAML
    serve
    load "$mix" 2
    load "$mix" "$seconds"
    ticks=$(getconf CLK_TCK)
    printf '%-8s %-16s %6s requests, %s CPU us a request\n' "$store" "${mix%=*}" "$count" $((used * 1000000 / ticks / count))
    unserve
}

round=0
while [ "$round" -lt "$rounds" ]; do
    for mix in chat=1 chain=1 chain-stream=1; do
        measure memory "$mix"
        measure sealed "$mix"
    done
    round=$((round + 1))
done
