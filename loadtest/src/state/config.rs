//! The configuration that a replica is started with: three clouds with an endpoint in every family, one term that allows all
//! three, pins in the shared store or nowhere.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::cloud::{FakeCloud, Family, Kind};

/// What a cloud speaks, as a configuration calls it.
fn dialect(cloud: &FakeCloud) -> &'static str {
    let family = cloud.spec().speaks.first().copied().unwrap_or(Family::OpenAi);
    match (family, cloud.spec().kind) {
        (Family::OpenAi, Kind::Azure) => "azure-openai",
        (Family::OpenAi, Kind::Bedrock) => "bedrock-openai",
        (family, _) => family.name(),
    }
}

/// The text. Secrets are in files below `dir`, which [`secrets`] writes.
pub(super) fn text(
    listen: SocketAddr,
    admin: SocketAddr,
    redis: Option<SocketAddr>,
    clouds: &[FakeCloud],
    pins_within: Duration,
    dir: &Path,
) -> String {
    let within = pins_within.as_millis();
    let dir = dir.display();
    let mut text = format!(
        "version: 1\nlisteners:\n  - {{ name: apps, bind: {listen} }}\nadmin: {{ bind: {admin} }}\nclouds:\n"
    );
    let mut names: Vec<&str> = clouds.iter().map(FakeCloud::cloud).collect();
    names.dedup();
    for name in &names {
        let _ = writeln!(text, "  {name}:\n    endpoints:");
        for cloud in clouds.iter().filter(|cloud| cloud.cloud() == *name) {
            let _ = writeln!(text, "      - name: {}", cloud.name());
            let _ = writeln!(text, "        dialect: {}", dialect(cloud));
            let _ = writeln!(text, "        url: {}", cloud.url());
            let _ = writeln!(text, "        region: {}", cloud.spec().region);
            let _ = writeln!(text, "        credential: {}", credential(cloud, &dir.to_string()));
            if !cloud.spec().models.is_empty() {
                text.push_str("        models:\n");
                for model in &cloud.spec().models {
                    let logical = model.strip_prefix("openai.").unwrap_or(model);
                    let _ = writeln!(text, "          {logical}: {model}");
                }
            }
        }
    }
    let all = names.join(", ");
    let pins = match redis {
        Some(redis) => format!("store: redis, redis: {{ url: \"redis://{redis}/0\", within: {within}ms }}"),
        None => format!("store: sealed, keys: [{{ file: {dir}/seal.key }}]"),
    };
    let _ = write!(
        text,
        "sessions:\n  key: {{ file: {dir}/session.key }}\n  pins: {{ {pins} }}\n\
         contract:\n  enforce: memory-is-state\n  readings:\n    memory-is-state: {{ stateful_from: continues }}\n  \
         terms:\n    - {{ id: anywhere, only: [{all}] }}\ntelemetry: {{ access_log: off }}\n"
    );
    text
}

fn credential(cloud: &FakeCloud, dir: &str) -> String {
    let name = cloud.name();
    let secret = |kind: &str| format!("{{ file: {dir}/{name}.{kind} }}");
    match (cloud.spec().speaks.first(), cloud.spec().kind) {
        (Some(Family::Bedrock | Family::BedrockAgents | Family::AgentCore), _) => {
            let service = match cloud.spec().speaks.first() {
                Some(Family::AgentCore) => "bedrock-agentcore",
                _ => "bedrock",
            };
            format!(
                "{{ sigv4: {{ service: {service}, access_key_id: {}, secret_access_key: {} }} }}",
                secret("id"),
                secret("key")
            )
        }
        (Some(Family::Anthropic | Family::Google), _) | (Some(Family::OpenAi), Kind::Azure) => {
            format!("{{ api_key: {} }}", secret("key"))
        }
        _ => format!("{{ bearer: {} }}", secret("key")),
    }
}

/// Writes the secrets that the text refers to.
///
/// # Errors
/// A file cannot be written.
pub(super) fn secrets(clouds: &[FakeCloud], dir: &Path) -> Result<(), String> {
    let write = |name: String, value: &str| {
        let path = dir.join(name);
        std::fs::write(&path, value).map_err(|error| format!("{}: {error}", path.display()))
    };
    for cloud in clouds {
        let spec = cloud.spec();
        let signed = spec.speaks.iter().any(|family| !family.services().is_empty());
        write(format!("{}.id", spec.name), &spec.access_key)?;
        write(format!("{}.key", spec.name), if signed { &spec.secret_key } else { &spec.credential })?;
    }
    write("seal.key".to_owned(), "another-key-that-two-replicas-share-0123456789")?;
    write("session.key".to_owned(), "a-key-that-two-replicas-share-0123456789")
}
