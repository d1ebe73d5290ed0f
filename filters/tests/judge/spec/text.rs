//! A contract as the text of a configuration.

use super::{BASE, Contract, GRADES, IDLE, ON_EXPIRY, Reading, TENANTS, Term, cloud_name};
use serde_json::{Value, json};

impl Contract {
    /// The configuration, in JSON, which is YAML.
    pub(crate) fn text(&self, balance: &str) -> String {
        let mut port = 9000;
        let clouds: serde_json::Map<String, Value> = (0..)
            .zip(&self.clouds)
            .map(|(cloud, endpoints)| {
                let endpoints = (0..).zip(endpoints).map(|(at, it): (u32, _)| {
                    port += 1;
                    let mut endpoint = json!({
                        "name": format!("e{cloud}-{at}"), "dialect": it.dialect, "weight": it.weight,
                        "url": format!("http://127.0.0.1:{port}"), "credential": "none",
                    });
                    if let Some(models) = &it.models {
                        endpoint["models"] = models
                            .iter()
                            .map(|name| ((*name).to_owned(), json!(format!("own-{name}"))))
                            .collect();
                    }
                    endpoint
                });
                (cloud_name(cloud), json!({ "endpoints": endpoints.collect::<Vec<_>>() }))
            })
            .collect();
        let products: serde_json::Map<String, Value> = (0..)
            .zip(&self.products)
            .map(|(number, surfaces)| (product_name(number), json!({ "surfaces": surfaces })))
            .collect();
        let tenants: serde_json::Map<String, Value> =
            TENANTS.iter().map(|(name, region)| ((*name).to_owned(), tenant(name, *region))).collect();
        let terms: Vec<_> = (0..).zip(&self.terms).map(|(number, term)| term.json(number)).collect();
        let config = json!({
            "version": 1,
            "listeners": [{ "name": "l", "bind": "127.0.0.1:8080" }],
            "clouds": clouds,
            "products": products,
            "tenants": tenants,
            "vendors": { "acme": { "models": self.acme } },
            "sessions": { "idle": format!("{IDLE}s") },
            "balance": balance,
            "contract": {
                "enforce": format!("r{}", self.enforced),
                "band": self.band,
                "readings": READINGS,
                "clock_skew": if self.skew_seconds == 0 { json!(0) } else { json!(format!("{}s", self.skew_seconds)) },
                "terms": terms,
            },
        });
        let text = serde_json::to_string_pretty(&config).expect("made of text");
        let readings = self.readings.iter().enumerate();
        let readings: Vec<_> =
            readings.map(|(at, reading)| format!("\"r{at}\": {}", reading.text())).collect();
        text.replace(&format!("\"{READINGS}\""), &format!("{{ {} }}", readings.join(", ")))
    }
}

/// Stands where the readings come: a map of JSON is sorted, and in theirs the order counts.
const READINGS: &str = "@readings";

fn tenant(name: &str, region: Option<&str>) -> Value {
    let mut tenant = json!({ "subjects": [format!("CN={name}")] });
    region.into_iter().for_each(|region| tenant["data_region"] = json!(region));
    tenant
}

fn product_name(product: usize) -> String {
    format!("p{product}")
}

fn class(stateful: bool) -> &'static str {
    if stateful { "stateful" } else { "stateless" }
}

impl Reading {
    fn text(&self) -> String {
        let from = self.stateful_from.map_or("never", |grade| GRADES[grade]);
        let mut keys = vec![format!("\"stateful_from\": \"{from}\"")];
        if self.inherits {
            keys.push("\"inner_calls\": \"inherit\"".to_owned());
        }
        for (key, classes) in [("surfaces", &self.surfaces), ("signals", &self.signals)] {
            let each = classes.iter().map(|(name, stateful)| format!("\"{name}\": {}", class(*stateful)));
            if !classes.is_empty() {
                keys.push(format!("\"{key}\": {{ {} }}", each.collect::<Vec<_>>().join(", ")));
            }
        }
        format!("{{ {} }}", keys.join(", "))
    }
}

impl Term {
    fn json(&self, number: usize) -> Value {
        let names = |clouds: &[usize]| json!(clouds.iter().map(|at| cloud_name(*at)).collect::<Vec<_>>());
        let instant = |seconds: i64| {
            json!(riparian_config::Timestamp::from_second(BASE + seconds).unwrap().to_string())
        };
        let mut term = json!({ "id": format!("t{number}") });
        let mut put = |key: &str, value: Value| term[key] = value;
        self.from.into_iter().for_each(|from| put("from", instant(from)));
        self.until.into_iter().for_each(|until| put("until", instant(until)));
        self.only.iter().for_each(|only| put("only", names(only)));
        self.on_expiry.into_iter().for_each(|kind| put("on_expiry", json!(ON_EXPIRY[kind])));
        for (key, clouds) in [("never", &self.never), ("prefer", &self.prefer)] {
            if !clouds.is_empty() {
                put(key, names(clouds));
            }
        }
        let mut when = json!({});
        let texts = [
            ("vendor", &self.vendors),
            ("surface", &self.surfaces),
            ("model", &self.models),
            ("tenant", &self.tenants),
            ("data_region", &self.regions),
        ];
        for (key, values) in texts.into_iter().filter(|(_, values)| !values.is_empty()) {
            when[key] = json!(values);
        }
        if let Some(stateful) = self.stateful {
            when["class"] = json!(class(stateful));
        }
        if !self.grades.is_empty() {
            when["grade"] = self.grades.iter().map(|grade| json!(GRADES[*grade])).collect();
        }
        if !self.products.is_empty() {
            when["product"] = self.products.iter().map(|at| json!(product_name(*at))).collect();
        }
        if when != json!({}) {
            term["when"] = when;
        }
        term
    }
}
