//! The vocabulary of the tables: a section is a list of fields, a field a key with its kind, default and meaning.
//!
//! The tables (in [`crate::sections`]) are read by the decoder and printed as the JSON Schema, so that neither knows a
//! key that the other does not.

/// A map with known keys.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name in the schema and, after an article, in faults: `endpoint`.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) doc: &'static str,
    pub(crate) fields: &'static [Field],
    pub(crate) rule: Rule,
}

/// What must hold of a section's optional keys together.
#[derive(Debug)]
pub(crate) enum Rule {
    Free,
    /// Exactly one of all its keys.
    ExactlyOne,
    /// At least one of these.
    AtLeastOne(&'static [&'static str]),
}

/// A key of a section.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) need: Need,
    pub(crate) kind: Kind,
    /// An example of the value, as written in the file.
    pub(crate) like: &'static str,
    /// Shape, unit, and the default's reason.
    pub(crate) doc: &'static str,
}

/// Whether a key must be there.
#[derive(Debug)]
pub(crate) enum Need {
    Required,
    Optional,
    /// What an absent key means, as it would be written.
    Default(&'static str),
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The number 1.
    Version,
    /// Any text with something in it.
    Text,
    /// 1 to 64 of `a-z A-Z 0-9 . _ -`, a letter or digit first.
    Name,
    /// A name with an optional `*` at its end.
    Pattern,
    /// The name of an environment variable.
    Variable,
    /// A path of a file.
    Path,
    /// `true` or `false`.
    Flag,
    /// A whole number between these, both included.
    Count(u64, u64),
    /// A number of at least 0 and at most this, with at most six digits behind its point.
    Decimal(u64),
    /// A length of time with its unit; `zero` when none at all makes sense.
    Span { zero: bool },
    /// Bytes with their unit, from this many on.
    Size(u64),
    /// A point in time, RFC 3339, or a date for its midnight in UTC.
    Instant,
    /// IP address and port.
    Address,
    /// `http://` or `https://`, a host, optionally a port and a path.
    Url,
    /// `redis://` or `rediss://`, a host, optionally a port and a database.
    RedisUrl,
    /// What the names of keys begin with: 1 to 64 of ASCII, without spaces.
    Prefix,
    /// The name of a header.
    Header,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A pointer into a body: `/input/*/id`.
    Pointer,
    /// One value, or a list of some.
    Many(&'static Kind),
    /// A list of at least one.
    List(&'static Kind),
    /// Names, and what each stands for; at least one.
    Map(&'static Kind),
    /// Model names (not [`Kind::Name`]s: they have colons and slashes) and text; at least one.
    Models,
    /// Under names of some sort, each one of these words.
    Words(&'static [&'static str]),
    /// A map that is written down as JSON, or text.
    Json,
    /// A section.
    In(&'static Section),
    /// A word of a few, or a section.
    WordOr(&'static [&'static str], &'static Section),
}

impl Section {
    /// The field of `key`, if it has one.
    pub(crate) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

impl Kind {
    /// What it is in words, after "is".
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Version => "the number 1".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Name => "a name".to_owned(),
            Self::Pattern => "a name, or the beginning of one and `*`".to_owned(),
            Self::Variable => "the name of an environment variable".to_owned(),
            Self::Path => "the path of a file".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::Decimal(max) => {
                format!("a number from 0 to {max}, with at most six digits behind the point")
            }
            Self::Span { .. } => "a length of time with its unit".to_owned(),
            Self::Size(_) => "a size with its unit".to_owned(),
            Self::Instant => "a point in time".to_owned(),
            Self::Address => "an IP address with a port".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::RedisUrl => "the URL of a Redis".to_owned(),
            Self::Prefix => "1 to 64 characters of ASCII without spaces".to_owned(),
            Self::Header => "the name of a header".to_owned(),
            Self::Word([word]) => format!("`{word}`"),
            Self::Word(words) => format!("one of {}", quoted(words)),
            Self::Pointer => "a pointer into a body".to_owned(),
            Self::Many(kind) => format!("{}, or a list of such", kind.words()),
            Self::List(_) => "a list".to_owned(),
            Self::Json => "a map, or text in quotes".to_owned(),
            Self::Map(_) | Self::Models | Self::Words(_) | Self::In(_) => "a map".to_owned(),
            Self::WordOr(words, section) => {
                let keys = section.fields.iter().map(|field| field.key).collect::<Vec<_>>();
                format!("one of {}, or a map with {}", quoted(words), quoted(&keys))
            }
        }
    }
}

/// `a`, `b`, `c`, each in backquotes.
pub(crate) fn quoted<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}

/// "a" or "an", before `word`.
pub(crate) fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
