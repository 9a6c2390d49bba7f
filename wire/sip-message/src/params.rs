//! `;name=value` parameters of headers and URIs: a lazy view to read, a writer to make them.

use crate::chars;
use std::borrow::Cow;

/// Parameters as they stand, from the first `;` on (or empty). Nothing is parsed until asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a>(&'a [u8]);

impl<'a> Params<'a> {
    /// A view of `text`, which is empty or starts with `;`.
    pub fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// The bytes of all parameters.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Name and value (`None`: a flag) of each, in order. Quotes stay on quoted values; see [`unquote`].
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        ParamIter { rest: self.0 }
    }

    /// Whether a parameter of this name is there. Names compare without case.
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The value of the first parameter of this name, quotes included; `None` if it is not there or has no value.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .and_then(|(_, value)| value)
    }

    /// Whether every parameter is well formed (no stray text, no open quote).
    pub(crate) fn is_well_formed(&self) -> bool {
        let mut rest = self.0;
        while !rest.is_empty() {
            let Some((name, value, next)) = next_param(rest) else {
                return false;
            };
            let value_ok = value.is_none_or(|v| !v.is_empty());
            if !chars::is_token(name) || !value_ok {
                return false;
            }
            rest = next;
        }
        true
    }
}

struct ParamIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ParamIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value, rest) = next_param(self.rest)?;
        self.rest = rest;
        Some((name, value))
    }
}

type ParamParts<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// One parameter and what follows it; `None` at the end or where the text is no parameter.
fn next_param(text: &[u8]) -> Option<ParamParts<'_>> {
    let text = match chars::trim(text) {
        [b';', rest @ ..] => rest,
        _ => return None,
    };
    let name_end = chars::token_len(text);
    let mut end = name_end;
    loop {
        match memchr::memchr2(b';', b'"', &text[end..]) {
            Some(at) if text[end + at] == b'"' => end = chars::quoted_end(text, end + at)?,
            Some(at) => break end += at,
            None => break end = text.len(),
        }
    }
    let (param, rest) = text.split_at(end);
    let equals = match param.get(name_end) {
        Some(b'=') => Some(name_end),
        None => None,
        // White space, or what is no token.
        Some(_) => param.iter().position(|byte| *byte == b'='),
    };
    match equals {
        Some(at) => Some((
            chars::trim(&param[..at]),
            Some(chars::trim(&param[at + 1..])),
            rest,
        )),
        None => Some((chars::trim(param), None, rest)),
    }
}

/// A value without the quotes and backslashes of a quoted string (§25.1); other values as they are.
pub(crate) fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', inner @ .., b'"'] = value else {
        return Cow::Borrowed(value);
    };
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&b) = bytes.next() {
        match b {
            b'\\' => out.extend(bytes.next()),
            _ => out.push(b),
        }
    }
    Cow::Owned(out)
}

/// Appends `value` as a quoted string.
pub(crate) fn push_quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    for &b in value {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

/// Makes parameter text; values that are no token are quoted.
#[derive(Clone, Debug, Default)]
pub struct ParamWriter(Vec<u8>);

impl ParamWriter {
    /// No parameters yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `;name`.
    pub fn flag(mut self, name: &str) -> Self {
        self.0.push(b';');
        self.0.extend_from_slice(name.as_bytes());
        self
    }

    /// Adds `;name=value`, quoted where `value` is neither a token nor a host.
    pub fn pair(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        let mut this = self.flag(name);
        this.0.push(b'=');
        let plain = !value.is_empty()
            && value
                .iter()
                .all(|b| chars::is_token_byte(*b) || matches!(b, b'[' | b']' | b':'));
        if plain {
            this.0.extend_from_slice(value);
        } else {
            push_quoted(&mut this.0, value);
        }
        this
    }

    /// The parameters as a view, to stand in a typed header.
    pub fn params(&self) -> Params<'_> {
        Params(&self.0)
    }
}
