//! A file's sections to checked rows.

use super::sections::{CONDITION, FILE};
use crate::fault::{Found, Place};
use crate::read::{Fields, Spot, first_line, text};
use crate::table::Kind::Pointer as At;
use crate::tree::{Value, load};
use crate::{
    Birth, BodyKind, Condition, Dated, Dialect, Echo, Expiry, Family, FamilyName, Faults, Grade, HandleKind,
    Mark, Marks, ModelAt, NameFault, Namespace, Pattern, Pointer, Signal, Socket, Source, Step, Surface,
    SurfaceId, Surfaces, Take, UsageName, UsageShape, Vendor, VendorName,
};

/// Reads one file of surfaces and vendors. In the result, families are numbered from 0.
pub(super) fn parse(text: &str, file: &str) -> Result<Surfaces, Faults> {
    let mut found = Found::default();
    let surfaces = load(text, &mut found).and_then(|root| {
        let fields = Fields::open(&root, first_line(&root), &FILE, &mut found)?;
        let family = family(&fields, &mut found);
        let kinds = fields.named("handles", &mut found);
        let kinds = kinds.into_iter().filter_map(|(spot, fields)| kind(spot, &fields?, &mut found)).collect();
        let named = fields.named("usages", &mut found);
        let usages =
            named.into_iter().filter_map(|(spot, fields)| usage(spot, &fields?, &mut found)).collect();
        let sections = fields.sections("surfaces", &mut found);
        if let (None, Some(_)) = (&family, sections.first()) {
            let why = "every surface belongs to a family, whose name its id begins with";
            found.fault(fields.at("surfaces"), "`family` is missing", why, "`family: ours`");
        }
        let surfaces =
            sections.iter().filter_map(|fields| surface(fields, family.as_ref()?, &mut found)).collect();
        let named = fields.named("vendors", &mut found);
        let vendors =
            named.into_iter().filter_map(|(spot, fields)| vendor(spot, &fields?, &mut found)).collect();
        Some(Surfaces { families: family.into_iter().collect(), kinds, usages, surfaces, vendors })
    });
    found.finish(surfaces, text, file)
}

fn family(fields: &Fields<'_>, found: &mut Found) -> Option<Family> {
    let only_marked = fields.flag("only_marked", found);
    let encoded_slashes = fields.flag("encoded_slashes", found);
    let title = fields.text("title", found).map(|spot| spot.text.to_owned());
    let mut bases = Vec::new();
    for spot in fields.texts("bases", found) {
        if spot.text.starts_with('/') && !spot.text.ends_with('/') || spot.text == "/" {
            bases.push(spot.text.trim_end_matches('/').to_owned());
        } else {
            let why = "a base path begins with `/` and ends without one; `/` alone is none at all";
            found.fault(spot.at, format!("`{}` is no base path", spot.text), why, "such as `/v1`");
        }
    }
    if bases.is_empty() {
        bases.push(String::new());
    }
    let marks = fields.section("marks", found).map(|fields| marks(&fields, found)).unwrap_or_default();
    let name = name(fields, "family", FamilyName::new, found)?;
    Some(Family {
        title: title.unwrap_or_else(|| name.to_string()),
        name,
        marks,
        only_marked: only_marked?,
        bases,
        encoded_slashes: encoded_slashes?,
    })
}

fn marks(fields: &Fields<'_>, found: &mut Found) -> Marks {
    Marks {
        headers: lower(fields, "headers", found),
        hosts: lower(fields, "hosts", found),
        query: texts(fields, "query", found),
        authorization: texts(fields, "authorization", found),
    }
}

fn kind(spot: Spot<'_>, fields: &Fields<'_>, found: &mut Found) -> Option<HandleKind> {
    let name = named(spot, Namespace::new, found);
    let title = fields.text("title", found).map(|spot| spot.text.to_owned());
    let mark = fields.has("mark").then(|| fields.word("mark", found)).flatten();
    let prefixes = texts(fields, "prefixes", found);
    let lives = fields.has("lives").then(|| fields.span("lives", found)).flatten();
    let idle = fields.has("idle").then(|| fields.span("idle", found)).flatten();
    let ask = fields.text("ask", found).and_then(|spot| {
        let whole = spot.text.starts_with('/') && spot.text.matches("{}").count() == 1;
        held(whole.then(|| spot.text.to_owned()), spot, "a path with one `{}` in it", found)
    });
    Some(HandleKind {
        name: name?,
        title: title?,
        mark: mark.map(|mark| match mark {
            "located" => Mark::Located,
            "asserted" => Mark::Asserted,
            _ => Mark::Sealed,
        }),
        prefixes,
        lives,
        idle,
        ask,
    })
}

