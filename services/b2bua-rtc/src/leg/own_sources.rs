//! What we let a peer hear of our own while the other leg says nothing: ringback, sounds, comfort noise.

use crate::tones::{Clip, Tones};
use offhook_media_control::PlayEnd;
use offhook_offer_answer::Codec;
use std::sync::Arc;

/// The sources, of which the first that is there is heard: ringback, a sound, comfort noise.
#[derive(Debug)]
pub(crate) struct OwnSources {
    playing: Option<Playing>,
    /// Why the sound has ended, until the session has told.
    play_end: Option<PlayEnd>,
    /// Frame of the ringback cadence that is next.
    ringback: Option<usize>,
    /// Frame of the comfort noise that is next.
    noise: usize,
    /// Keep audio flowing while there is none of the other leg.
    comfort: bool,
}

/// A sound that is played to the peer.
#[derive(Debug)]
struct Playing {
    clip: Arc<Clip>,
    /// Frame that is next.
    index: usize,
    repeat: bool,
    /// It gives way to the other leg's audio.
    yields: bool,
}

impl OwnSources {
    pub(super) fn new(comfort: bool) -> Self {
        Self {
            playing: None,
            play_end: None,
            ringback: None,
            noise: 0,
            comfort,
        }
    }

    /// Whether audio is kept flowing while there is none of the other leg.
    pub(crate) fn comfort(&self) -> bool {
        self.comfort
    }

    /// True if something is to be heard.
    pub(super) fn is_any(&self) -> bool {
        self.comfort || self.ringback.is_some() || self.playing.is_some()
    }

    /// Starts or stops ringback; one that sounds goes on, however often it is told to.
    pub(crate) fn set_ringing(&mut self, ringing: bool) {
        self.ringback = ringing.then(|| self.ringback.unwrap_or(0));
    }

    /// Starts a sound.
    pub(super) fn play(&mut self, clip: Arc<Clip>, repeat: bool, yields: bool) {
        self.play_end = None;
        self.playing = Some(Playing {
            clip,
            index: 0,
            repeat,
            yields,
        });
    }

    /// Ends the sound that plays, if one does.
    pub(crate) fn stop(&mut self) {
        self.playing = None;
        self.play_end = None;
    }

    /// True if a sound plays that does not give way to the other leg.
    pub(super) fn covers(&self) -> bool {
        self.playing.as_ref().is_some_and(|playing| !playing.yields)
    }

    /// Audio of the other leg has come: what gives way to it ends.
    #[inline]
    pub(super) fn give_way(&mut self) {
        self.ringback = None;
        if self.playing.take_if(|playing| playing.yields).is_some() {
            self.play_end = Some(PlayEnd::MediaReturned);
        }
    }

    /// Why the sound has ended that played: told once.
    #[inline]
    pub(crate) fn take_play_end(&mut self) -> Option<PlayEnd> {
        self.play_end.take()
    }

    /// The next frame, if there is anything to be heard.
    pub(super) fn next_frame<'a>(&'a mut self, codec: Codec, tones: &'a Tones) -> Option<&'a [u8]> {
        let over =
            |playing: &mut Playing| !playing.repeat && playing.clip.frame(codec, playing.index).is_none();
        if self.playing.take_if(over).is_some() {
            self.play_end = Some(PlayEnd::Finished);
        }
        let next = |index: &mut usize| std::mem::replace(index, index.wrapping_add(1));
        if let Some(index) = &mut self.ringback {
            return Some(tones.ringback.repeated(codec, next(index)));
        }
        if let Some(playing) = &mut self.playing {
            return Some(playing.clip.repeated(codec, next(&mut playing.index)));
        }
        self.comfort
            .then(|| tones.noise.repeated(codec, next(&mut self.noise)))
    }
}
