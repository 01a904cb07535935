// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The version of MLX that mlx-sys supports, and the check of headers against it. Not in build.rs, so that it can be tested.

use std::{fs, path::Path};

/// Also in native/guard.h and wheels.lock.
pub const MLX_VERSION: &str = "0.32.2";

/// Checks the headers in `include`.
///
/// # Errors
/// One line that says what is wrong and what to do.
pub fn check_version(include: &Path) -> Result<(), String> {
    let path = include.join("mlx/version.h");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let found = header_version(&text)
        .ok_or_else(|| format!("{} does not define MLX_VERSION_MAJOR, _MINOR and _PATCH", path.display()))?;
    if found == MLX_VERSION {
        return Ok(());
    }
    Err(format!(
        "{} belongs to MLX {found}, but node-mlx depends on internals of MLX {MLX_VERSION}; set MLX_DIR to a folder \
         with MLX {MLX_VERSION}, or unset it to download that version",
        path.display()
    ))
}

fn header_version(text: &str) -> Option<String> {
    let number = |part: &str| {
        let mut lines = text.lines().map(str::split_whitespace);
        lines.find_map(|mut words| (words.next()? == "#define" && words.next()? == part).then(|| words.next())?)
    };
    let parts = [number("MLX_VERSION_MAJOR")?, number("MLX_VERSION_MINOR")?, number("MLX_VERSION_PATCH")?];
    Some(parts.join("."))
}
