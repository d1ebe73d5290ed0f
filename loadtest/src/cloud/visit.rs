//! One request's view of its cloud, for the operations that read their body as a tree; and what they find out about it.

use std::cell::RefCell;

use bytes::Bytes;
use http::header;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::answer::Words;
use super::complaint::Complaint;
use super::family::Family;
use super::form;
use super::record::Outcome;
use super::script::Script;
use super::serve::Site;

pub(crate) struct Visit<'a> {
    pub(crate) site: &'a Site,
    pub(crate) family: Family,
    pub(crate) head: &'a Parts,
    pub(crate) body: &'a Bytes,
    /// The body as JSON; null if it is empty or a form.
    pub(crate) json: Value,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) script: Script,
    notes: RefCell<Notes>,
}

/// What the journal is to know of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) operation: Option<&'static str>,
    pub(crate) model: Option<String>,
    pub(crate) cited: Vec<String>,
    pub(crate) stream: bool,
    /// An id that was born deeper within than where the answer is made.
    pub(crate) made: Option<String>,
}

impl<'a> Visit<'a> {
    pub(crate) fn new(
        site: &'a Site,
        family: Family,
        head: &'a Parts,
        body: &'a Bytes,
        nonce: Option<&'a str>,
        script: Script,
    ) -> Result<Self, Complaint> {
        let json = json(head, body).map_err(|why| family.bad_body(&why))?;
        Ok(Visit { site, family, head, body, json, nonce, script, notes: RefCell::default() })
    }

    pub(crate) fn notes(&self) -> Notes {
        self.notes.borrow().clone()
    }

    /// Names the operation.
    pub(crate) fn named(&self, operation: &'static str) {
        self.notes.borrow_mut().operation = Some(operation);
    }

    /// It cites this, known here or not.
    pub(crate) fn cites(&self, id: &str) {
        self.notes.borrow_mut().cited.push(id.to_owned());
    }

    pub(crate) fn makes(&self, id: &str) {
        self.notes.borrow_mut().made = Some(id.to_owned());
    }

    pub(crate) fn streams(&self) {
        self.notes.borrow_mut().stream = true;
    }

    /// Notes the model, and refuses one that is not here.
    pub(crate) fn model(&self, model: &str) -> Result<(), Complaint> {
        self.notes.borrow_mut().model = Some(model.to_owned());
        if self.site.spec.models.iter().any(|known| known == model) {
            return Ok(());
        }
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        let mut complaint = self.family.not_found(Outcome::WrongModel, &message);
        complaint.outcome = Outcome::WrongModel;
        Err(complaint)
    }

    pub(crate) fn method(&self) -> &str {
        self.head.method.as_str()
    }

    /// The path's segments, decoded; one empty segment at the end is dropped, for some APIs write a last slash.
    pub(crate) fn path(&self) -> Vec<String> {
        segments(self.head.uri.path())
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.head.method, self.head.uri.path())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        query(self.head.uri.query(), name)
    }

    /// The string at a pointer of the body.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer)?.as_str()
    }

    pub(crate) fn flag(&self, pointer: &str) -> bool {
        self.json.pointer(pointer) == Some(&Value::Bool(true))
    }

    /// The content and the name of the file in a form, or the whole body.
    pub(crate) fn upload(&self) -> (Bytes, Option<String>) {
        let Some(boundary) = boundary(self.head) else { return (self.body.clone(), None) };
        let parts = form::parts(self.body, boundary);
        let file = parts.iter().rfind(|part| part.filename.is_some()).or(parts.last());
        file.map_or_else(Default::default, |part| (self.body.slice_ref(part.content), part.filename.clone()))
    }

    /// A field of a form, or of the body.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        match boundary(self.head) {
            Some(boundary) => form::field(self.body, boundary, name),
            None => self.json.get(name)?.as_str().map(str::to_owned),
        }
    }

    /// The words of an answer that is the `turn`-th of its session.
    pub(crate) fn words(&self, turn: u64) -> Words<'_> {
        Words { name: &self.site.spec.name, turn, nonce: self.nonce, script: self.script }
    }

    pub(crate) fn prompt_tokens(&self) -> u64 {
        self.body.len() as u64 / 4 + 1
    }

    pub(crate) fn no_path(&self) -> Complaint {
        self.family.no_path(&self.line())
    }
}

fn boundary(head: &Parts) -> Option<&str> {
    form::boundary(head.headers.get(header::CONTENT_TYPE)?.to_str().ok()?)
}

fn json(head: &Parts, body: &Bytes) -> Result<Value, String> {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let raw = content_type.is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        !(kind.starts_with("application/json")
            || kind.starts_with("application/a2a+json")
            || kind.starts_with("application/x-amz-json"))
    });
    if body.is_empty() || raw {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| format!("The body is not JSON: {error}"))
}

pub(crate) fn segments(path: &str) -> Vec<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}

pub(crate) fn query(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}
