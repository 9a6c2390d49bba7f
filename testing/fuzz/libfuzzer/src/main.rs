//! The fuzz targets guided by coverage: `FUZZ_TARGET=sip-message libfuzzer corpus/sip-message -max_total_time=60`.
//!
//! Builds on the stable toolchain: `build` beside this crate's manifest names the instrumentation flags.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static TARGET: OnceLock<&'static offhook_fuzz::Target> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        offhook_fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name:?} is none of the targets"))
    });
    (target.run)(data);
});
