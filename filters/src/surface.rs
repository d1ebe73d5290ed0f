//! Which API operation is this? A router over the surface table.
//!
//! A path is matched as it came: no decoding, no dot segments, no doubled or trailing slashes. What does not match to the letter is
//! unrecognised, which is a grade and not an error.
//!
//! Several vendors have the same paths (`/v1/files`, `/v1/agents`, `/mcp`). Each family of operations has a router of its own; where a
//! second family could have the path too, the head's marks decide, and where two families are marked, nobody can tell.

mod marks;
mod overlap;

use crate::head::Head;
use http::Method;
use overlap::Patterns;
use riparian_config::{Dated, Family, Marks, Surface, Surfaces};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// The routers, compiled from the surface table.
#[derive(Clone, Debug)]
pub struct Router {
    families: Vec<Paths>,
}

/// One family's paths.
#[derive(Clone, Debug)]
struct Paths {
    family: Family,
    paths: matchit::Router<Vec<Operation>>,
}

#[derive(Clone, Debug)]
struct Operation {
    method: String,
    surface: usize,
    form: Form,
    /// Segments of the path that stand before the operation's own.
    base: usize,
    /// Another family could have this path and method.
    contested: bool,
}

/// The form of the path that a client used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The operation's path behind one of its family's bases: `/v1/...` or `/openai/v1/...`.
    Versioned,
    /// Azure's `/openai/...?api-version=`.
    Dated,
    /// Azure's `/openai/deployments/{deployment}/...?api-version=`.
    Deployment,
}

/// A recognised operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised<'a> {
    /// The surface's number.
    pub surface: usize,
    /// Which form of the path was used.
    pub form: Form,
    /// What stands before the operation's own path: empty, or beginning with `/`.
    pub base: &'a str,
    /// The operation's own path, beginning with `/`.
    pub tail: &'a str,
    /// The `{name}` segments of the path, escapes undone; those of the base come first.
    pub segments: SmallVec<[Segment<'a>; 2]>,
}

/// A segment that the table names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value, escapes undone.
    pub value: Cow<'a, str>,
    /// Where it stands in the path, as it came.
    pub at: Range<usize>,
}

impl Recognised<'_> {
    /// The value of a segment by its name.
    #[must_use]
    pub fn segment(&self, name: &str) -> Option<&str> {
        self.found(name).map(|segment| &*segment.value)
    }

    /// The deployment, where the form has one.
    #[must_use]
    pub fn deployment(&self) -> Option<&str> {
        (self.form == Form::Deployment).then(|| self.segment("deployment")).flatten()
    }

    /// Where a segment stands in [`Self::tail`].
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Range<usize>> {
        let at = &self.found(name)?.at;
        let base = self.base.len();
        Some(at.start.checked_sub(base)?..at.end.checked_sub(base)?)
    }

    fn found(&self, name: &str) -> Option<&Segment<'_>> {
        // The last one: a base could have a segment of the same name.
        self.segments.iter().rev().find(|segment| segment.name == name)
    }
}

const DATED: &str = "/openai";
const DEPLOYMENT: &str = "/openai/deployments/{deployment}";

impl Router {
    /// Compiles the table.
    ///
    /// # Errors
    /// When two paths of the table cannot stand beside each other; the text names the path.
    pub fn compile(surfaces: &Surfaces) -> Result<Self, String> {
        let whole = |family: usize| {
            let of_family = surfaces.surfaces.iter().enumerate().filter(move |(_, one)| one.family == family);
            of_family.flat_map(move |(number, surface)| {
                let bases = bases(&surfaces.families[family], surface);
                bases.into_iter().map(move |(base, form)| (number, surface, base, form))
            })
        };
        let mut all = Patterns::default();
        for family in 0..surfaces.families.len() {
            for (_, surface, base, _) in whole(family) {
                all.add(family, format!("{base}{}", surface.path), &surface.methods);
            }
        }
        let mut families = Vec::new();
        for (at, family) in surfaces.families.iter().enumerate() {
            let mut paths: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
            for (number, surface, base, form) in whole(at) {
                let path = format!("{base}{}", surface.path);
                let rivals = all.rivals(at, &path);
                let operations = surface.methods.iter().map(|method| Operation {
                    method: method.clone(),
                    surface: number,
                    form,
                    base: base.matches('/').count(),
                    contested: rivals.iter().any(|methods| methods.contains(method)),
                });
                paths.entry(path).or_default().extend(operations);
            }
            let mut router = matchit::Router::new();
            for (path, operations) in paths {
                router.insert(&path, operations).map_err(|error| format!("{path}: {error}"))?;
            }
            families.push(Paths { family: family.clone(), paths: router });
        }
        Ok(Self { families })
    }

    /// The operation that a head names, if any, and if it is one family's only.
    #[must_use]
    pub fn recognise<'a>(&'a self, head: &Head<'a>) -> Option<Recognised<'a>> {
        self.find(head.method, head.path, |marks| marks::bears(head, marks))
    }

    /// The operation that `method` and `path` name when nothing else in the head tells families apart.
    #[must_use]
    pub fn named<'a>(&'a self, method: &str, path: &'a str) -> Option<Recognised<'a>> {
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        self.find(&method, path, |_| false)
    }

