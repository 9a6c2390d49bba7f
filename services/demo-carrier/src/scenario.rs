//! Which number does what.

use offhook_sip_message::StatusCode;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// Answers and sends back what it hears.
    Echo,
    /// Answers and plays 440 Hz.
    Tone,
    /// Plays a melody as early media (183), answers 3 s later, plays on, and hangs up 10 s after the answer.
    Announcement,
    /// Answers, beeps, takes digits (telephone-event or SIP INFO) and plays them back as DTMF tones on `#`.
    ReadBack,
    /// Rings (180) and never answers.
    NoAnswer,
    /// Refuses with this status.
    Refuse(StatusCode),
}

/// All numbers and what they do. Whatever stands before these digits does not count, so that any prefix of a route fits.
pub const NUMBERS: [(&str, Scenario); 8] = [
    ("9196", Scenario::Echo),
    ("9197", Scenario::Tone),
    ("9198", Scenario::Announcement),
    ("9199", Scenario::ReadBack),
    ("9101", Scenario::Refuse(StatusCode::BUSY_HERE)),
    ("9102", Scenario::Refuse(StatusCode::DECLINE)),
    ("9103", Scenario::NoAnswer),
    ("9104", Scenario::Refuse(StatusCode::NOT_FOUND)),
];

impl Scenario {
    /// What the user part of a request URI asks for; unknown numbers are not found.
    pub fn of_number(user: &[u8]) -> Self {
        NUMBERS
            .iter()
            .find(|(number, _)| user.ends_with(number.as_bytes()))
            .map_or(Self::Refuse(StatusCode::NOT_FOUND), |(_, scenario)| *scenario)
    }

    /// Short name, for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Tone => "tone",
            Self::Announcement => "announcement",
            Self::ReadBack => "read-back",
            Self::NoAnswer => "no-answer",
            Self::Refuse(_) => "refuse",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_number_counts() {
        for user in ["9196", "+9196", "+15559196", "0119196"] {
            assert_eq!(Scenario::of_number(user.as_bytes()), Scenario::Echo, "{user}");
        }
        for user in ["", "9", "+15550100", "91960"] {
            let not_found = Scenario::Refuse(StatusCode::NOT_FOUND);
            assert_eq!(Scenario::of_number(user.as_bytes()), not_found, "{user}");
        }
    }
}
