//! Calls to each number: on a virtual clock, and over real sockets. `cfg(test)` tells clippy that helpers are tests too,
//! where `unwrap` is how a test fails.

#[cfg(test)]
mod numbers;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod support;
