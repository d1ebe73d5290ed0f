//! The clouds that a configuration expects, as fakes: one for each endpoint, at the address, with the key and with the models
//! that the configuration's text gives it.

use std::net::SocketAddr;

use crate::cloud::{CloudSpec, Family, Kind, Protocol};
use crate::oracle::yaml::Node;

/// One spec for each endpoint of the configuration `text`. A `credential` that is given is everybody's key; else each key is
/// read from where the configuration says, as the proxy does.
///
/// # Errors
/// The text is no YAML, an endpoint is not on this machine in clear HTTP, or its key cannot be read; the message names it.
pub fn specs(text: &str, credential: Option<&str>) -> Result<Vec<CloudSpec>, String> {
    let file = Node::parse(text)?;
    let mut specs = Vec::new();
    for (cloud, node) in file.entries("clouds")? {
        let Some(Node::List(endpoints)) = node.find("endpoints") else {
            return Err(format!("cloud `{cloud}` has no list of endpoints"));
        };
        for endpoint in endpoints {
            let name =
                endpoint.text("name")?.ok_or_else(|| format!("an endpoint of `{cloud}` has no name"))?;
            specs.push(
                spec(cloud, name, endpoint, credential).map_err(|why| format!("endpoint `{name}`: {why}"))?,
            );
        }
    }
    if specs.is_empty() { Err("the configuration has no endpoints".to_owned()) } else { Ok(specs) }
}

fn spec(cloud: &str, name: &str, node: &Node, credential: Option<&str>) -> Result<CloudSpec, String> {
    let (kind, family) = match node.text("dialect")? {
        Some("openai") => (Kind::OpenAi, Family::OpenAi),
        Some("azure-openai") => (Kind::Azure, Family::OpenAi),
        Some("bedrock-openai") => (Kind::Bedrock, Family::OpenAi),
        Some(other) if other.parse::<Family>().is_ok() => (Kind::OpenAi, other.parse()?),
        other => return Err(format!("no fake speaks the dialect {other:?}")),
    };
    let url = node.text("url")?.ok_or("it has no url")?;
    let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let address: Option<SocketAddr> = address.and_then(|address| address.parse().ok());
    let listen = address.filter(|address| address.ip().is_loopback());
    let listen =
        listen.ok_or_else(|| format!("{url} is not http://127.0.0.1:PORT: no fake can stand there"))?;
    let mut spec = CloudSpec::new(kind, name).speaking([family]).listen(listen);
    if let Some(region) = node.text("region")? {
        region.clone_into(&mut spec.region);
    }
    if let Some(sigv4) = node.find("credential").and_then(|credential| credential.find("sigv4")) {
        for (key, own) in
            [("access_key_id", &mut spec.access_key), ("secret_access_key", &mut spec.secret_key)]
        {
            if let Some(value) = sigv4.find(key).map(secret).transpose()?.flatten() {
                *own = value;
            }
        }
    }
    cloud.clone_into(&mut spec.cloud);
    match node.find("models") {
        // It takes every model under its own name: what drivers ask for by default is among them.
        None => spec.models.extend(["gpt-5.5", "text-embedding-3-small"].map(str::to_owned)),
        Some(_) => {
            let own = node.entries("models")?.iter().map(|(logical, own)| match own {
                Node::Text(own) => Ok(own.clone()),
                _ => Err(format!("the model `{logical}` has no name of its own")),
            });
            spec.models = own.collect::<Result<_, _>>()?;
        }
    }
    if node.text("http_version")? == Some("2") {
        spec.protocol = Protocol::H2c;
    }
    if let Some(key) = credential.map_or_else(|| key(node), |key| Ok(Some(key.to_owned())))? {
        spec.credential = key;
    }
    Ok(spec)
}

/// The key that the configuration refers to; none where it sends none of its own.
fn key(node: &Node) -> Result<Option<String>, String> {
    let credential = node.find("credential");
    if let Some(Node::Text(word)) = credential {
        return Err(format!(
            "with the credential `{word}` the clouds' key must be given: --cloud-credential"
        ));
    }
    let Some(reference) = credential.and_then(|node| node.find("api_key").or_else(|| node.find("bearer")))
    else {
        return Ok(None);
    };
    secret(reference)
}

/// What a reference to a secret leads to.
fn secret(secret: &Node) -> Result<Option<String>, String> {
    match (secret.text("env")?, secret.text("file")?) {
        (Some(name), _) => std::env::var(name).map(Some).map_err(|error| format!("{name}: {error}")),
        (_, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../config/examples/demo.yaml");

    #[test]
    fn the_demo_is_staged_as_its_file_says() {
        let specs = specs(DEMO, Some("k")).expect("the demo runs on this machine");
        let found: Vec<_> =
            specs.iter().map(|spec| (spec.cloud.as_str(), spec.name.as_str(), spec.kind)).collect();
        assert_eq!(
            found,
            [
                ("azure", "azure-eastus2", Kind::Azure),
                ("azure", "azure-swedencentral", Kind::Azure),
                ("aws", "bedrock-use1", Kind::Bedrock),
                ("openai", "openai-api", Kind::OpenAi),
            ]
        );
        assert_eq!(specs[0].listen.port(), 9101);
        assert_eq!(specs[0].models, ["gpt55-prod", "gpt55-mini-prod", "embed-prod"]);
        assert!(specs.iter().all(|spec| spec.credential == "k"));
    }

    #[test]
    fn every_family_is_staged_by_its_dialect() {
        let text = "clouds: { aws: { endpoints: [ { name: agents, dialect: bedrock-agents, region: eu-west-1, \
                    url: \"http://127.0.0.1:9\", credential: { sigv4: { access_key_id: { file: Cargo.toml }, \
                    secret_access_key: { file: Cargo.toml } } } } ] } }";
        let specs = specs(text, None).expect("a fake speaks it");
        assert_eq!(
            (&specs[0].speaks[..], specs[0].region.as_str()),
            (&[Family::BedrockAgents][..], "eu-west-1")
        );
        assert!(specs[0].access_key.starts_with("[package]") && specs[0].secret_key.starts_with("[package]"));
    }

    #[test]
    fn what_cannot_be_staged_is_named() {
        let elsewhere =
            DEMO.replace("http://127.0.0.1:9103", "https://bedrock-runtime.us-east-1.amazonaws.com");
        let why = specs(&elsewhere, Some("k")).expect_err("no fake stands there");
        assert!(why.starts_with("endpoint `bedrock-use1`: https://"), "{why}");
    }
}
