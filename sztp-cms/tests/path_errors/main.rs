//! Which certification paths hold: what the field really produces is taken, and there is a test for
//! each way to be refused.

mod pki;
mod refused;
mod taken;
