//! The surfaces: API operations as data, with the signals of state that each can carry.
//!
//! The built-in table is `surfaces/*.yaml`, made from the state taxonomy. A row says how an operation is recognised,
//! what in it speaks of state, which handles it cites, and which handles its answers give birth to. Every fact that
//! the classifier uses is in these rows; there is no operation in the code.

use crate::cloud::Dialect;
use crate::grade::Grade;
use crate::name::{FamilyName, Namespace, SurfaceId, UsageName, VendorName};
use crate::pattern::Pattern;
use crate::usage::UsageShape;
use std::time::Duration;

/// Every surface that is known, with the families and the kinds of handles that they speak of, and every vendor.
#[derive(Clone, Debug, Default)]
pub struct Surfaces {
    /// In the order in which one is taken where nothing else tells two apart.
    pub families: Vec<Family>,
    /// Every kind of handle.
    pub kinds: Vec<HandleKind>,
    /// Every way in which answers tell of tokens.
    pub usages: Vec<UsageShape>,
    /// In the files' order. The index of a surface here is its number everywhere else.
    pub surfaces: Vec<Surface>,
    /// Whose model is it? The longest pattern that matches a model's name decides; without one, the vendor of the surface.
    pub vendors: Vec<Vendor>,
}

/// A family of API operations: a dialect as clients speak it.
#[derive(Clone, Debug)]
pub struct Family {
    /// The beginning of its surfaces' ids.
    pub name: FamilyName,
    /// A few words for people.
    pub title: String,
    /// What tells its requests from those of another family that has the same path.
    pub marks: Marks,
    /// A request without a mark is never this family's.
    pub only_marked: bool,
    /// What may stand before every path: each is empty, or begins with `/` and ends without; `{name}` for a segment.
    pub bases: Vec<String>,
    /// A path segment may hold an encoded slash, as ARNs do.
    pub encoded_slashes: bool,
}

/// What a request's head must have, any of it, to be known for a family's.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// One of these headers is there. Lower case.
    pub headers: Vec<String>,
    /// `Host` is one of these, or below one that begins with `*.`. Lower case.
    pub hosts: Vec<String>,
    /// One of these parameters is in the query.
    pub query: Vec<String>,
    /// `Authorization` begins with one of these.
    pub authorization: Vec<String>,
}

/// A kind of handle: what its state is, and how long it lives.
#[derive(Clone, Debug)]
pub struct HandleKind {
    /// Unique over all families.
    pub name: Namespace,
    /// A few words for people.
    pub title: String,
    /// What is particular about it.
    pub mark: Option<Mark>,
    /// How its values begin, as far as that is known; for people.
    pub prefixes: Vec<String>,
    /// How long after its birth it is good; `None`: as long as pins are kept.
    pub lives: Option<Duration>,
    /// How long it is good when nobody uses it; each use renews that.
    pub idle: Option<Duration>,
    /// A harmless GET, after the base path, that tells whether an endpoint has it: `/responses/{}`.
    pub ask: Option<String>,
}

/// What is particular about a kind of handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It says where a request must go, but is no conversation.
    Located,
    /// Clients may invent it: it is bound at the first request, because a wrong endpoint answers with amnesia, not an error.
    Asserted,
    /// A blob that only its issuer can open. It is known by its digest.
    Sealed,
}

impl Mark {
    /// The word for it in surface files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Located => "located",
            Self::Asserted => "asserted",
            Self::Sealed => "sealed",
        }
    }
}

/// A model vendor, known by the names of its models.
#[derive(Clone, Debug)]
pub struct Vendor {
    /// The name that terms use.
    pub name: VendorName,
    /// Names of models, most with a `*` at the end.
    pub models: Vec<Pattern>,
}

