// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Makes the addon a Node module that finds libmlx in its own folder, wherever that folder is moved.

fn main() {
    napi_build::setup();
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        // The old kind of run path serves libmlx's own dependencies too; the new kind would not.
        Ok("linux") => println!("cargo::rustc-link-arg-cdylib=-Wl,--disable-new-dtags,-rpath,$ORIGIN"),
        Ok("macos") => println!("cargo::rustc-link-arg-cdylib=-Wl,-rpath,@loader_path"),
        _ => {}
    }
}
