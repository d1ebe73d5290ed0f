#!/bin/sh
# CPU time a request: Riparian with everything on, against nginx doing a plain proxy pass of the same POST to the same fake cloud,
# in turn, in one run. Prints each round and the ratio of the medians. Needs nginx (Debian: nginx-light), and takes about two minutes.
#   sh benches/against-nginx.sh [BODY_BYTES] [ROUNDS] [SECONDS] [RATE]
# RATE absent or 0: as many requests as the connections can carry.
set -eu
cd "$(dirname "$0")/.."
body=${1:-1024} rounds=${2:-3} seconds=${3:-6} rate=${4:-0}
command -v nginx >/dev/null || { echo "nginx is needed: apt-get install nginx-light" >&2; exit 2; }
[ -n "${SKIP_BUILD:-}" ] || cargo build --release --locked -p riparian-proxy -p riparian-loadtest --bins
bin=target/release
dir=$(mktemp -d)
pids=""
end() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT INT TERM

"$bin/riparian-loadtest" fake --kind azure --name azure-eastus2 --listen 127.0.0.1:19101 --credential key --models gpt55-prod --no-digest >"$dir/fake.out" &
pids="$pids $!"

cat >"$dir/riparian.yaml" <<YAML
version: 1
listeners: [{ name: apps, bind: 127.0.0.1:19080 }]
clouds:
  azure:
    endpoints:
      - { name: azure-eastus2, dialect: azure-openai, url: http://127.0.0.1:19101, credential: { api_key: { file: $dir/key } }, models: { gpt-5.5: gpt55-prod } }
contract:
  enforce: memory-is-state
  readings: { memory-is-state: { stateful_from: continues } }
  terms: [{ id: all-on-azure, only: [azure] }]
telemetry: { access_log: { file: $dir/access.log } }
YAML
printf key >"$dir/key"
"$bin/riparian" run -c "$dir/riparian.yaml" --threads 2 2>"$dir/riparian.err" &
riparian=$!
pids="$pids $riparian"

cat >"$dir/nginx.conf" <<NGINX
daemon off;
worker_processes 2;
pid $dir/nginx.pid;
error_log $dir/nginx.err;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    client_max_body_size 32m;
    client_body_buffer_size 16m;
    keepalive_requests 1000000000;
    upstream cloud { server 127.0.0.1:19101; keepalive 64; keepalive_requests 1000000000; }
    server {
        listen 127.0.0.1:19081 backlog=1024;
        location / {
            proxy_pass http://cloud;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header api-key key;
            proxy_set_header Authorization "";
        }
    }
}
NGINX
nginx -p "$dir" -c "$dir/nginx.conf" 2>"$dir/nginx.start" &
nginx=$!
pids="$pids $nginx"
sleep 1

measure() { # NAME URL PID MODEL
    "$bin/riparian-loadtest" cpu --target "$2" --pid "$3" --seconds "$seconds" --body-bytes "$body" --model "$4" $([ "$rate" = 0 ] || echo --rate "$rate") >"$dir/out"
    sed "s/^/$1 /" "$dir/out"
    grep -o '[0-9.]* CPU us a request' "$dir/out" | cut -d' ' -f1 >>"$dir/$1.cpu"
}
round=1
while [ "$round" -le "$rounds" ]; do
    measure nginx http://127.0.0.1:19081/openai/v1 "$nginx" gpt55-prod
    measure riparian http://127.0.0.1:19080/v1 "$riparian" gpt-5.5
    round=$((round + 1))
done
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
awk -v n="$(median "$dir/nginx.cpu")" -v r="$(median "$dir/riparian.cpu")" -v b="$body" \
    'BEGIN { printf "%d bytes: nginx %.1f us, riparian %.1f us of CPU a request; ratio %.2f\n", b, n, r, r / n }'
