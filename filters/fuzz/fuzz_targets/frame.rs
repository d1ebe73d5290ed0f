#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| riparian_filters_fuzz::frame::body(data));
