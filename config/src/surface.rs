//! The surfaces: API operations as data, with the signals of state that each can carry.
//!
//! The built-in table is `surfaces/*.yaml`, made from the state taxonomy. A row says how an operation is recognised,
//! what in it speaks of state, which handles it cites, and which handles its answers give birth to. Every fact that
//! the classifier uses is in these rows; there is no operation in the code.

use crate::cloud::Dialect;
use crate::grade::Grade;
use crate::name::{Namespace, SurfaceId, VendorName};
use crate::pattern::Pattern;

/// Every surface that is known, and every vendor.
#[derive(Clone, Debug, Default)]
pub struct Surfaces {
    /// In the files' order. The index of a surface here is its number everywhere else.
    pub surfaces: Vec<Surface>,
    /// Whose model is it? The longest pattern that matches a model's name decides; without one, the vendor of the surface.
    pub vendors: Vec<Vendor>,
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
    /// A few words for people.
    pub title: String,
    /// Whose API it is; also the vendor of a request whose model no vendor claims.
    pub vendor: VendorName,
    /// Upper case.
    pub methods: Vec<String>,
    /// After the base path, with `{name}` for a segment: `/responses/{response}`.
    pub path: String,
    /// Its form under Azure's dated paths.
    pub dated: Dated,
    /// Which dialects have this operation.
    pub served_by: Vec<Dialect>,
    /// What its body is.
    pub body: BodyKind,
    /// Where the model's name is.
    pub model: ModelAt,
    /// The grade when no signal says more.
    pub grade: Grade,
    /// What speaks of state in the body.
    pub signals: Vec<Signal>,
    /// The path segment that is a handle, by its `{name}`; the name is the handle's namespace.
    pub path_handle: Option<Namespace>,
    /// Where a client's cache key is, for affinity: a pointer to a string in the body.
    pub cache_key: Option<Pointer>,
    /// Handles that its answers give birth to.
    pub births: Vec<Birth>,
    /// Where the answer says whether it was stored; `false` there means that the handles lead nowhere.
    pub stored: Option<Echo>,
    /// A LIST: it has no handle, and its answer differs from cloud to cloud.
    pub collective: bool,
    /// A WebSocket, and when its cloud is chosen.
    pub socket: Option<Socket>,
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
    /// The last segment of the path, `{model}`.
    Path,
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
    pub at: Pointer,
    /// What must be there.
    pub when: Condition,
    /// The grade that the request then has at least.
    pub grade: Grade,
    /// The kind of handle that the value is.
    pub handle: Option<Namespace>,
}

/// What must be at a pointer for its signal to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Anything but null.
    Present,
    /// A string.
    String,
    /// `true`.
    True,
    /// One of these strings.
    OneOf(Vec<String>),
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
}

/// Where something is in an answer.
#[derive(Clone, Debug)]
pub struct Echo {
    /// In a JSON answer.
    pub json: Option<Pointer>,
    /// In the data of each server-sent event.
    pub sse: Option<Pointer>,
}
