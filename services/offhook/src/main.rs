//! The offhook binary: roles, configuration, command line.
fn main() {}
