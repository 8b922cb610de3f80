//! `afterimage`: the command line.
fn main() {}
