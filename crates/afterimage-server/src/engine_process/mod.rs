//! The engine in a child process of the same binary.
