//! Promise: the built-in surfaces cover the state taxonomy, row by row, and every fact in them is used by another.

use riparian_config::{Dialect, Mark, Namespace, Surface, Surfaces};
use std::collections::{BTreeMap, BTreeSet};

/// The rows of the state taxonomy.
const ROWS: [&str; 72] = [
    "foundry.sessions",
    "foundry.invocations",
    "foundry.agents",
    "br.InvokeModel",
    "br.InvokeModelWithResponseStream",
    "br.Converse",
    "br.ConverseStream",
    "br.CountTokens",
    "br.bidi",
    "br.async",
    "br.guardrail",
    "br.agent",
    "br.inlineagent",
    "br.rag",
    "br.retrieve",
    "br.sessions",
    "br.flows",
    "br.memory",
    "ac.runtime",
    "ac.harness",
    "ac.tools",
    "ac.memory",
    "ac.gateway",
    "ac.misc",
    "g.generate",
    "g.cached",
    "g.interactions",
    "g.live",
    "g.agentengine",
    "g.openai",
    "ant.messages",
    "ant.batches",
    "ant.files",
    "ant.managed",
    "oai.chat.create",
    "oai.chat.stored",
    "oai.chat.list",
    "oai.completions",
    "oai.embeddings",
    "oai.moderations",
    "oai.decisions",
    "oai.content_provenance_checks",
    "oai.images",
    "oai.audio",
    "oai.voices",
    "oai.models",
    "oai.responses.create",
    "oai.responses.compact",
    "oai.responses.input_tokens",
    "oai.responses.id",
    "oai.responses.ws",
    "oai.conversations",
    "oai.assistants",
    "oai.files",
    "oai.uploads",
    "oai.vector_stores",
    "oai.batches",
    "oai.containers",
    "oai.finetune",
    "oai.evals",
    "oai.prompts",
    "oai.videos",
    "oai.skills",
    "oai.realtime.ws",
    "oai.realtime.rest",
    "oai.live",
    "oai.agents",
    "oai.chatkit",
    "oai.webhooks_safety",
    "a2a",
    "mcp.legacy",
    "mcp.stateless",
];

#[test]
fn every_row_is_covered_and_no_other() {
    let surfaces = Surfaces::built_in();
    let covered: BTreeSet<&str> =
        surfaces.surfaces.iter().flat_map(|surface| surface.rows.iter().map(String::as_str)).collect();
    assert_eq!(covered, ROWS.into_iter().collect::<BTreeSet<_>>());
}

fn cited(surface: &Surface) -> impl Iterator<Item = &Namespace> {
    surface.signals.iter().filter_map(|signal| signal.handle.as_ref()).chain(&surface.path_handle)
}

#[test]
fn what_is_born_can_be_cited() {
    let surfaces = Surfaces::built_in();
    let cited: BTreeSet<&Namespace> = surfaces.surfaces.iter().flat_map(cited).collect();
    let born: BTreeSet<&Namespace> = surfaces
        .surfaces
        .iter()
        .flat_map(|surface| surface.births.iter().map(|birth| &birth.handle))
        .collect();
    let known: BTreeSet<&Namespace> = surfaces.kinds.iter().map(|kind| &kind.name).collect();
    assert_eq!(cited, known, "every kind is cited somewhere");
    // ARNs are made in consoles; threads of ChatKit are born in the browser: both past the proxy.
    let unborn: Vec<&str> = cited.difference(&born).map(|kind| kind.as_str()).collect();
    assert_eq!(unborn, ["arn", "chatkit_thread"], "cited, and never born");
}

#[test]
fn what_is_asked_for_is_a_surface_that_only_reads() {
    let surfaces = Surfaces::built_in();
    for kind in &surfaces.kinds {
        let Some(ask) = &kind.ask else { continue };
        let reads = surfaces.surfaces.iter().any(|surface| {
            let parts = surface.path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
            let path = parts.collect::<Vec<_>>().join("/");
            surface.methods.iter().any(|method| method == "GET") && surface.socket.is_none() && path == *ask
        });
        assert!(reads, "{}: {ask}", kind.name);
    }
}

#[test]
fn what_is_sealed_is_learned_from_bodies_alone() {
    let surfaces = Surfaces::built_in();
    let marks: BTreeMap<_, _> = surfaces.kinds.iter().map(|kind| (&kind.name, kind.mark)).collect();
    for surface in &surfaces.surfaces {
        for birth in &surface.births {
            let in_head = birth.at.header.is_some() && marks[&birth.handle] == Some(Mark::Sealed);
            assert!(!in_head, "{}: {}", surface.id, birth.handle);
        }
    }
}

#[test]
fn every_surface_is_served_by_its_own_family_and_has_a_vendor() {
    let surfaces = Surfaces::built_in();
    for surface in &surfaces.surfaces {
        let own = match surfaces.families[surface.family].name.as_str() {
            "bedrock-agentcore-gateway" => "bedrock-agentcore",
            family => family,
        };
        let own = Dialect::parse(own).expect("a dialect of the family's name");
        assert!(surface.served_by.contains(&own), "{}", surface.id);
        assert!(surfaces.vendors.iter().any(|vendor| vendor.name == surface.vendor), "{}", surface.id);
    }
}
