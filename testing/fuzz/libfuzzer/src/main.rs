//! The fuzz targets guided by coverage: `FUZZ_TARGET=sip-message libfuzzer . -max_total_time=60`, in the folder of the
//! target's corpus; its seeds are put there first.
//!
//! `cargo xtask fuzz` builds it with the instrumentation, on the stable toolchain.
#![no_main]

use libfuzzer_sys::fuzz_target;
use offhook_fuzz::Target;
use std::sync::OnceLock;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn target() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        offhook_fuzz::target(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name:?} is none of the targets"))
    })
}

fuzz_target!(
    init: {
        for (number, seed) in target().seeds.iter().enumerate() {
            std::fs::write(format!("seed-{number}"), seed).expect("the folder of the corpus can be written");
        }
    },
    |data: &[u8]| (target().run)(data)
);
