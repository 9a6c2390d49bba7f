//! Datagrams on their way out: one arena that sessions write into and the worker empties in batches.

use std::net::SocketAddr;

/// Largest datagram that we send or take, in bytes: an Ethernet frame's worth. Media and handshakes stay below.
pub const DATAGRAM_LEN_MAX: usize = 1500;

/// Names a socket of the worker that owns the session. Sessions only carry it around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketToken(pub u32);

/// One datagram in an [`Outbox`].
#[derive(Debug, Clone, Copy)]
pub struct Transmit {
    /// Socket to send from.
    pub socket: SocketToken,
    /// Where to.
    pub destination: SocketAddr,
    start: u32,
    len: u32,
}

/// Datagrams to send, in order. Its memory is kept from batch to batch, so that nothing is allocated per packet.
#[derive(Debug)]
pub struct Outbox {
    arena: Vec<u8>,
    used: usize,
    transmits: Vec<Transmit>,
}

impl Outbox {
    /// An empty outbox with room for about `datagrams` voice packets before it has to grow.
    pub fn with_capacity(datagrams: usize) -> Self {
        Self {
            arena: vec![0; datagrams * 256 + DATAGRAM_LEN_MAX],
            used: 0,
            transmits: Vec::with_capacity(datagrams),
        }
    }

    /// Adds a datagram that `write` puts into the buffer it is given ([`DATAGRAM_LEN_MAX`] bytes); `write` returns its
    /// length, or `None` to add nothing. Returns the length.
    pub fn push_with(
        &mut self,
        socket: SocketToken,
        destination: SocketAddr,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        let end = self.used + DATAGRAM_LEN_MAX;
        if self.arena.len() < end {
            self.arena.resize(end.max(self.arena.len() * 2), 0);
        }
        let len = write(&mut self.arena[self.used..end])?.min(DATAGRAM_LEN_MAX);
        self.transmits.push(Transmit {
            socket,
            destination,
            start: self.used as u32,
            len: len as u32,
        });
        self.used += len;
        Some(len)
    }

    /// Adds a copy of `datagram`; one that is too long is not added.
    pub fn push(&mut self, socket: SocketToken, destination: SocketAddr, datagram: &[u8]) {
        self.push_with(socket, destination, |slot| {
            slot.get_mut(..datagram.len())?.copy_from_slice(datagram);
            Some(datagram.len())
        });
    }

    /// What is to be sent, in order.
    pub fn transmits(&self) -> impl Iterator<Item = (&Transmit, &[u8])> {
        self.transmits.iter().map(|t| (t, self.bytes(t)))
    }

    /// The bytes of one of [`Self::entries`].
    pub fn bytes(&self, transmit: &Transmit) -> &[u8] {
        &self.arena[transmit.start as usize..(transmit.start + transmit.len) as usize]
    }

    /// The datagrams without their bytes, in order.
    pub fn entries(&self) -> &[Transmit] {
        &self.transmits
    }

    /// Forgets all datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.transmits.clear();
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_out_as_they_went_in() {
        let to: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let mut outbox = Outbox::with_capacity(1);
        for n in 0..40u8 {
            outbox.push(SocketToken(n.into()), to, &[n; 300]);
        }
        outbox.push(SocketToken(0), to, &[0; DATAGRAM_LEN_MAX + 1]);
        assert_eq!(outbox.entries().len(), 40, "the one that is too long is left out");
        for (n, (transmit, bytes)) in outbox.transmits().enumerate() {
            assert_eq!(transmit.socket.0 as usize, n);
            assert_eq!(bytes, [n as u8; 300]);
        }
        outbox.clear();
        assert_eq!(outbox.transmits().count(), 0);
    }
}
