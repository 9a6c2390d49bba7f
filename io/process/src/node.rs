//! The name of a node.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Name of a node, unique in the fleet: 1 to 63 characters of `a-z A-Z 0-9 - _ .`, as it stands in logs, traces and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Why a text is not a [`NodeName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node name is 1 to {max} characters of a-z A-Z 0-9 - _ .", max = NodeName::LEN_MAX)]
pub struct InvalidNodeName;

impl NodeName {
    /// Longest name in bytes: that of a DNS label, because hosts are often named alike.
    pub const LEN_MAX: usize = 63;

    /// Takes `text` if it is a node name.
    pub fn new(text: &str) -> Result<Self, InvalidNodeName> {
        let valid = (1..=Self::LEN_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidNodeName)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NodeName {
    fn default() -> Self {
        Self("local".to_owned())
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for NodeName {
    type Error = InvalidNodeName;
    fn try_from(text: String) -> Result<Self, InvalidNodeName> {
        Self::new(&text)
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_labels() {
        assert_eq!(
            NodeName::new("nj1-a").map(|n| n.to_string()),
            Ok("nj1-a".to_owned())
        );
        for bad in ["", "a b", "a\"b", "a\nb", &"a".repeat(64)] {
            assert_eq!(NodeName::new(bad), Err(InvalidNodeName), "{bad:?}");
        }
    }
}
