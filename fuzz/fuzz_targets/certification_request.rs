#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| sztp_fuzz::certification_request(octets));
