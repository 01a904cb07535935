// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What mlx-rs expects of Apple's system library, for the platforms that lack it.

use std::sync::OnceLock;
use std::time::Instant;

/// mlx-rs seeds its default random state with this clock; any monotonic one will do.
#[no_mangle]
pub extern "C" fn mach_approximate_time() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