fn usage(spot: Spot<'_>, fields: &Fields<'_>, found: &mut Found) -> Option<UsageShape> {
    let name = named(spot, UsageName::new, found);
    let [json, sse, event, socket] = ["json", "sse", "event", "socket"].map(|key| {
        let texts = fields.texts(key, found);
        texts
            .into_iter()
            .filter_map(|spot| held(Pointer::parse(spot.text), spot, "a pointer", found))
            .collect()
    });
    let adds = fields.flag("adds", found);
    let [input, cached, cache_write, output, reasoning] =
        ["input", "cached", "cache_write", "output", "reasoning"].map(|key| counts(fields, key, found));
    Some(UsageShape {
        name: name?,
        json,
        sse,
        event,
        socket,
        adds: adds?,
        input,
        cached,
        cache_write,
        output,
        reasoning,
    })
}

fn counts(fields: &Fields<'_>, key: &str, found: &mut Found) -> Vec<Source> {
    let texts = fields.texts(key, found);
    let counts = texts.into_iter().filter_map(|spot| {
        let source =
            Source::parse(spot.text).filter(|source| matches!(source, Source::Body(_) | Source::Header(_)));
        held(source, spot, "a pointer, or `header:` and a name in lower case", found)
    });
    counts.collect()
}

fn vendor(spot: Spot<'_>, fields: &Fields<'_>, found: &mut Found) -> Option<Vendor> {
    let name = named(spot, VendorName::new, found);
    let texts = fields.texts("models", found);
    let models = texts
        .into_iter()
        .filter_map(|spot| held(Pattern::parse(spot.text), spot, "a pattern", found))
        .collect();
    Some(Vendor { name: name?, models })
}

fn surface(fields: &Fields<'_>, family: &Family, found: &mut Found) -> Option<Surface> {
    let id = name(fields, "id", SurfaceId::new, found);
    if let Some(id) = &id
        && id.as_str().strip_prefix(family.name.as_str()).is_none_or(|rest| !rest.starts_with('.'))
    {
        let why = format!("the surfaces of the family `{0}` are called `{0}.*`", family.name);
        found.fault(
            fields.value_at("id"),
            format!("`{id}` is of another family"),
            why,
            format!("`{}.{id}`", family.name),
        );
    }
    let rows = texts(fields, "rows", found);
    let title = fields.text("title", found).map(|spot| spot.text.to_owned());
    let vendor = name(fields, "vendor", VendorName::new, found);
    let methods = texts(fields, "methods", found);
    let path = fields.text("path", found).map(|spot| spot.text.to_owned());
    let dated = fields.word("dated", found);
    let dialects = fields.texts("served_by", found);
    let served_by = dialects
        .into_iter()
        .filter_map(|spot| held(Dialect::parse(spot.text), spot, "a dialect", found))
        .collect();
    let body = fields.word("body", found);
    let model = fields.word("model", found);
    let model_at = pointer(fields, "model_at", found);
    let grade = fields.word("grade", found).and_then(Grade::parse);
    let signals = fields.sections("signals", found);
    let signals = signals.iter().filter_map(|fields| signal(fields, found)).collect();
    let path_handle = name(fields, "path_handle", Namespace::new, found);
    let cache_key = pointer(fields, "cache_key", found);
    let births = fields.sections("births", found);
    let births = births.iter().filter_map(|fields| birth(fields, found)).collect();
    let expires = fields.sections("expires", found);
    let expires = expires.iter().filter_map(|fields| expiry(fields, found)).collect();
    let stored = fields.section("stored", found).map(|fields| echo(&fields, found));
    let usage = fields.texts("usage", found);
    let usage = usage.into_iter().filter_map(|spot| named(spot, UsageName::new, found)).collect();
    let deletes = name(fields, "deletes", Namespace::new, found);
    let collective = fields.flag("collective", found);
    let socket = fields.has("socket").then(|| fields.word("socket", found)).flatten();
    let retired = fields.text("retired", found).map(|spot| spot.text.to_owned());
    Some(Surface {
        id: id?,
        family: 0,
        rows,
        title: title?,
        vendor: vendor?,
        methods,
        path: path?,
        dated: match dated? {
            "deployment" => Dated::Deployment,
            "plain" => Dated::Plain,
            _ => Dated::No,
        },
        served_by,
        body: match body? {
            "json" => BodyKind::Json,
            "multipart" => BodyKind::Multipart,
            _ => BodyKind::None,
        },
        model: match model? {
            "required" => ModelAt::Required,
            "optional" => ModelAt::Optional,
            "path" => ModelAt::Path,
            "query" => ModelAt::Query,
            _ => ModelAt::None,
        },
        model_at,
        grade: grade?,
        signals,
        path_handle,
        cache_key,
        births,
        expires,
        stored,
        usage,
        deletes,
        collective: collective?,
        socket: socket.map(|word| if word == "message" { Socket::Message } else { Socket::Upgrade }),
        retired,
    })
}

fn signal(fields: &Fields<'_>, found: &mut Found) -> Option<Signal> {
    let at = fields.text("at", found);
    let at = at.and_then(|spot| {
        held(
            Source::parse(spot.text),
            spot,
            "a pointer, or `path:`, `query:`, `header:`, `field:` and a name",
            found,
        )
    });
    let when = condition(fields, found);
    let grade = fields.word("grade", found).and_then(Grade::parse);
    let handle = name(fields, "handle", Namespace::new, found);
    let take = take(fields, found);
    if let (Some(at), Some(when)) = (&at, &when) {
        suits(fields, at, when, found);
    }
    Some(Signal { at: at?, when: when?, grade: grade?, handle, take: take? })
}

