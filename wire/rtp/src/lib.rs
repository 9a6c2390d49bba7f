//! RTP, RTCP and telephone-event, read and rewritten in place.
