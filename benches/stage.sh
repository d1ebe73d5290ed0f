# Sourced by the benches that measure a running proxy: a fake cloud at $url, a folder of their own, and both ended with the shell.
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

# Runs the proxy with the configuration in $folder/riparian.yaml; its address goes into address, its id into proxy.
serve() {
    rm -f "$folder/log"
    "$riparian" run -c "$folder/riparian.yaml" --threads 2 >/dev/null 2>"$folder/log" &
    proxy=$!
    address=$(line_of "$folder/log" "listener=apps" | sed 's/.*address=//')
}

# Ends it.
unserve() {
    kill "$proxy"
    wait "$proxy" || true
    proxy=
}
