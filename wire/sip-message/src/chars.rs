//! Character classes of the grammar (RFC 3261 §25.1) and small scanners over bytes.

/// Bit of [`CLASS`]: may stand in a `token`.
const TOKEN: u8 = 1;
/// Bit of [`CLASS`]: may stand unescaped in a URI's user part.
const USER: u8 = 2;
/// Bit of [`CLASS`]: may stand in a host name.
const HOST: u8 = 4;
/// Bit of [`CLASS`]: may stand unescaped in a URI parameter or a URI header.
const PARAM: u8 = 8;
/// Bit of [`CLASS`]: may stand in a URI at all.
const URI: u8 = 16;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut b = 0usize;
    while b < 256 {
        let c = b as u8;
        if c.is_ascii_alphanumeric() {
            table[b] = TOKEN | USER | HOST | PARAM;
        }
        b += 1;
    }
    set(&mut table, b"-.!%*_+`'~", TOKEN);
    // unreserved marks, then what `user` and `param-unreserved` add
    set(&mut table, b"-_.!~*'()", USER | PARAM);
    set(&mut table, b"&=+$,;?/#", USER);
    set(&mut table, b"[]/:&+$", PARAM);
    set(&mut table, b"-._", HOST);
    let mut b = b'!' as usize;
    while b < 0x7f {
        if !matches!(b as u8, b'<' | b'>' | b'"') {
            table[b] |= URI;
        }
        b += 1;
    }
    table
}

const fn set(table: &mut [u8; 256], members: &[u8], class: u8) {
    let mut i = 0;
    while i < members.len() {
        table[members[i] as usize] |= class;
        i += 1;
    }
}

pub(crate) const fn is_token_byte(b: u8) -> bool {
    CLASS[b as usize] & TOKEN != 0
}

pub(crate) const fn is_token(text: &[u8]) -> bool {
    let mut i = 0;
    while i < text.len() {
        if !is_token_byte(text[i]) {
            return false;
        }
        i += 1;
    }
    !text.is_empty()
}

pub(crate) fn is_user_byte(b: u8) -> bool {
    CLASS[b as usize] & USER != 0
}

pub(crate) fn is_param_byte(b: u8) -> bool {
    CLASS[b as usize] & PARAM != 0
}

pub(crate) fn is_uri_byte(b: u8) -> bool {
    CLASS[b as usize] & URI != 0
}

/// How many bytes at the start of `text` are of this class.
#[inline]
fn span(text: &[u8], class: u8) -> usize {
    let end = text.iter().position(|b| CLASS[usize::from(*b)] & class == 0);
    end.unwrap_or(text.len())
}

/// Length of the token that `text` starts with; 0 if it starts with none.
#[inline]
pub(crate) fn token_len(text: &[u8]) -> usize {
    span(text, TOKEN)
}

/// Length of what may be a host name or an IPv4 address at the start of `text`.
#[inline]
pub(crate) fn host_len(text: &[u8]) -> usize {
    span(text, HOST)
}

/// Length of what may stand in a URI's user part at the start of `text`, whole escapes included.
#[inline]
pub(crate) fn user_len(text: &[u8]) -> usize {
    escaped_len(text, USER)
}

/// The same for the name or the value of a URI parameter.
#[inline]
pub(crate) fn param_len(text: &[u8]) -> usize {
    escaped_len(text, PARAM)
}

fn escaped_len(text: &[u8], class: u8) -> usize {
    let mut len = span(text, class);
    while escape(&text[len..]).is_some() {
        len += 3;
        len += span(&text[len..], class);
    }
    len
}

/// The byte that an escape at the start of `text` stands for.
pub(crate) fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// White space within a header value; a folded line's CR LF counts, since folding is white space (§7.3.1).
pub(crate) const fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

/// `text` without white space at either end. Mostly there is none.
#[inline]
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    match (text.first(), text.last()) {
        (Some(first), Some(last)) if !is_space(*first) && !is_space(*last) => text,
        _ => trim_spaces(text),
    }
}

fn trim_spaces(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// Position after the quoted string that opens at `start`, or `None` if it never closes.
pub(crate) fn quoted_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Splits at the first `separator` outside quotes and angle brackets; `None` if there is none.
pub(crate) fn find_outside(text: &[u8], separator: u8) -> Option<usize> {
    let mut at = 0;
    let mut in_angle = false;
    while let Some(&b) = text.get(at) {
        match b {
            b'"' if !in_angle => at = quoted_end(text, at)?.max(at + 1),
            b'<' => {
                in_angle = true;
                at += 1;
            }
            b'>' => {
                in_angle = false;
                at += 1;
            }
            _ if b == separator && !in_angle => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// A decimal number without sign, or `None` if it is empty, has other characters or does not fit.
pub(crate) fn decimal<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    let mut number: u64 = 0;
    for b in text {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    T::try_from(number).ok().filter(|_| !text.is_empty())
}

/// Appends `number` in decimal.
pub(crate) fn push_decimal(out: &mut Vec<u8>, number: impl Into<u64>) {
    out.extend_from_slice(digits_of(number, &mut [0; 20]));
}

/// `number` in decimal; no number has more than 20 digits.
pub(crate) fn digits_of(number: impl Into<u64>, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    let mut rest = number.into();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    &digits[at..]
}