/// Reports a condition that cannot be asked at its place.
fn suits(fields: &Fields<'_>, at: &Source, when: &Condition, found: &mut Found) {
    match (at, when) {
        (Source::Body(Pointer(steps)), Condition::UnlessFalse)
            if !matches!(steps.as_slice(), [Step::Key(_)]) =>
        {
            let why = "what is absent has no place in a body but the root's keys";
            found.fault(
                fields.value_at("at"),
                "`unless_false` stands below the root",
                why,
                "a key of the root",
            );
        }
        (Source::Body(_), _) => {}
        (_, Condition::True | Condition::UnlessFalse | Condition::OnlyKeys(_)) => {
            let why = "outside a JSON body every value is text";
            found.fault(
                fields.value_at("when"),
                "this asks for more than text",
                why,
                "`string`, `one_of` or `prefix`",
            );
        }
        _ => {}
    }
}

fn condition(fields: &Fields<'_>, found: &mut Found) -> Option<Condition> {
    let entry = fields.entry("when")?;
    if let Value::Map(_) = entry.node.value {
        let fields = Fields::open(&entry.node, entry.key_at, &CONDITION, found)?;
        let (one_of, prefix) = (texts(&fields, "one_of", found), texts(&fields, "prefix", found));
        let only_keys = texts(&fields, "only_keys", found);
        return Some(match (prefix.is_empty(), only_keys.is_empty()) {
            (false, _) => Condition::Prefix(prefix),
            (true, false) => Condition::OnlyKeys(only_keys),
            (true, true) => Condition::OneOf(one_of),
        });
    }
    Some(match fields.word("when", found)? {
        "string" => Condition::String,
        "is_true" => Condition::True,
        "unless_false" => Condition::UnlessFalse,
        _ => Condition::Present,
    })
}

fn birth(fields: &Fields<'_>, found: &mut Found) -> Option<Birth> {
    let handle = name(fields, "handle", Namespace::new, found);
    let at = echo(fields, found);
    let take = take(fields, found);
    let always = fields.flag("always", found);
    Some(Birth { handle: handle?, at, take: take?, always: always? })
}

fn expiry(fields: &Fields<'_>, found: &mut Found) -> Option<Expiry> {
    let handle = name(fields, "handle", Namespace::new, found);
    let at = echo(fields, found);
    Some(Expiry { handle: handle?, at })
}

fn echo(fields: &Fields<'_>, found: &mut Found) -> Echo {
    let [json, sse, event, socket] =
        ["json", "sse", "event", "socket"].map(|key| pointer(fields, key, found));
    let header = fields.text("header", found).and_then(|spot| lower_case(spot, found));
    Echo { json, sse, event, socket, header }
}

fn take(fields: &Fields<'_>, found: &mut Found) -> Option<Take> {
    Some(if fields.word("take", found)? == "last_segment" { Take::LastSegment } else { Take::Whole })
}

fn pointer(fields: &Fields<'_>, key: &str, found: &mut Found) -> Option<Pointer> {
    let entry = fields.entry(key)?;
    let spot = text(&entry.node, entry.node.at, key, &At, found)?;
    held(Pointer::parse(spot.text), spot, "a pointer", found)
}

fn texts(fields: &Fields<'_>, key: &str, found: &mut Found) -> Vec<String> {
    fields.texts(key, found).iter().map(|spot| spot.text.to_owned()).collect()
}

fn lower(fields: &Fields<'_>, key: &str, found: &mut Found) -> Vec<String> {
    fields.texts(key, found).into_iter().filter_map(|spot| lower_case(spot, found)).collect()
}

fn lower_case(spot: Spot<'_>, found: &mut Found) -> Option<String> {
    let text = (!spot.text.bytes().any(|byte| byte.is_ascii_uppercase())).then(|| spot.text.to_owned());
    held(text, spot, "in lower case", found)
}

fn name<T>(
    fields: &Fields<'_>,
    key: &str,
    new: impl Fn(&str) -> Result<T, NameFault>,
    found: &mut Found,
) -> Option<T> {
    fields.text(key, found).and_then(|spot| named(spot, new, found))
}

fn named<T>(spot: Spot<'_>, new: impl Fn(&str) -> Result<T, NameFault>, found: &mut Found) -> Option<T> {
    held(new(spot.text).ok(), spot, "a name", found)
}

/// `value`, or a fault that the text is not `what`.
fn held<T>(value: Option<T>, spot: Spot<'_>, what: &str, found: &mut Found) -> Option<T> {
    if value.is_none() {
        let at: Place = spot.at;
        found.fault(at, format!("`{}` is not {what}", spot.text), format!("{what} is due"), what);
    }
    value
}
