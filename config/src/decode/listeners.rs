//! Listeners and the admin listener, and that they do not want the same socket.

use super::naming::{name_at, unique};
use crate::fault::{Found, Place};
use crate::read::Fields;
use crate::{Admin, ClientCertificates, Listener, ListenerName, ListenerProtocol};
use std::net::SocketAddr;
use std::path::PathBuf;

pub(super) fn listeners(file: &Fields<'_>, found: &mut Found) -> (Vec<Listener>, Option<Admin>) {
    let sections = file.sections("listeners", found);
    let mut names = Vec::new();
    let mut binds = Vec::new();
    let mut listeners = Vec::new();
    for fields in &sections {
        let name = name_at(fields, "name", ListenerName::new, found);
        let bind = fields.address("bind", found);
        let protocol = protocol(fields, found);
        names.extend(name.iter().map(|name| (name.to_string(), fields.value_at("name"))));
        binds.extend(bind.map(|bind| (bind, fields.value_at("bind"))));
        if let (Some(name), Some(bind), Some(protocol)) = (name, bind, protocol) {
            listeners.push(Listener { name, bind, protocol });
        }
    }
    unique(&names, "listener", found);
    let admin = admin(file, &mut binds, found);
    binds.sort_by_key(|(_, at)| *at);
    distinct(&binds, found);
    (listeners, admin)
}

fn protocol(fields: &Fields<'_>, found: &mut Found) -> Option<ListenerProtocol> {
    if fields.has("tls") {
        if fields.has("protocol") {
            let why = "with `tls` the client and ALPN decide between HTTP/2 and HTTP/1.1";
            found.fault(fields.at("protocol"), "`protocol` stands beside `tls`", why, "`tls` alone");
        }
        let tls = fields.section("tls", found)?;
        let (certificate, key) = (file_of(&tls, "certificate", found), file_of(&tls, "key", found));
        let clients = clients(&tls, found);
        return Some(ListenerProtocol::Tls { certificate: certificate?, key: key?, clients: clients? });
    }
    if !fields.has("protocol") {
        return Some(ListenerProtocol::Http1);
    }
    Some(match fields.word("protocol", found)? {
        "h2c" => ListenerProtocol::H2c,
        _ => ListenerProtocol::Http1,
    })
}

/// Whose certificates clients may come with; `Some(None)` when none are asked for.
#[allow(clippy::option_option, reason = "the outer one is whether it could be read")]
fn clients(tls: &Fields<'_>, found: &mut Found) -> Option<Option<ClientCertificates>> {
    let word = tls.word("client_certificate", found);
    if !tls.has("client_ca") {
        if tls.has("client_certificate") {
            let why = "without an authority no certificate can be told from another";
            found.fault(
                tls.at("client_certificate"),
                "`client_certificate` stands without `client_ca`",
                why,
                "`client_ca: { file: /run/tls/clients.crt }` beside it",
            );
        }
        return Some(None);
    }
    let ca = file_of(tls, "client_ca", found)?;
    Some(Some(ClientCertificates { ca, required: word? == "required" }))
}

/// The path in `{ file: PATH }` under `key`.
pub(super) fn file_of(fields: &Fields<'_>, key: &str, found: &mut Found) -> Option<PathBuf> {
    let reference = fields.section(key, found)?;
    reference.path("file", found)
}

fn admin(file: &Fields<'_>, binds: &mut Vec<(SocketAddr, Place)>, found: &mut Found) -> Option<Admin> {
    let fields = file.section("admin", found)?;
    let bind = fields.address("bind", found);
    let beyond = fields.flag("beyond_loopback", found);
    let bind = bind?;
    binds.push((bind, fields.value_at("bind")));
    if !bind.ip().is_loopback() && beyond == Some(false) {
        let what = format!("`{bind}` can be reached from other machines");
        let why = "the admin listener has no authentication: whoever reaches it reads the metrics";
        let instead = format!("`127.0.0.1:{}`, or `beyond_loopback: true` beside it", bind.port());
        found.fault(fields.value_at("bind"), what, why, instead);
    }
    Some(Admin { bind })
}

/// Reports the second of two listeners on one socket.
fn distinct(binds: &[(SocketAddr, Place)], found: &mut Found) {
    for (index, (bind, at)) in binds.iter().enumerate() {
        if let Some((other, first)) = binds[..index].iter().find(|(other, _)| collide(*bind, *other)) {
            let why = format!("`{other}` on line {} takes it, and the second to bind would fail", first.line);
            found.fault(*at, format!("`{bind}` is already taken"), why, "another port");
        }
    }
}

/// Whether two sockets cannot both be bound. Port 0 takes a free one each time.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let (x, y) = (a.ip(), b.ip());
    let covers = x.is_ipv4() == y.is_ipv4() && (x.is_unspecified() || y.is_unspecified());
    a.port() != 0 && a.port() == b.port() && (x == y || covers)
}
