//! Bencode, the notation of `ng` messages: integers, byte strings, lists and dictionaries.

use std::collections::BTreeMap;

/// Deepest nesting that is read: `ng` needs three levels.
const DEPTH_MAX: usize = 16;
/// Most values in one message: a large offer has about a hundred.
const VALUES_MAX: usize = 4096;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `i…e`
    Integer(i64),
    /// `length:bytes`
    Bytes(Vec<u8>),
    /// `l…e`
    List(Vec<Value>),
    /// `d…e`
    Dictionary(BTreeMap<Vec<u8>, Value>),
}

/// Why bytes are not bencode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// The message ends inside a value.
    #[error("the message ends inside a value")]
    Cut,
    /// A byte that cannot stand where it does.
    #[error("byte {at} cannot stand there")]
    Unexpected {
        /// Offset in the message.
        at: usize,
    },
    /// Nested deeper, or with more values, than is read.
    #[error("nested too deep or too many values")]
    TooLarge,
}

impl Value {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Value::Bytes(text.into().into_bytes())
    }

    /// A dictionary of these entries.
    pub(super) fn dictionary<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Value::Dictionary(
            entries
                .into_iter()
                .map(|(key, value)| (key.as_bytes().to_vec(), value))
                .collect(),
        )
    }

    /// The entry of a dictionary; `None` if there is none, or this is no dictionary.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Dictionary(entries) => entries.get(key.as_bytes()),
            _ => None,
        }
    }

    /// A byte string that is text.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The texts of a list; of a single text, that one; else nothing.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let items = match self {
            Value::List(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        items.iter().filter_map(Value::as_str)
    }

    /// Writes it to the end of `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::Integer(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
            Value::Bytes(bytes) => encode_bytes(bytes, out),
            Value::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.encode(out));
                out.push(b'e');
            }
            Value::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    encode_bytes(key, out);
                    value.encode(out);
                }
                out.push(b'e');
            }
        }
    }

    /// Reads one value that fills all of `bytes`.
    pub(super) fn decode(bytes: &[u8]) -> Result<Value, BencodeError> {
        let mut reader = Reader {
            bytes,
            at: 0,
            values: 0,
        };
        let value = reader.value(0)?;
        if reader.at == bytes.len() {
            Ok(value)
        } else {
            Err(BencodeError::Unexpected { at: reader.at })
        }
    }
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, BencodeError> {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Err(BencodeError::TooLarge);
        }
        match self.peek()? {
            b'i' => {
                self.at += 1;
                let number = self.number(b'e')?;
                Ok(Value::Integer(number))
            }
            b'l' => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.end_of_collection()? {
                    items.push(self.value(depth + 1)?);
                }
                Ok(Value::List(items))
            }
            b'd' => {
                self.at += 1;
                let mut entries = BTreeMap::new();
                while !self.end_of_collection()? {
                    let key = self.byte_string()?;
                    entries.insert(key, self.value(depth + 1)?);
                }
                Ok(Value::Dictionary(entries))
            }
            _ => Ok(Value::Bytes(self.byte_string()?)),
        }
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        self.bytes.get(self.at).copied().ok_or(BencodeError::Cut)
    }

    fn end_of_collection(&mut self) -> Result<bool, BencodeError> {
        let end = self.peek()? == b'e';
        self.at += usize::from(end);
        Ok(end)
    }

    /// A decimal number and the byte that ends it.
    fn number(&mut self, end: u8) -> Result<i64, BencodeError> {
        let rest = &self.bytes[self.at..];
        // Twenty digits and a sign are more than 64 bits hold.
        let len = rest
            .iter()
            .take(21)
            .position(|byte| *byte == end)
            .ok_or(BencodeError::Unexpected { at: self.at })?;
        let number = std::str::from_utf8(&rest[..len])
            .ok()
            .and_then(|text| text.parse().ok());
        let number = number.ok_or(BencodeError::Unexpected { at: self.at })?;
        self.at += len + 1;
        Ok(number)
    }

    fn byte_string(&mut self) -> Result<Vec<u8>, BencodeError> {
        let at = self.at;
        let len = usize::try_from(self.number(b':')?).map_err(|_| BencodeError::Unexpected { at })?;
        let end = self.at.checked_add(len).ok_or(BencodeError::Cut)?;
        let bytes = self.bytes.get(self.at..end).ok_or(BencodeError::Cut)?;
        self.at = end;
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back() {
        let value = Value::dictionary([
            ("command", Value::text("offer")),
            ("flags", Value::List(vec![Value::text("a"), Value::Integer(-5)])),
            ("empty", Value::dictionary([])),
            ("raw", Value::Bytes(vec![0, 255, b'e'])),
        ]);
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        assert_eq!(Value::decode(&bytes), Ok(value));
    }

    #[test]
    fn known_texts() {
        let mut out = Vec::new();
        Value::dictionary([("result", Value::text("pong"))]).encode(&mut out);
        assert_eq!(out, b"d6:result4:ponge");
        assert_eq!(
            Value::decode(b"li1e1:ae").unwrap().texts().collect::<Vec<_>>(),
            ["a"]
        );
    }

    #[test]
    fn broken_messages_are_refused() {
        let deep = [vec![b'l'; 40], vec![b'e'; 40]].concat();
        let cases: [&[u8]; 12] = [
            b"",
            b"i5",
            b"5:abc",
            b"d",
            b"di5ei6ee",
            b"ie",
            b"-1:",
            b"4e",
            b"le3",
            b"99999999999999999999999:",
            &deep,
            b"9223372036854775807:a",
        ];
        for bytes in cases {
            assert!(
                Value::decode(bytes).is_err(),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}
