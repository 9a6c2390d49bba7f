//! RAck (RFC 3262 §7.2).

use super::{CSeq, Header, HeaderError};
use crate::chars;
use crate::name::HeaderName;

/// Which reliable provisional response a PRACK acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// RSeq of the response.
    pub response: u32,
    /// CSeq of the response.
    pub cseq: CSeq,
}

impl Header<'_> for RAck {
    const NAME: HeaderName<'static> = HeaderName::RAck;

    fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let wrong = HeaderError {
            header: Self::NAME,
            what: "two numbers and a method are expected",
        };
        let gap = value.iter().position(|b| chars::is_space(*b)).ok_or(wrong)?;
        let response = chars::decimal(&value[..gap]).ok_or(wrong)?;
        let cseq = CSeq::parse(chars::trim(&value[gap..])).map_err(|_| wrong)?;
        Ok(Self { response, cseq })
    }

    fn write(&self, out: &mut Vec<u8>) {
        chars::push_decimal(out, self.response);
        out.push(b' ');
        self.cseq.write(out);
    }
}
