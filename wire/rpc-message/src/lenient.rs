//! Reads members that SDKs of different ages spell with different types.

use crate::{CHANNEL_LEN_MAX, CHANNELS_MAX, CUSTOM_HEADERS_MAX, RawHeader};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A member that is there, `null` included.
pub(crate) fn raw<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(deserializer).map(Some)
}

/// A string, or a number or boolean as text; anything else counts as absent.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    })
}

/// A boolean, also as the string `"true"` that mobile SDKs send; anything else is false.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(flag) => flag,
        Value::String(text) => text == "true",
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    })
}

/// A small number, also as text; anything else counts as absent.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// `custom_headers`: a list of `{name, value}`, or an object of name to value. Entries of other shapes are skipped.
pub(crate) fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RawHeader>, D::Error> {
    let pair = |name: &Value, value: &Value| {
        Some(RawHeader {
            name: name.as_str()?.to_owned(),
            value: match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            },
        })
    };
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(items) => items
            .iter()
            .filter_map(|item| pair(item.get("name")?, item.get("value")?))
            .take(CUSTOM_HEADERS_MAX)
            .collect(),
        Value::Object(map) => map
            .iter()
            .filter_map(|(name, value)| pair(&Value::from(name.as_str()), value))
            .take(CUSTOM_HEADERS_MAX)
            .collect(),
        _ => Vec::new(),
    })
}

/// `eventChannel`: one name or a list of them.
pub(crate) fn channels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(one) if one.len() <= CHANNEL_LEN_MAX => vec![one],
        Value::Array(items) => items
            .into_iter()
            .filter_map(|item| match item {
                Value::String(name) if name.len() <= CHANNEL_LEN_MAX => Some(name),
                _ => None,
            })
            .take(CHANNELS_MAX)
            .collect(),
        _ => Vec::new(),
    })
}
