//! The server over real sockets, with the real engine process where a job has to run.

mod account;
mod hostile;
mod isolation;
mod jobs;
mod support;
mod validation;
