//! Whole calls on a virtual clock: the real cores, joined by a simulated network.
