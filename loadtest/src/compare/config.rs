//! The configurations of those who are compared: two workers each, kept-alive connections to the cloud, the cloud's key
//! attached and the client's own taken off. Riparian has everything on; the others pass on and look at nothing, with their
//! logs off, as fast as they know how.

use std::net::SocketAddr;
use std::path::Path;

use super::matter::{ALIAS, KEY, MODEL};

/// Threads or worker processes of each.
pub(crate) const WORKERS: u32 = 2;

/// What a proxy of the comparison is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) cloud: SocketAddr,
    /// Its own directory.
    pub(crate) dir: &'a Path,
    /// Open files that a process may have.
    pub(crate) files: u64,
}

/// nginx: the body is buffered in memory, the answer is not buffered at all, since a stream would stand still otherwise.
pub(crate) fn nginx(site: &Site<'_>) -> String {
    let Site { listen, cloud, dir, files } = site;
    let (dir, connections) = (dir.display(), files.saturating_sub(100).max(512));
    format!(
        r#"daemon off;
worker_processes {WORKERS};
worker_rlimit_nofile {files};
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    client_max_body_size 32m;
    client_body_buffer_size 16m;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    upstream cloud {{ server {cloud}; keepalive 64; keepalive_requests 1000000000; keepalive_timeout 600s; }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://cloud;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_read_timeout 600s;
            proxy_set_header Connection "";
            proxy_set_header api-key {KEY};
            proxy_set_header Authorization "";
        }}
    }}
}}
"#
    )
}

/// `HAProxy`: connections to the cloud are shared by all clients. Without `http-no-delay` it keeps the chunks of a stream back
/// until a segment is full or 200 ms are over.
pub(crate) fn haproxy(site: &Site<'_>) -> String {
    let Site { listen, cloud, files, .. } = site;
    let connections = (files.saturating_sub(200) / 2).max(256); // each is two files
    format!(
        "global
    nbthread {WORKERS}
    maxconn {connections}
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    http-reuse always
    option http-no-delay
frontend apps
    bind {listen} backlog 4096
    default_backend cloud
backend cloud
    http-request set-header api-key {KEY}
    http-request del-header authorization
    server cloud {cloud} maxconn {connections} pool-max-conn 256
"
    )
}

/// Envoy: nothing that adds work to a plain pass (request ids, its own headers, statistics by response code), and none of
/// the default limits that would refuse what the works ask for.
pub(crate) fn envoy(site: &Site<'_>) -> String {
    let (listen_host, listen_port) = (site.listen.ip(), site.listen.port());
    let (cloud_host, cloud_port) = (site.cloud.ip(), site.cloud.port());
    format!(
        r#"static_resources:
  listeners:
    - name: apps
      address: {{ socket_address: {{ address: {listen_host}, port_value: {listen_port} }} }}
      tcp_backlog_size: 4096
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: apps
                generate_request_id: false
                stream_idle_timeout: 600s
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      request_headers_to_remove: [authorization]
                      request_headers_to_add:
                        - {{ header: {{ key: api-key, value: {KEY} }}, append_action: OVERWRITE_IF_EXISTS_OR_ADD }}
                      routes:
                        - match: {{ prefix: / }}
                          route: {{ cluster: cloud, timeout: 0s, idle_timeout: 600s }}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                      suppress_envoy_headers: true
                      dynamic_stats: false
  clusters:
    - name: cloud
      type: STATIC
      connect_timeout: 5s
      circuit_breakers:
        thresholds:
          - {{ max_connections: 1000000, max_pending_requests: 1000000, max_requests: 1000000 }}
      load_assignment:
        cluster_name: cloud
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {{ socket_address: {{ address: {cloud_host}, port_value: {cloud_port} }} }} }}
"#
    )
}

/// What of Riparian's configuration grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Terms of the contract, at least 1.
    pub(crate) terms: usize,
    /// Endpoints, at least 1; all are the same canned cloud.
    pub(crate) endpoints: usize,
    /// Readings, at least 1.
    pub(crate) readings: usize,
}

impl Default for Scale {
    fn default() -> Scale {
        Scale { terms: 1, endpoints: 1, readings: 1 }
    }
}

