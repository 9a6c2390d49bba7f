//! Codecs, jitter buffer, loss concealment, DTMF, tones; sans-IO.
