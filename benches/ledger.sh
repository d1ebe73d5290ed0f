#!/bin/sh
# What each durability of the ledger costs: CPU time of the proxy's process a request (the ledger's writer included) and requests a second,
# saturated and at a fixed rate, with no ledger and with each durability, by turns, in one run; and, as `everything`, three readings, prices and
# a commitment besides `group`. The disk is that of TMPDIR.
# Usage: sh benches/ledger.sh [SECONDS [ROUNDS]]; needs target/release/riparian and riparian-loadtest.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-5} rounds=${2:-3}
riparian=${RIPARIAN:-target/release/riparian}
loadtest=${RIPARIAN_LOADTEST:-target/release/riparian-loadtest}
folder=$(mktemp -d)
cloud= proxy=
stop() {
    for pid in $proxy $cloud; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

# Waits until a file has a line with this, and prints the line.
line_of() {
    tries=0
    until grep -m 1 -- "$2" "$1"; do
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || { echo "$1 does not say $2" >&2; exit 1; }
        sleep 0.05
    done
}

"$loadtest" fake --kind openai --name one --credential bench --no-digest >"$folder/cloud" 2>/dev/null &
cloud=$!
url=$(line_of "$folder/cloud" http | sed 's|\(http://[^/]*\).*|\1|')

measure() {
    durability=$1 rate=$2
    ledger= more= meter=
    case $durability in
    off) ;;
    everything)
        ledger="ledger: { path: $folder/ledger, durability: group }"
        more=", wide: { stateful_from: runtime, inner_calls: inherit }, strict: { stateful_from: never }"
        meter="meter: { currency: USD, prices: [{ model: \"*\", input: 1.25, cached: 0.125, output: 10 }], commitments: { plan: { cloud: one, money: 1000000, from: 2026-01-01, until: 2100-01-01 } } }"
        ;;
    *) ledger="ledger: { path: $folder/ledger, durability: $durability }" ;;
    esac
    cat >"$folder/riparian.yaml" <<YAML
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:0 }]
clouds: { one: { endpoints: [{ name: one, dialect: openai, url: "$url", credential: passthrough }] } }
telemetry: { access_log: off }
sessions: { pins: { store: memory } }
$ledger
$meter
contract:
  enforce: r
  readings: { r: { stateful_from: continues }$more }
  terms: [{ id: t, only: one }]
YAML
    rm -f "$folder/log"
    "$riparian" run -c "$folder/riparian.yaml" --threads 2 >/dev/null 2>"$folder/log" &
    proxy=$!
    address=$(line_of "$folder/log" "listener=apps" | sed 's/.*address=//')
    printf '%-12s %-9s ' "$durability" "${rate:-saturated}"
    # shellcheck disable=SC2086 # no rate is no argument
    "$loadtest" cpu --target "http://$address/v1" --credential bench --pid "$proxy" --seconds "$seconds" ${rate:+--rate $rate} | tr '\n' ' '
    kill "$proxy"
    wait "$proxy" || true
    proxy=
    [ "$durability" = off ] || "$riparian" ledger verify "$folder/ledger" | sed -n 's/.*: whole\. \([0-9]* entries\).*/; \1, whole/p' | tr '\n' ' '
    echo
    rm -rf "$folder/ledger"
}

round=0
while [ "$round" -lt "$rounds" ]; do
    for durability in off best_effort group required everything; do
        measure "$durability" ""
        measure "$durability" 500
    done
    round=$((round + 1))
done
