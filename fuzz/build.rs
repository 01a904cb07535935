// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // Rust's linker would drop the coverage counters.
        println!("cargo:rustc-link-arg=-Wl,-z,nostart-stop-gc");
    }
}