/// One API operation.
#[derive(Clone, Debug)]
pub struct Surface {
    /// For instance `openai.responses.create`.
    pub id: SurfaceId,
    /// The index of its family.
    pub family: usize,
    /// The rows of the state taxonomy that it covers.
    pub rows: Vec<String>,
    /// A few words for people.
    pub title: String,
    /// Whose API it is; also the vendor of a request whose model no vendor claims.
    pub vendor: VendorName,
    /// Upper case.
    pub methods: Vec<String>,
    /// After the base path, with `{name}` for a segment, perhaps with a suffix, and `{*name}` for all the rest:
    /// `/responses/{response}`.
    pub path: String,
    /// Its form under Azure's dated paths.
    pub dated: Dated,
    /// Which dialects have this operation.
    pub served_by: Vec<Dialect>,
    /// What its body is.
    pub body: BodyKind,
    /// Where the model's name is.
    pub model: ModelAt,
    /// Where in the body, when it stands there under another name than `/model`.
    pub model_at: Option<Pointer>,
    /// The grade when no signal says more.
    pub grade: Grade,
    /// What speaks of state.
    pub signals: Vec<Signal>,
    /// The path segment that is a handle, by its `{name}`; the name is the handle's namespace.
    pub path_handle: Option<Namespace>,
    /// Where a client's cache key is, for affinity: a pointer to a string in the body.
    pub cache_key: Option<Pointer>,
    /// Handles that its answers give birth to.
    pub births: Vec<Birth>,
    /// Where answers say until when a handle is good.
    pub expires: Vec<Expiry>,
    /// Where the answer says whether it was stored; `false` there means that the handles lead nowhere.
    pub stored: Option<Echo>,
    /// How its answers tell of tokens: of these ways the first that one shows; empty when they do not.
    pub usage: Vec<UsageName>,
    /// A success ends the handles of this kind that the request cites.
    pub deletes: Option<Namespace>,
    /// A LIST: it has no handle, and its answer differs from cloud to cloud.
    pub collective: bool,
    /// A WebSocket, and when its cloud is chosen.
    pub socket: Option<Socket>,
    /// The day on which its vendor shut it down: it is answered, never routed.
    pub retired: Option<String>,
}

impl Surface {
    /// The names of the path's `{name}` and `{*name}` segments, in their order.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(|part| {
            let inner = part.strip_prefix('{')?;
            let (name, _) = inner.split_once('}')?;
            Some(name.strip_prefix('*').unwrap_or(name))
        })
    }

    /// Every kind of handle that it speaks of.
    pub fn kinds(&self) -> impl Iterator<Item = &Namespace> {
        let cited = self.signals.iter().filter_map(|signal| signal.handle.as_ref());
        let born = self.births.iter().map(|birth| &birth.handle);
        let expiring = self.expires.iter().map(|expiry| &expiry.handle);
        cited.chain(born).chain(expiring).chain(&self.path_handle).chain(&self.deletes)
    }
}

/// When a socket's cloud is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// At the upgrade: path, query and headers say everything.
    Upgrade,
    /// By the client's first message.
    Message,
}

/// The form of an operation under Azure's dated paths (`/openai/...?api-version=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dated {
    /// There is none.
    No,
    /// `/openai/deployments/{deployment}` before the path; the deployment is the model.
    Deployment,
    /// `/openai` before the path.
    Plain,
}

/// What an operation's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// None is read for the decision.
    None,
    /// A JSON object.
    Json,
    /// `multipart/form-data`, or a JSON object when the content type says so.
    Multipart,
}

/// Where an operation names its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelAt {
    /// Nowhere.
    None,
    /// `/model` of the JSON body, or the form field `model`; without it the request is refused.
    Required,
    /// The same, but it may be absent.
    Optional,
    /// The segment `{model}` of the path.
    Path,
    /// The parameter `model` or `deployment` of the query.
    Query,
}

/// A pointer into a JSON body: object keys, and `*` for every element of an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer(pub Vec<Step>);

/// One step of a [`Pointer`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The value of this key.
    Key(String),
    /// Every element of the array.
    Each,
}

