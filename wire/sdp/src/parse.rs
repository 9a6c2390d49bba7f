//! Text to [`SessionDescription`].

use crate::attributes::{Attribute, Attributes};
use crate::error::{SdpError, SdpErrorKind};
use crate::host::Host;
use crate::media::{MediaDescription, MediaKind, TransportProtocol};
use crate::session::{Bandwidth, BandwidthKind, Connection, Origin, OtherLine, SessionDescription, Timing};
use crate::{ATTRIBUTES_MAX, FORMATS_MAX, MEDIA_SECTIONS_MAX, OTHER_LINES_MAX, SDP_LEN_MAX};

impl SessionDescription {
    /// Reads a description. Lines may end with LF only; a missing `s=` or `t=` is forgiven; blank lines are skipped.
    ///
    /// # Errors
    /// [`SdpError`] with the line that cannot be read, or that exceeds a limit of this crate.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > SDP_LEN_MAX {
            return Err(SdpErrorKind::TooLong { len: text.len() }.at(1));
        }
        let mut lines = Lines::new(text);
        match lines.next().transpose()? {
            Some(Line {
                letter: 'v', value, ..
            }) if value.trim() == "0" => {}
            _ => return Err(SdpErrorKind::NotSdp.at(1)),
        }
        let mut builder = Builder::default();
        let mut last_line = 1;
        for line in lines {
            let line = line?;
            last_line = line.number;
            builder.take(&line)?;
        }
        builder.finish(last_line)
    }
}

impl std::str::FromStr for SessionDescription {
    type Err = SdpError;

    fn from_str(text: &str) -> Result<Self, SdpError> {
        Self::parse(text)
    }
}

struct Line<'a> {
    number: usize,
    letter: char,
    value: &'a str,
}

impl Line<'_> {
    fn bad(&self, expected: &'static str) -> SdpError {
        SdpErrorKind::BadLine {
            letter: self.letter,
            expected,
        }
        .at(self.number)
    }
}

struct Lines<'a> {
    rest: std::iter::Enumerate<std::str::Split<'a, char>>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.split('\n').enumerate(),
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, SdpError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (index, raw) = self.rest.next()?;
            let number = index + 1;
            let line = raw.strip_suffix('\r').unwrap_or(raw);
            if line.trim().is_empty() {
                continue;
            }
            if line.contains(['\r', '\0']) {
                return Some(Err(SdpErrorKind::ControlCharacter.at(number)));
            }
            let mut characters = line.chars();
            return Some(match (characters.next(), characters.next()) {
                (Some(letter), Some('=')) if letter.is_ascii_alphabetic() => Ok(Line {
                    number,
                    letter,
                    value: characters.as_str(),
                }),
                _ => Err(SdpErrorKind::NotALine.at(number)),
            });
        }
    }
}

/// The lines that the session and a section have in common.
struct SectionMut<'a> {
    connection: &'a mut Option<Connection>,
    bandwidths: &'a mut Vec<Bandwidth>,
    attributes: &'a mut Attributes,
    other: &'a mut Vec<OtherLine>,
}

