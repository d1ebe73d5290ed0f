//! What an absent key means, and what the values in a file become.

use riparian_config::{
    AccessLog, AwsKeys, Balance, Condition, Config, Credential, Grade, HttpVersion, ListenerProtocol,
    Pattern, SecretRef, SigV4, Store, Surfaces,
};
use std::time::Duration;

const MINIMAL: &str = include_str!("../examples/minimal.yaml");
const LIMITS: &str = include_str!("../examples/limits.yaml");
const EVERY_KEY: &str = include_str!("every_key.yaml");

fn parse(text: &str) -> Config {
    let read = |file: &str| {
        let contract = file == "counsel.yaml";
        let text =
            if contract { "parties: [Acme, Contoso]\n" } else { "vendors: { ours: { models: [ours-*] } }\n" };
        Ok(text.to_owned())
    };
    Config::parse_with(text, "f.yaml", &read).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn the_example_of_all_limits_says_the_defaults() {
    let (minimal, limits) = (parse(MINIMAL), parse(LIMITS));
    assert_eq!(minimal.limits, limits.limits);
    assert_eq!(minimal.retries, limits.retries);
    assert_eq!(minimal.health, limits.health);
    assert_eq!(minimal.balance, limits.balance);
    assert_eq!(minimal.telemetry, limits.telemetry);
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = parse(MINIMAL);
    let limits = &config.limits;
    assert_eq!((limits.body, limits.held_bodies), (32 << 20, 512 << 20));
    assert_eq!(
        (limits.head, limits.target, limits.headers, limits.streams),
        (32 << 10, 8 << 10, 100, 10_000)
    );
    assert_eq!(limits.first_byte_within, Duration::from_secs(120));
    assert_eq!(limits.drain_within, Duration::from_secs(600));
    assert_eq!(config.sessions.header, "x-session-id");
    assert_eq!(config.sessions.key, None);
    assert_eq!(config.sessions.pins.ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(config.sessions.pins.store, None, "for whoever starts the proxy");
    assert_eq!(config.contract.clock_skew, Duration::from_secs(5));
    assert_eq!((config.balance, &config.telemetry.access_log), (Balance::Rendezvous, &AccessLog::Stdout));
    assert_eq!(config.listeners[0].protocol, ListenerProtocol::Http1);
    assert_eq!(config.tenants, riparian_config::Tenants::default(), "whoever comes is a tenant of its own");
    assert!(config.admin.is_none());
    let endpoint = &config.clouds[0].endpoints[0];
    assert_eq!((endpoint.weight, endpoint.http_version), (100, HttpVersion::Http1));
    assert_eq!(endpoint.timeouts.connect, limits.connect_within);
    assert_eq!(config.clouds[0].owner, "azure");
}

#[test]
fn what_the_file_says_is_what_comes_out() {
    let config = parse(EVERY_KEY);
    let endpoint = &config.clouds[0].endpoints[0];
    assert_eq!(endpoint.url.to_string(), "https://contoso.openai.azure.com/openai/v1");
    assert_eq!(endpoint.credential, Credential::ApiKey(SecretRef::Env("AZURE_KEY".to_owned())));
    assert_eq!(endpoint.timeouts.first_byte, Duration::from_secs(2));
    assert_eq!(endpoint.models, Some(vec![("gpt-5.5".to_owned(), "gpt55-prod".to_owned())]));
    let term = &config.contract.terms[0];
    assert_eq!(term.from.map(|at| at.to_string()).as_deref(), Some("2026-02-27T00:00:00Z"));
    assert_eq!(term.until.map(|at| at.to_string()).as_deref(), Some("2026-04-26T22:00:00Z"));
    assert_eq!(term.when.grades, [Grade::Continues, Grade::Runtime]);
    assert_eq!(term.when.models, [Pattern::Prefix("gpt-5".to_owned()), Pattern::Prefix(String::new())]);
    assert_eq!(term.only.as_ref().map(Vec::len), Some(1));
    assert_eq!(config.contract.terms[1].only, None, "absent is not the empty set");
    assert_eq!(config.contract.terms[1].never.len(), 1);
    assert_eq!(config.sessions.header, "x-session-id", "in lower case");
    assert_eq!(config.limits.target, 4096);
    let shop = &config.tenants.named[0];
    assert_eq!(
        (shop.credentials.len(), shop.home.as_ref().map(riparian_config::CloudName::as_str)),
        (2, Some("aws"))
    );
    assert_eq!(shop.subjects, ["CN=shop,O=acme", "O=Sue\\, Grabbit,C=GB"]);
    assert_eq!(config.tenants.unknown_caller, riparian_config::UnknownCaller::Refuse);
    let ListenerProtocol::Tls { clients: Some(clients), .. } = &config.listeners[1].protocol else {
        panic!("it asks for certificates")
    };
    assert!(!clients.required);
    let acme = config.surfaces.vendors.iter().find(|vendor| vendor.name.as_str() == "acme");
    assert_eq!(acme.map(|vendor| vendor.models.len()), Some(1));
}

#[test]
fn a_store_has_what_it_needs_and_defaults_for_the_rest() {
    let store = |text: &str| {
        parse(&format!("{MINIMAL}\nsessions: {{ key: {{ env: K }}, pins: {{ {text} }} }}\n"))
            .sessions
            .pins
            .store
    };
    assert_eq!(store("store: memory"), Some(Store::Memory));
    assert_eq!(store("store: journal"), Some(Store::Journal("riparian-pins".into())));
    assert_eq!(store("store: journal, path: /var/lib/pins"), Some(Store::Journal("/var/lib/pins".into())));
    let Some(Store::Redis(redis)) = store("store: redis, redis: { url: redis://127.0.0.1 }") else {
        panic!("a Redis")
    };
    assert_eq!((redis.url.port, redis.url.database, redis.url.tls), (6379, 0, false));
    assert_eq!((redis.prefix.as_str(), redis.within), ("riparian:", Duration::from_millis(50)));
    assert_eq!((redis.password, redis.ca), (None, None));
}

/// `no` and `on` are booleans to YAML 1.1, and Norway became `false` in many a file.
#[test]
fn text_that_other_readers_take_for_a_boolean_stays_text() {
    let text = MINIMAL.replace("dialect: azure-openai\n", "dialect: azure-openai\n        region: no\n");
    assert_eq!(parse(&text).clouds[0].endpoints[0].region.as_deref(), Some("no"));
}

#[test]
fn a_vendor_of_the_same_name_adds_to_the_built_in_one() {
    let config = parse(&format!("{MINIMAL}\nvendors: {{ meta: {{ models: [our-llama-*] }} }}\n"));
    let models = |surfaces: &Surfaces| {
        surfaces
            .vendors
            .iter()
            .find(|vendor| vendor.name.as_str() == "meta")
            .map_or(0, |vendor| vendor.models.len())
    };
    assert_eq!(models(&config.surfaces), models(&Surfaces::built_in()) + 1);
}

/// The row that everything else hangs on, spelt out.
#[test]
fn a_response_is_kept_unless_the_request_says_otherwise() {
    let surfaces = Surfaces::built_in().surfaces;
    let create =
        surfaces.iter().find(|surface| surface.id.as_str() == "openai.responses.create").expect("the row");
    let signal = |at: &str, when: &Condition| {
        create.signals.iter().find(|signal| signal.at.to_string() == at && signal.when == *when)
    };
    assert_eq!(signal("/store", &Condition::UnlessFalse).map(|signal| signal.grade), Some(Grade::Creates));
    let previous = signal("/previous_response_id", &Condition::String).expect("the signal");
    assert_eq!(previous.grade, Grade::Continues);
    assert_eq!(previous.handle.as_ref().map(riparian_config::Namespace::as_str), Some("response"));
    assert!(signal("/conversation", &Condition::String).is_some());
    assert!(signal("/conversation/id", &Condition::String).is_some());
    let born = |kind: &str| create.births.iter().any(|birth| birth.handle.as_str() == kind && !birth.always);
    assert!(born("response") && born("conversation") && born("item"));
}

#[test]
fn line_ends_and_a_byte_order_mark_do_not_matter() {
    parse(&MINIMAL.replace('\n', "\r\n"));
    parse(&format!("\u{feff}{MINIMAL}"));
    let faults = Config::parse("\u{feff}a: 1\r\nb: 2\r\n", "f.yaml").expect_err("no keys of ours");
    assert!(faults.to_string().contains("f.yaml:2:1: `b`"), "{faults}");
    assert!(faults.to_string().contains("f.yaml:1:1: `a`"), "{faults}");
}

#[test]
fn a_signature_is_for_the_endpoints_region_and_for_the_service_at_its_host() {
    let config = parse(EVERY_KEY);
    let credential = |cloud: usize, endpoint: usize| &config.clouds[cloud].endpoints[endpoint].credential;
    let expected =
        SigV4 { service: "bedrock".to_owned(), region: "eu-west-1".to_owned(), source: AwsKeys::Environment };
    assert_eq!(credential(1, 0), &Credential::SigV4(expected));
    let Credential::SigV4(given) = credential(1, 1) else { panic!("keys are given") };
    assert_eq!((given.service.as_str(), given.region.as_str()), ("bedrock", "us-east-1"));
    let AwsKeys::Given { access_key_id, session_token, .. } = &given.source else { panic!("{given:?}") };
    assert_eq!(access_key_id, &SecretRef::Env("KEY_ID".to_owned()));
    assert_eq!(session_token, &Some(SecretRef::Env("TOKEN".to_owned())));
    let agentcore = parse(&EVERY_KEY.replace("            service: bedrock\n", ""));
    let Credential::SigV4(by_host) = &agentcore.clouds[1].endpoints[1].credential else { panic!("so it is") };
    assert_eq!(by_host.service, "bedrock-agentcore");
}
