//! A YAML file as plain values: what the oracle looks at is text, lists and maps, and nothing else.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Nothing,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// A truth value, a broken number, a tag: nothing that the oracle reads.
    Other,
}

impl Node {
    /// The one document of `text`. Doubled keys are an error.
    pub(crate) fn parse(text: &str) -> Result<Node, String> {
        let documents = Yaml::load_from_str(text).map_err(|error| format!("this is no YAML: {error}"))?;
        match documents.as_slice() {
            [document] => Node::of(document),
            _ => Err(format!("one YAML document was expected, there are {}", documents.len())),
        }
    }

    fn of(yaml: &Yaml<'_>) -> Result<Node, String> {
        Ok(match yaml {
            Yaml::Value(Scalar::Null) => Node::Nothing,
            Yaml::Value(Scalar::String(text)) => Node::Text(text.to_string()),
            Yaml::Value(Scalar::Integer(number)) => Node::Text(number.to_string()),
            Yaml::Sequence(items) => Node::List(items.iter().map(Node::of).collect::<Result<_, _>>()?),
            Yaml::Mapping(entries) => {
                let entry = |(key, value): (&Yaml<'_>, &Yaml<'_>)| match Node::of(key)? {
                    Node::Text(key) => Ok((key, Node::of(value)?)),
                    other => Err(format!("a key is no text: {other:?}")),
                };
                Node::Map(entries.iter().map(entry).collect::<Result<_, _>>()?)
            }
            _ => Node::Other,
        })
    }

    /// What stands under `key`; nothing if this is no map.
    pub(crate) fn find(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The entries of the map under `key`; none if there is no such key.
    pub(crate) fn entries(&self, key: &str) -> Result<&[(String, Node)], String> {
        match self.find(key) {
            None | Some(Node::Nothing) => Ok(&[]),
            Some(Node::Map(entries)) => Ok(entries),
            Some(_) => Err(format!("`{key}` is no map")),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, String> {
        match self.find(key) {
            None | Some(Node::Nothing) => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{key}` is no text")),
        }
    }

    /// One text, or a list of texts; none if there is no such key.
    pub(crate) fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, String> {
        fn text<'n>(node: &'n Node, key: &str) -> Result<&'n str, String> {
            match node {
                Node::Text(text) => Ok(text),
                _ => Err(format!("`{key}` holds something that is no text")),
            }
        }
        match self.find(key) {
            None | Some(Node::Nothing) => Ok(None),
            Some(Node::List(items)) => {
                items.iter().map(|item| text(item, key)).collect::<Result<_, _>>().map(Some)
            }
            Some(node) => text(node, key).map(|text| Some(vec![text])),
        }
    }

    /// The first key that is not one of `known`; none if this is no map.
    pub(crate) fn stranger(&self, known: &[&str]) -> Option<&str> {
        let Node::Map(entries) = self else { return None };
        entries.iter().map(|(key, _)| key.as_str()).find(|key| !known.contains(key))
    }
}