impl SectionMut<'_> {
    fn take(&mut self, line: &Line<'_>) -> Result<(), SdpError> {
        match line.letter {
            'c' if self.connection.is_none() => *self.connection = Some(connection(line)?),
            'a' => {
                limit(
                    self.attributes.0.len(),
                    ATTRIBUTES_MAX,
                    "attributes in one section",
                    line,
                )?;
                self.attributes.0.push(attribute(line));
            }
            letter => {
                limit(
                    self.other.len() + self.bandwidths.len(),
                    OTHER_LINES_MAX,
                    "lines of other kinds",
                    line,
                )?;
                if letter == 'b' {
                    self.bandwidths.push(bandwidth(line)?);
                } else {
                    self.other.push(OtherLine {
                        letter,
                        value: line.value.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Builder {
    origin: Option<Origin>,
    session_name: Option<String>,
    connection: Option<Connection>,
    bandwidths: Vec<Bandwidth>,
    timing: Option<Timing>,
    attributes: Attributes,
    other: Vec<OtherLine>,
    media: Vec<MediaDescription>,
}

impl Builder {
    fn take(&mut self, line: &Line<'_>) -> Result<(), SdpError> {
        if line.letter == 'm' {
            limit(self.media.len(), MEDIA_SECTIONS_MAX, "m= lines", line)?;
            self.media.push(media(line)?);
            return Ok(());
        }
        if let Some(section) = self.media.last_mut() {
            return SectionMut {
                connection: &mut section.connection,
                bandwidths: &mut section.bandwidths,
                attributes: &mut section.attributes,
                other: &mut section.other,
            }
            .take(line);
        }
        match line.letter {
            'o' if self.origin.is_none() => self.origin = Some(origin(line)?),
            's' if self.session_name.is_none() => self.session_name = Some(line.value.to_owned()),
            't' if self.timing.is_none() => self.timing = Some(timing(line)?),
            _ => SectionMut {
                connection: &mut self.connection,
                bandwidths: &mut self.bandwidths,
                attributes: &mut self.attributes,
                other: &mut self.other,
            }
            .take(line)?,
        }
        Ok(())
    }

    fn finish(self, last_line: usize) -> Result<SessionDescription, SdpError> {
        Ok(SessionDescription {
            origin: self.origin.ok_or_else(|| SdpErrorKind::NoOrigin.at(last_line))?,
            session_name: self.session_name.unwrap_or_else(|| "-".to_owned()),
            connection: self.connection,
            bandwidths: self.bandwidths,
            timing: self.timing.unwrap_or_default(),
            attributes: self.attributes,
            other: self.other,
            media: self.media,
        })
    }
}

fn limit(len: usize, max: usize, what: &'static str, line: &Line<'_>) -> Result<(), SdpError> {
    if len < max {
        Ok(())
    } else {
        Err(SdpErrorKind::TooMany { what, max }.at(line.number))
    }
}

fn origin(line: &Line<'_>) -> Result<Origin, SdpError> {
    let bad = || line.bad("<user> <id> <version> IN IP4|IP6 <address>");
    // From the right: there are phones whose user name has blanks.
    let mut words = line.value.trim_end().rsplitn(6, ' ');
    let mut word = || words.next().filter(|word| !word.is_empty()).ok_or_else(bad);
    let (address, family, net) = (word()?, word()?, word()?);
    let (version, session_id, username) = (word()?, word()?, word()?);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(version) || !digits(session_id) {
        return Err(bad());
    }
    Ok(Origin {
        username: username.to_owned(),
        session_id: session_id.to_owned(),
        version: version.to_owned(),
        address: Host::parse_with_family(net, family, address).ok_or_else(bad)?,
    })
}

fn connection(line: &Line<'_>) -> Result<Connection, SdpError> {
    let mut words = line.value.split_ascii_whitespace();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(net), Some(family), Some(address), None) => Host::parse_with_family(net, family, address),
        _ => None,
    }
    .map(|host| Connection { host })
    .ok_or_else(|| line.bad("IN IP4|IP6 <address>"))
}

fn bandwidth(line: &Line<'_>) -> Result<Bandwidth, SdpError> {
    let bad = || line.bad("<kind>:<number>");
    let (kind, value) = line.value.split_once(':').ok_or_else(bad)?;
    let kind = match kind {
        "AS" => BandwidthKind::ApplicationSpecific,
        "CT" => BandwidthKind::ConferenceTotal,
        "TIAS" => BandwidthKind::TransportIndependent,
        other => BandwidthKind::Other(other.to_owned()),
    };
    Ok(Bandwidth {
        kind,
        value: value.trim().parse().map_err(|_| bad())?,
    })
}

fn timing(line: &Line<'_>) -> Result<Timing, SdpError> {
    let mut numbers = line.value.split_ascii_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(start)), Some(Ok(stop))) => Ok(Timing { start, stop }),
        _ => Err(line.bad("<start> <stop>")),
    }
}

fn media(line: &Line<'_>) -> Result<MediaDescription, SdpError> {
    let bad = || line.bad("<media> <port> <protocol> <format> …");
    let mut words = line.value.split_ascii_whitespace();
    let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
        return Err(bad());
    };
    let (port, count) = match port.split_once('/') {
        Some((port, count)) => (port, Some(count.parse().map_err(|_| bad())?)),
        None => (port, None),
    };
    let mut formats = Vec::new();
    for format in words {
        limit(formats.len(), FORMATS_MAX, "formats in one m= line", line)?;
        formats.push(format.to_owned());
    }
    if formats.is_empty() {
        return Err(bad());
    }
    let mut section = MediaDescription::new(
        MediaKind::parse(kind),
        port.parse().map_err(|_| bad())?,
        TransportProtocol::parse(protocol),
        formats,
    );
    section.port_count = count;
    Ok(section)
}

fn attribute(line: &Line<'_>) -> Attribute {
    let (name, value) = match line.value.split_once(':') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (line.value, None),
    };
    Attribute {
        name: name.trim().to_owned(),
        value,
        line: line.number,
    }
}
