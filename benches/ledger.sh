#!/bin/sh
# What each durability of the ledger costs: CPU time of the proxy's process a request (the ledger's writer included) and requests a second,
# saturated and at a fixed rate, with no ledger and with each durability, by turns, in one run; and, as `everything`, three readings, prices and
# a commitment besides `group`. The disk is that of TMPDIR.
# Usage: sh benches/ledger.sh [SECONDS [ROUNDS]]; needs target/release/riparian and riparian-loadtest.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-5} rounds=${2:-3}
. benches/stage.sh

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
    serve
    printf '%-12s %-9s ' "$durability" "${rate:-saturated}"
    # shellcheck disable=SC2086 # no rate is no argument
    "$loadtest" cpu --target "http://$address/v1" --credential bench --pid "$proxy" --seconds "$seconds" ${rate:+--rate $rate} | tr '\n' ' '
    unserve
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
