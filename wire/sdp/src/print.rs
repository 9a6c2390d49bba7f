//! [`SessionDescription`] to text, lines ended by CR LF.

use std::fmt::{self, Write};

use crate::attributes::Attributes;
use crate::media::MediaDescription;
use crate::session::{Bandwidth, BandwidthKind, Connection, OtherLine, SessionDescription};

/// Lines that RFC 8866 §9 places before `c=`; other unknown letters follow `t=`.
const BEFORE_CONNECTION: [char; 4] = ['i', 'u', 'e', 'p'];

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Printer { inner: f };
        let origin = &self.origin;
        out.line('v', format_args!("0"))?;
        out.line(
            'o',
            format_args!(
                "{} {} {} IN {} {}",
                origin.username,
                origin.session_id,
                origin.version,
                origin.address.family(),
                origin.address
            ),
        )?;
        out.line('s', format_args!("{}", self.session_name))?;
        out.others(&self.other, |letter| BEFORE_CONNECTION.contains(&letter))?;
        out.connection(self.connection.as_ref())?;
        out.bandwidths(&self.bandwidths)?;
        out.line('t', format_args!("{} {}", self.timing.start, self.timing.stop))?;
        out.others(&self.other, |letter| !BEFORE_CONNECTION.contains(&letter))?;
        out.attributes(&self.attributes)?;
        self.media.iter().try_for_each(|section| out.media(section))
    }
}

/// Writes lines; control characters in a value become blanks, so that no value can add a line of its own.
struct Printer<'a, 'b> {
    inner: &'a mut fmt::Formatter<'b>,
}

impl fmt::Write for Printer<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(['\r', '\n', '\0']) {
            return self.inner.write_str(text);
        }
        text.chars().try_for_each(|c| {
            self.inner
                .write_char(if matches!(c, '\r' | '\n' | '\0') { ' ' } else { c })
        })
    }
}

impl Printer<'_, '_> {
    fn line(&mut self, letter: char, value: fmt::Arguments<'_>) -> fmt::Result {
        write!(self, "{letter}={value}")?;
        self.inner.write_str("\r\n")
    }

    fn media(&mut self, section: &MediaDescription) -> fmt::Result {
        write!(self, "m={} {}", section.kind, section.port)?;
        if let Some(count) = section.port_count {
            write!(self, "/{count}")?;
        }
        write!(self, " {}", section.protocol)?;
        section
            .formats
            .iter()
            .try_for_each(|format| write!(self, " {format}"))?;
        self.inner.write_str("\r\n")?;
        self.others(&section.other, |letter| BEFORE_CONNECTION.contains(&letter))?;
        self.connection(section.connection.as_ref())?;
        self.bandwidths(&section.bandwidths)?;
        self.others(&section.other, |letter| !BEFORE_CONNECTION.contains(&letter))?;
        self.attributes(&section.attributes)
    }

    fn connection(&mut self, connection: Option<&Connection>) -> fmt::Result {
        match connection {
            Some(Connection { host }) => self.line('c', format_args!("IN {} {host}", host.family())),
            None => Ok(()),
        }
    }

    fn bandwidths(&mut self, bandwidths: &[Bandwidth]) -> fmt::Result {
        bandwidths.iter().try_for_each(|bandwidth| {
            let kind = match &bandwidth.kind {
                BandwidthKind::ApplicationSpecific => "AS",
                BandwidthKind::ConferenceTotal => "CT",
                BandwidthKind::TransportIndependent => "TIAS",
                BandwidthKind::Other(other) => other,
            };
            self.line('b', format_args!("{kind}:{}", bandwidth.value))
        })
    }

    fn attributes(&mut self, attributes: &Attributes) -> fmt::Result {
        attributes
            .iter()
            .try_for_each(|attribute| match &attribute.value {
                Some(value) => self.line('a', format_args!("{}:{value}", attribute.name)),
                None => self.line('a', format_args!("{}", attribute.name)),
            })
    }

    fn others(&mut self, lines: &[OtherLine], wanted: impl Fn(char) -> bool) -> fmt::Result {
        let mut wanted = lines.iter().filter(|line| wanted(line.letter));
        wanted.try_for_each(|line| self.line(line.letter, format_args!("{}", line.value)))
    }
}