impl Pointer {
    /// Reads `/input/*/id`. `None` when it does not begin with `/`, or has an empty step.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let steps = text.strip_prefix('/')?.split('/').map(|step| match step {
            "" => None,
            "*" => Some(Step::Each),
            key => Some(Step::Key(key.to_owned())),
        });
        steps.collect::<Option<Vec<_>>>().map(Self)
    }
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Key(key) => write!(f, "/{key}"),
            Step::Each => f.write_str("/*"),
        })
    }
}

/// Something in a request that speaks of state.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Where it is.
    pub at: Source,
    /// What must be there.
    pub when: Condition,
    /// The grade that the request then has at least.
    pub grade: Grade,
    /// The kind of handle that the value is.
    pub handle: Option<Namespace>,
    /// How much of the value the handle is.
    pub take: Take,
}

/// Where in a request something is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// In the JSON body, or in each of a socket's client messages.
    Body(Pointer),
    /// A segment of the path, by its `{name}`.
    Path(String),
    /// A parameter of the query.
    Query(String),
    /// A header, in lower case.
    Header(String),
    /// A field of a form.
    Field(String),
}

impl Source {
    /// Reads `/input/*/id`, `path:name`, `query:name`, `header:name` or `field:name`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return Pointer::parse(text).map(Self::Body);
        }
        let (place, name) = text.split_once(':')?;
        let name = Some(name).filter(|name| !name.is_empty())?.to_owned();
        match place {
            "path" => Some(Self::Path(name)),
            "query" => Some(Self::Query(name)),
            "header" => (!name.bytes().any(|b| b.is_ascii_uppercase())).then_some(Self::Header(name)),
            "field" => Some(Self::Field(name)),
            _ => None,
        }
    }

    /// The pointer, where it is one.
    #[must_use]
    pub fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Body(pointer) => Some(pointer),
            _ => None,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Body(pointer) => pointer.fmt(f),
            Self::Path(name) => write!(f, "path:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Field(name) => write!(f, "field:{name}"),
        }
    }
}

/// How much of a value a handle is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Take {
    /// All of it.
    #[default]
    Whole,
    /// What follows its last slash: resource names and URLs end with the id.
    LastSegment,
}

impl Take {
    /// The handle in `value`.
    #[must_use]
    pub fn of(self, value: &str) -> &str {
        match self {
            Self::Whole => value,
            Self::LastSegment => value.rsplit('/').next().unwrap_or(value),
        }
    }
}

/// What must be at a place for its signal to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Anything but null.
    Present,
    /// A string, and not an empty one outside a body.
    String,
    /// `true`.
    True,
    /// One of these strings.
    OneOf(Vec<String>),
    /// A string that begins with one of these.
    Prefix(Vec<String>),
    /// Anything but `false`: absent and null count too. Only below the root.
    UnlessFalse,
    /// An object with these keys and no others, `id` among them; its `id` is the handle.
    OnlyKeys(Vec<String>),
}

/// A handle that an answer gives birth to.
#[derive(Clone, Debug)]
pub struct Birth {
    /// The kind of handle.
    pub handle: Namespace,
    /// Where it is.
    pub at: Echo,
    /// How much of the value the handle is.
    pub take: Take,
    /// It lives whatever the request's grade is, and although the answer says that it was not stored.
    pub always: bool,
}

/// Until when a handle is good.
#[derive(Clone, Debug)]
pub struct Expiry {
    /// The kind of handle.
    pub handle: Namespace,
    /// Where the answer says so: an RFC 3339 string.
    pub at: Echo,
}

/// Where something is in an answer.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    /// In a JSON answer.
    pub json: Option<Pointer>,
    /// In the data of each server-sent event.
    pub sse: Option<Pointer>,
    /// In the JSON payload of each event of an AWS event stream.
    pub event: Option<Pointer>,
    /// In each message that a socket's server sends.
    pub socket: Option<Pointer>,
    /// In this header, in lower case.
    pub header: Option<String>,
}
