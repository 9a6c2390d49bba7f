//! What stays of a peer's offer once it is read: how many sections it has, and how each of them is answered.

use offhook_sdp::attribute::{Group, Mid};
use offhook_sdp::{MediaDescription, SessionDescription, TransportProtocol};

use crate::error::OfferAnswerError;
use crate::read::audio_section;

/// The sections of the peer's latest offer: our answers and later offers have as many, in that order (RFC 3264 §6 and §8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedSections {
    /// Where the audio section that we take stands among them.
    pub audio_at: usize,
    /// The transport of that section, as it is to be repeated.
    pub protocol: TransportProtocol,
    /// The offer has a bundle that this section belongs to (RFC 9143 §7.3.1).
    pub is_bundled: bool,
    /// All the others, as we reject them.
    pub rejected: Vec<MediaDescription>,
}

impl OfferedSections {
    pub(crate) fn read(offer: &SessionDescription) -> Result<Self, OfferAnswerError> {
        let (audio_at, audio) = audio_section(offer)?;
        let mid = audio.attributes.first::<Mid>().ok().flatten();
        let others = offer.media.iter().enumerate();
        Ok(Self {
            audio_at,
            protocol: audio.protocol.clone(),
            is_bundled: mid.is_some_and(|mid| is_bundled(offer, &mid.0)),
            rejected: others
                .filter(|(place, _)| *place != audio_at)
                .map(|(_, section)| rejected(section))
                .collect(),
        })
    }

    /// Our section in the place of the peer's, and the others rejected.
    pub(crate) fn around(&self, ours: MediaDescription) -> Vec<MediaDescription> {
        let mut sections = self.rejected.clone();
        sections.insert(self.audio_at.min(sections.len()), ours);
        sections
    }
}

fn is_bundled(offer: &SessionDescription, mid: &str) -> bool {
    let mut groups = offer.attributes.all::<Group>().flatten();
    groups.any(|group| group.is_bundle() && group.mids.iter().any(|member| member == mid))
}

/// A section with port 0 (RFC 3264 §6).
fn rejected(section: &MediaDescription) -> MediaDescription {
    let formats = section.formats.iter().take(1).cloned().collect();
    let mut answer = MediaDescription::new(section.kind.clone(), 0, section.protocol.clone(), formats);
    if let Ok(Some(mid)) = section.attributes.first::<Mid>() {
        answer.attributes.push(&mid);
    }
    answer.attributes.push_flag("inactive");
    answer
}
