//! What is fuzzed: everything that reads what others send.

mod essential;
mod jws;
mod openssl_differential;
mod targets;

pub use self::jws::jws;
pub use self::openssl_differential::{difference, is_accepted_by_both, openssl};
pub use self::targets::*;
