//! Identity is a name, never a URL and never a bare string.

use std::fmt;
use std::sync::Arc;

/// What a name may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// No characters at all.
    Empty,
    /// Over [`NAME_BYTES_MAX`] bytes.
    TooLong,
    /// A character outside `a-z A-Z 0-9 . _ -`, or a first one that is no letter or digit.
    Character(char),
}

/// Names end up in headers, labels and log lines, so they are short.
pub const NAME_BYTES_MAX: usize = 64;

fn check(name: &str) -> Result<(), NameFault> {
    if name.len() > NAME_BYTES_MAX {
        return Err(NameFault::TooLong);
    }
    let first = name.chars().next().ok_or(NameFault::Empty)?;
    if !first.is_ascii_alphanumeric() {
        return Err(NameFault::Character(first));
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(bad) => Err(NameFault::Character(bad)),
        None => Ok(()),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `name`: 1 to 64 of `a-z A-Z 0-9 . _ -`, a letter or digit first.
            ///
            /// # Errors
            /// When it is empty, too long, or has another character.
            pub fn new(name: &str) -> Result<Self, NameFault> {
                check(name)?;
                Ok(Self(Arc::from(name)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}

names! {
    /// A contracting party's platform: `azure`, `aws`, `openai`.
    CloudName;
    /// A part of the world in which data must stay: `eu`, `us`.
    DataRegion;
    /// One address in a cloud.
    EndpointName;
    /// A listening socket.
    ListenerName;
    /// A product that a contract speaks of: a set of surfaces.
    ProductName;
    /// A party's interpretation of "stateful".
    ReadingName;
    /// An API operation: `openai.responses.create`.
    SurfaceId;
    /// Who asks, where that has a name.
    TenantName;
    /// One clause of a contract.
    TermId;
    /// A family of API operations: `openai`, `anthropic`.
    FamilyName;
    /// Whose model a request asks for.
    VendorName;
    /// The kind of a handle: `response`, `conversation`, `container`.
    Namespace;
}
