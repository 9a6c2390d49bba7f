//! Chores: run everything, test everything, keep the house tidy.
fn main() {}