/// Riparian: the access log is a file, the admin listener and its metrics are there, pins are in memory as no peer keeps any.
///
/// Terms differ in surface, class, vendor and model and a quarter of them have dates, as in a contract that grew; all of
/// them leave the one cloud. Readings differ in where state begins.
pub(crate) fn riparian(site: &Site<'_>, admin: SocketAddr, scale: Scale) -> String {
    let Site { listen, cloud, dir, .. } = site;
    let dir = dir.display();
    let mut text = format!(
        "version: 1
listeners: [{{ name: apps, bind: {listen} }}]
admin: {{ bind: {admin} }}
telemetry: {{ access_log: {{ file: {dir}/access.log }} }}
sessions: {{ pins: {{ store: memory }} }}
clouds:
  azure:
    endpoints:
"
    );
    for at in 0..scale.endpoints.max(1) {
        text.push_str(&format!(
            "      - {{ name: azure-{at}, dialect: azure-openai, url: \"http://{cloud}\", credential: {{ api_key: {{ file: {dir}/key }} }}, models: {{ {ALIAS}: {MODEL} }} }}\n"
        ));
    }
    text.push_str("contract:\n  enforce: r0\n  readings:\n");
    for at in 0..scale.readings.max(1) {
        let from = ["continues", "creates", "sealed", "connection", "runtime", "never"][at % 6];
        text.push_str(&format!("    r{at}: {{ stateful_from: {from} }}\n"));
    }
    text.push_str("  terms:\n    - { id: all-on-azure, only: [azure] }\n");
    for at in 1..scale.terms {
        let when = match at % 5 {
            0 => format!("model: \"gpt-{}*\"", at / 5 % 20),
            1 => "vendor: openai, class: stateless".to_owned(),
            2 => "surface: openai.chat.*".to_owned(),
            3 => "grade: [continues, runtime]".to_owned(),
            _ => "vendor: [openai, anthropic]".to_owned(),
        };
        let dates = match at % 16 {
            0 => "from: 2026-01-01, ",
            4 => "until: 2026-04-01, ",
            8 => "from: 2026-02-01, until: 2027-01-01, ",
            12 => "from: 2026-01-01, until: 2026-04-01, ",
            _ => "",
        };
        text.push_str(&format!("    - {{ id: t{at}, {dates}when: {{ {when} }}, only: [azure] }}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::child::{free_address, raise_files};
    use super::*;

    /// The peer's own check of its configuration; nobody is asked where it is not installed.
    fn check(program: &str, args: &[&str], text: &str) {
        let Some(found) = crate::compare::peer::in_path(program) else { return };
        let output = Command::new(found).args(args).output().expect("it runs");
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn the_peers_accept_their_configurations() {
        let dir = tempfile::tempdir().expect("a directory");
        let site = Site {
            listen: free_address().expect("a port"),
            cloud: "127.0.0.1:9".parse().expect("an address"),
            dir: dir.path(),
            files: raise_files(),
        };
        let path = dir.path().join("conf");
        let (at, prefix) = (path.to_str().expect("plain"), dir.path().to_str().expect("plain"));
        std::fs::write(&path, nginx(&site)).expect("written");
        check("nginx", &["-t", "-q", "-p", prefix, "-c", at], &nginx(&site));
        std::fs::write(&path, haproxy(&site)).expect("written");
        check("haproxy", &["-c", "-q", "-f", at], &haproxy(&site));
    }

    #[test]
    fn riparians_configuration_grows_where_it_is_told_to() {
        let dir = Path::new("/nowhere");
        let address: SocketAddr = "127.0.0.1:9".parse().expect("an address");
        let site = Site { listen: address, cloud: address, dir, files: 1024 };
        let count = |scale: Scale, part: &str| riparian(&site, address, scale).matches(part).count();
        let scale = Scale { terms: 100, endpoints: 30, readings: 10 };
        assert_eq!(count(scale, "only: [azure]"), 100);
        assert_eq!(count(scale, "dialect:"), 30);
        assert_eq!(count(scale, "stateful_from:"), 10);
        assert_eq!(count(Scale::default(), "only:"), 1);
    }
}