    fn find<'a>(
        &'a self,
        method: &Method,
        path: &'a str,
        bears: impl Fn(&Marks) -> bool,
    ) -> Option<Recognised<'a>> {
        let mut first: Option<Recognised<'a>> = None;
        let mut marked: Option<Recognised<'a>> = None;
        for one in &self.families {
            let Some((recognised, contested)) = one.recognise(method, path) else { continue };
            if !contested && !one.family.only_marked {
                return Some(recognised);
            }
            if bears(&one.family.marks) {
                if marked.is_some() {
                    return None;
                }
                marked = Some(recognised);
            } else if !one.family.only_marked {
                first = first.or(Some(recognised));
            }
        }
        marked.or(first)
    }
}

impl Paths {
    fn recognise<'a>(&'a self, method: &Method, path: &'a str) -> Option<(Recognised<'a>, bool)> {
        let found = self.paths.at(path).ok()?;
        let operation = found.value.iter().find(|operation| operation.method == method.as_str())?;
        let mut segments = SmallVec::new();
        for (name, raw) in found.params.iter() {
            let value = percent_encoding::percent_decode_str(raw).decode_utf8().ok()?;
            if !self.is_sound(raw, &value) {
                return None;
            }
            // The value is a part of the path: how far into it tells where.
            let start = raw.as_ptr() as usize - path.as_ptr() as usize;
            segments.push(Segment { name, value, at: start..start + raw.len() });
        }
        let (base, tail) = path.split_at(end_of_base(path, operation.base)?);
        let recognised =
            Recognised { surface: operation.surface, form: operation.form, base, tail, segments };
        Some((recognised, operation.contested))
    }

    /// Whether everybody reads a segment's value in one way. An encoded slash would be one segment here and two at an origin that
    /// decodes first, so only families whose vendors write it so may have it.
    fn is_sound(&self, raw: &str, value: &str) -> bool {
        let is_rest = raw.contains('/');
        let slashes = self.family.encoded_slashes || (is_rest && !raw.to_ascii_lowercase().contains("%2f"));
        !value.is_empty()
            && !value.bytes().any(|byte| byte == b'\\' || byte.is_ascii_control())
            && (slashes || !value.contains('/'))
            && value.split('/').all(|part| !(matches!(part, "." | "..") || part.is_empty() && is_rest))
    }
}

/// Where the first `segments` segments of a path end.
fn end_of_base(path: &str, segments: usize) -> Option<usize> {
    let mut slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at);
    slashes.nth(segments)
}

fn bases<'s>(family: &'s Family, surface: &Surface) -> Vec<(&'s str, Form)> {
    let mut bases: Vec<_> = family.bases.iter().map(|base| (base.as_str(), Form::Versioned)).collect();
    match surface.dated {
        Dated::No => {}
        Dated::Plain => bases.push((DATED, Form::Dated)),
        Dated::Deployment => bases.push((DEPLOYMENT, Form::Deployment)),
    }
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: &str, path: &str) -> Option<(String, Form, String)> {
        let surfaces = Surfaces::built_in();
        let router = Router::compile(&surfaces).expect("the built-in table");
        let found = router.named(method, path)?;
        Some((surfaces.surfaces[found.surface].id.to_string(), found.form, found.tail.to_owned()))
    }

    #[test]
    fn the_three_forms_of_one_operation() {
        let chat = |form| Some(("openai.chat.create".to_owned(), form, "/chat/completions".to_owned()));
        assert_eq!(name("POST", "/v1/chat/completions"), chat(Form::Versioned));
        assert_eq!(name("POST", "/openai/v1/chat/completions"), chat(Form::Versioned));
        assert_eq!(name("POST", "/openai/deployments/gpt-5.5/chat/completions"), chat(Form::Deployment));
        assert_eq!(
            name("POST", "/openai/responses"),
            Some(("openai.responses.create".to_owned(), Form::Dated, "/responses".to_owned()))
        );
    }

    #[test]
    fn what_does_not_match_to_the_letter_is_unrecognised() {
        for (method, path) in [
            ("GET", "/v1/chat/completions/"),
            ("POST", "//v1/chat/completions"),
            ("POST", "/v1/./chat/completions"),
            ("POST", "/V1/chat/completions"),
            ("POST", "/v1/chat%2Fcompletions"),
            ("GET", "/v1/responses/resp_1%2F..%2Fx"),
            ("GET", "/v1/responses/%2e%2e"),
            ("BREW", "/v1/chat/completions"),
            ("GET", "/"),
        ] {
            assert_eq!(name(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn a_segment_that_is_a_handle_is_found_by_name() {
        let surfaces = Surfaces::built_in();
        let router = Router::compile(&surfaces).expect("the built-in table");
        let found = router.named("GET", "/v1/responses/resp%5F1/input_items").expect("known");
        assert_eq!(found.segment("response"), Some("resp_1"));
        assert_eq!(found.place("response").map(|at| &found.tail[at]), Some("resp%5F1"));
        let found = router.named("GET", "/v1/conversations/conv_1/items/msg_1").expect("known");
        assert_eq!((found.segment("conversation"), found.segment("item")), (Some("conv_1"), Some("msg_1")));
        let found = router.named("POST", "/openai/deployments/prod/chat/completions").expect("known");
        assert_eq!((found.deployment(), found.base), (Some("prod"), "/openai/deployments/prod"));
    }
}
