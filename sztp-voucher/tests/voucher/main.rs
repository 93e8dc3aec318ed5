//! Ownership vouchers from issuing to verifying: one module for each subject of RFC 8366.

mod field;
mod generator;
mod hostile;
mod lab;
mod leaves;
mod openssl;
mod properties;
mod renewal;
mod requests;
mod revocation;
mod rules;
mod text_forms;
mod wire;
