//! A strict reader of Prometheus' text format.

use std::collections::{BTreeMap, BTreeSet};

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// One line of an exposition: name, labels, value.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    pub labels: Labels,
    pub value: f64,
}

/// A family of samples.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub samples: Vec<Sample>,
}

/// Reads Prometheus' text format, version 0.0.4, and takes nothing that it does not allow.
pub fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'), "the last line is ended");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut helped, mut current) = (BTreeSet::new(), String::new());
    for line in text.lines() {
        if line.is_empty() {
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and its help");
            assert!(!help.trim().is_empty() && helped.insert(name.to_owned()), "HELP once: {line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and its type");
            assert!(helped.contains(name), "described before: {line}");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            assert!(
                families.insert(name.to_owned(), family).is_none(),
                "TYPE once, and all samples together: {line}"
            );
            name.clone_into(&mut current);
        } else {
            assert!(!line.starts_with('#'), "a comment that is neither: {line}");
            let sample = sample(line);
            let family = families.get_mut(&current).expect("samples follow their TYPE");
            let suffix =
                sample.name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} is not of {current}"));
            let fits = match family.kind.as_str() {
                "histogram" => matches!(suffix, "_bucket" | "_sum" | "_count"),
                _ => suffix.is_empty(),
            };
            assert!(fits, "{line} is no sample of a {}", family.kind);
            let again =
                family.samples.iter().any(|other| other.name == sample.name && other.labels == sample.labels);
            assert!(!again, "a series twice: {line}");
            family.samples.push(sample);
        }
    }
    families
        .iter()
        .filter(|(_, family)| family.kind == "histogram")
        .for_each(|(name, family)| histogram(name, family));
    families
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a series and its value");
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, labels(rest.strip_suffix('}').expect("labels are closed"))),
        None => (series, BTreeMap::new()),
    };
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    assert!(is_name(name) && labels.keys().all(|label| is_name(label)), "{line}");
    Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().unwrap_or_else(|_| panic!("no number: {line}")),
    }
}

fn labels(mut text: &str) -> Labels {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").expect("a label and its value");
        let (value, rest) = rest.split_once('"').expect("values are closed");
        assert!(!value.contains('\\'), "no value of ours needs an escape");
        assert!(labels.insert(name.to_owned(), value.to_owned()).is_none(), "a label twice");
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

/// Buckets by their bound, sum and count.
type Series = (Vec<(f64, f64)>, Option<f64>, Option<f64>);

/// Buckets are cumulative, end at infinity, and agree with the count.
fn histogram(name: &str, family: &Family) {
    let mut series: BTreeMap<Labels, Series> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        let (buckets, sum, count) = series.entry(labels).or_default();
        match (sample.name.strip_prefix(name).unwrap(), bound) {
            ("_bucket", Some(bound)) => buckets.push((bound.parse().unwrap(), sample.value)),
            ("_sum", None) => *sum = Some(sample.value),
            ("_count", None) => *count = Some(sample.value),
            _ => panic!("{sample:?}"),
        }
    }
    for (labels, (buckets, sum, count)) in series {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name} {labels:?}: {buckets:?}");
        let last = buckets.last().expect("a histogram has buckets");
        assert!(last.0.is_infinite() && Some(last.1) == count, "{name} {labels:?}: +Inf is the count");
        assert!(sum.is_some_and(|sum| sum >= 0.0), "{name} {labels:?}");
    }
}

/// The sum over the series of a family whose labels include these.
pub fn total(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> u64 {
    let Some(family) = families.get(name) else { return 0 };
    let samples = family.samples.iter().filter(|sample| {
        sample.name == name
            && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|own| own == value))
    });
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters of a test are small and whole"
    )]
    let sum = samples.map(|sample| sample.value).sum::<f64>() as u64;
    sum
}
