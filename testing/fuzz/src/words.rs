//! Inputs of several parts that reach into what a machine has under way: tags, branches and ids that it has drawn are
//! named in them by marks.

use bytes::Bytes;
use offhook_sip::text_of;
use offhook_sip_message::Message;

/// What a machine has said last: `{branch}`, `{from}`, `{cseq}` and `{call}` of its last request, `{tag}` and `{rseq}` of
/// its last response, `{id}` of a call that it has told a client of.
#[derive(Debug, Default)]
pub(crate) struct Words(Vec<(&'static str, String)>);

impl Words {
    /// The part of an input with words in place of marks.
    pub(crate) fn filled(&self, part: &[u8]) -> Bytes {
        let mut text = part.to_vec();
        for (mark, word) in &self.0 {
            while let Some(at) = text
                .windows(mark.len())
                .position(|window| window == mark.as_bytes())
            {
                text.splice(at..at + mark.len(), word.bytes());
            }
        }
        Bytes::from(text)
    }

    /// From now on this word stands for this mark.
    pub(crate) fn note(&mut self, mark: &'static str, word: &str) {
        self.0.retain(|(known, _)| *known != mark);
        // A word that holds a mark would be filled in for ever.
        if !word.contains('{') {
            self.0.push((mark, word.to_owned()));
        }
    }

    /// Takes the words of a SIP message that was sent, which has to be one.
    pub(crate) fn note_sip(&mut self, bytes: &Bytes) {
        let message = Message::parse(bytes.clone()).expect("what we send can be read");
        let after = |header: &str, name: &str| {
            let text = text_of(&message, header)?;
            let rest = text.split_once(name)?.1;
            Some(rest.split([';', ',', ' ', '>']).next()?.to_owned())
        };
        let whole = |header: &str| text_of(&message, header).map(str::to_owned);
        let words = match message.is_request() {
            true => vec![
                ("{branch}", after("Via", "branch=")),
                ("{from}", after("From", "tag=")),
                ("{cseq}", after("CSeq", "")),
                ("{call}", whole("Call-ID")),
            ],
            false => vec![("{tag}", after("To", "tag=")), ("{rseq}", whole("RSeq"))],
        };
        for (mark, word) in words {
            if let Some(word) = word {
                self.note(mark, &word);
            }
        }
    }
}

/// The first part of an input, and the rest: parts are divided by `----`.
pub(crate) fn split(input: &[u8]) -> (&[u8], &[u8]) {
    const MARK: &[u8] = b"----";
    match input.windows(MARK.len()).position(|window| window == MARK) {
        Some(at) => (&input[..at], &input[at + MARK.len()..]),
        None => (input, &[]),
    }
}
