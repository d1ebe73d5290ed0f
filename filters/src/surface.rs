//! Which API operation is this? A router over the surface table.
//!
//! A path is matched as it came: no decoding, no dot segments, no doubled or trailing slashes. What does not match to the letter is
//! unrecognised, which is a grade and not an error.

use riparian_config::{Dated, Dialect, ModelAt, Surface, Surfaces};
use std::borrow::Cow;

/// The router, compiled from the surface table.
#[derive(Clone, Debug)]
pub struct Router {
    paths: matchit::Router<Vec<Operation>>,
    /// [`versioned_bases`], worked out once.
    bases: Vec<&'static str>,
}

#[derive(Clone, Debug)]
struct Operation {
    method: String,
    surface: usize,
    form: Form,
    /// The path parameter that is the handle, or the model.
    wanted: Option<String>,
}

/// The form of the path that a client used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/v1/...` or `/openai/v1/...`.
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
    /// What stands after the base path, beginning with `/`.
    pub tail: &'a str,
    /// The deployment, where the form has one.
    pub deployment: Option<Cow<'a, str>>,
    /// The value of the segment that is a handle, or the model.
    pub segment: Option<Cow<'a, str>>,
}

/// The base paths under which versioned operations are found; an endpoint's dialect decides which one goes out.
fn versioned_bases() -> impl Iterator<Item = &'static str> {
    let mut bases: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.base_path()).collect();
    bases.sort_unstable();
    bases.dedup();
    bases.into_iter()
}

const DATED: &str = "/openai";
const DEPLOYMENT: &str = "/openai/deployments/{deployment}";

impl Router {
    /// Compiles the table.
    ///
    /// # Errors
    /// When two paths of the table cannot stand beside each other; the text names the path.
    pub fn compile(surfaces: &Surfaces) -> Result<Self, String> {
        let mut paths: Vec<(String, Vec<Operation>)> = Vec::new();
        for (number, surface) in surfaces.surfaces.iter().enumerate() {
            for (base, form) in bases(surface) {
                let path = format!("{base}{}", surface.path);
                let operations = surface.methods.iter().map(|method| Operation {
                    method: method.clone(),
                    surface: number,
                    form,
                    wanted: wanted_segment(surface),
                });
                match paths.iter_mut().find(|(known, _)| *known == path) {
                    Some((_, known)) => known.extend(operations),
                    None => paths.push((path, operations.collect())),
                }
            }
        }
        let mut router = matchit::Router::new();
        for (path, operations) in paths {
            router.insert(&path, operations).map_err(|error| format!("{path}: {error}"))?;
        }
        Ok(Self { paths: router, bases: versioned_bases().collect() })
    }

    /// The operation that `method` and `path` name, if any.
    #[must_use]
    pub fn recognise<'a>(&self, method: &str, path: &'a str) -> Option<Recognised<'a>> {
        let found = self.paths.at(path).ok()?;
        let operation = found.value.iter().find(|operation| operation.method == method)?;
        let mut deployment = None;
        let mut segment = None;
        for (name, value) in found.params.iter() {
            // An encoded slash would be one segment here and two at an origin that decodes first.
            let value = percent_encoding::percent_decode_str(value).decode_utf8().ok()?;
            if value.is_empty()
                || value.bytes().any(|byte| byte == b'/' || byte == b'\\' || byte.is_ascii_control())
                || is_dots(&value)
            {
                return None;
            }
            if name == "deployment" {
                deployment = Some(value);
            } else if operation.wanted.as_deref() == Some(name) {
                segment = Some(value);
            }
        }
        let tail = match operation.form {
            Form::Versioned => self
                .bases
                .iter()
                .filter_map(|base| path.strip_prefix(base))
                .find(|tail| tail.starts_with('/'))?,
            Form::Dated => path.strip_prefix(DATED)?,
            Form::Deployment => {
                let rest = path.strip_prefix("/openai/deployments/")?;
                &rest[rest.find('/')?..]
            }
        };
        Some(Recognised { surface: operation.surface, form: operation.form, tail, deployment, segment })
    }
}

fn wanted_segment(surface: &Surface) -> Option<String> {
    match (&surface.path_handle, surface.model) {
        (Some(namespace), _) => Some(namespace.as_str().to_owned()),
        (None, ModelAt::Path) => Some("model".to_owned()),
        (None, _) => None,
    }
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

fn bases(surface: &Surface) -> Vec<(&'static str, Form)> {
    let mut bases: Vec<_> = versioned_bases().map(|base| (base, Form::Versioned)).collect();
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
        let found = router.recognise(method, path)?;
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
        let found = router.recognise("GET", "/v1/responses/resp_1/input_items").expect("known");
        assert_eq!(found.segment.as_deref(), Some("resp_1"));
        let found = router.recognise("GET", "/v1/conversations/conv_1/items/msg_1").expect("known");
        assert_eq!(found.segment.as_deref(), Some("conv_1"));
    }
}
