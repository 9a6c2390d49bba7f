//! What a packet of one leg becomes on the other leg: the codec choice of a call.

use crate::codec::{Codec, NegotiatedCodec};
use crate::error::OfferAnswerError;

/// What we send when a leg accepts more than one codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Prefer {
    /// What the other leg sends, as long as this leg accepts it: saves decoding and encoding.
    #[default]
    Relay,
    /// The first codec of the default order that the leg accepts: Opus carries losses better than what it was made
    /// from, at the cost of a transcode.
    Opus,
}

/// What becomes of the packets of one received payload type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// As the receiving leg numbers it.
    pub received: NegotiatedCodec,
    /// As the sending leg wants it.
    pub sent: NegotiatedCodec,
}

impl Route {
    /// True if packets pass undecoded, with only their header rewritten.
    pub fn is_relay(&self) -> bool {
        self.received.codec == self.sent.codec
    }
}

/// The routes of a call with both legs negotiated; a plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Routes of what the client sends, in the client's order of preference; never empty.
    pub to_carrier: Vec<Route>,
    /// Routes of what the carrier sends, in the carrier's order of preference; never empty.
    pub to_client: Vec<Route>,
}

impl Bridge {
    /// Chooses the routes of a call, from what each leg negotiated (most preferred first).
    ///
    /// A received codec is relayed if the other leg accepts it and `prefer` allows; otherwise it is transcoded to the
    /// codec that the other leg prefers.
    ///
    /// # Errors
    /// [`OfferAnswerError::NoCommonCodec`] if either list is empty.
    pub fn choose(
        client: &[NegotiatedCodec],
        carrier: &[NegotiatedCodec],
        prefer: Prefer,
    ) -> Result<Self, OfferAnswerError> {
        if client.is_empty() || carrier.is_empty() {
            return Err(OfferAnswerError::NoCommonCodec);
        }
        Ok(Self {
            to_carrier: routes(client, carrier, prefer),
            to_client: routes(carrier, client, prefer),
        })
    }

    /// The route of a packet that the client sent with `payload_type`, if that was negotiated.
    pub fn route_to_carrier(&self, payload_type: u8) -> Option<&Route> {
        find(&self.to_carrier, payload_type)
    }

    /// The route of a packet that the carrier sent with `payload_type`, if that was negotiated.
    pub fn route_to_client(&self, payload_type: u8) -> Option<&Route> {
        find(&self.to_client, payload_type)
    }
}

/// The order of codecs for an answer that is written when the other leg's choice is already known.
///
/// With [`Prefer::Relay`] the other leg's codecs come first, so that the answered side sends what needs no transcode;
/// with [`Prefer::Opus`], or before the other leg has answered (`other` empty), it is the default order.
pub fn answer_order(other: &[NegotiatedCodec], prefer: Prefer) -> Vec<Codec> {
    let mut order: Vec<Codec> = match prefer {
        Prefer::Relay => other.iter().map(|negotiated| negotiated.codec).collect(),
        Prefer::Opus => Vec::new(),
    };
    order.extend(Codec::ALL);
    let mut seen = Vec::with_capacity(Codec::ALL.len());
    order.retain(|codec| {
        let first = !seen.contains(codec);
        seen.push(*codec);
        first
    });
    order
}

/// What we asked for counts first: a peer with other numbers may use one of them for something else.
fn find(routes: &[Route], payload_type: u8) -> Option<&Route> {
    let expected = routes
        .iter()
        .find(|route| route.received.receive_payload_type == payload_type);
    expected.or_else(|| {
        routes
            .iter()
            .find(|route| route.received.payload_type == payload_type)
    })
}

fn routes(from: &[NegotiatedCodec], to: &[NegotiatedCodec], prefer: Prefer) -> Vec<Route> {
    let best = match prefer {
        Prefer::Relay => to.first(),
        Prefer::Opus => to.iter().min_by_key(|negotiated| negotiated.codec),
    };
    let mut routes: Vec<Route> = from
        .iter()
        .filter_map(|received| {
            let same = to
                .iter()
                .find(|sent| sent.codec == received.codec)
                .filter(|_| prefer == Prefer::Relay);
            same.or(best).map(|sent| Route {
                received: *received,
                sent: *sent,
            })
        })
        .collect();
    routes.shrink_to_fit();
    routes
}
