// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What the fuzz targets share.

use std::{
    fs, panic,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use node_mlx::mlx::{self, Backend};

/// Prepares the process: every target's first step.
pub fn init() {
    mlx::choose_backend(Some(Backend::Cpu)).unwrap();
    // libFuzzer's hook ends the process. That is right for our own panics, but we catch those of libraries.
    let end = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let library = |file: &str| file.contains("registry/src/") || file.starts_with("/rustc/");
        if !panic.location().is_some_and(|location| library(location.file())) {
            end(panic);
        }
    }));
}

/// A model for tests.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../__test__/fixtures").join(name)
}

/// A folder of this process.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("node-mlx-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// The folder, with these bytes as a file.
pub fn folder_with(file: &str, bytes: &[u8]) -> &'static Path {
    fs::write(folder().join(file), bytes).unwrap();
    folder()
}

/// The parts of an input, which zero bytes separate.
pub fn parts<const N: usize>(data: &[u8]) -> Option<[&str; N]> {
    let mut parts = std::str::from_utf8(data).ok()?.splitn(N, '\0');
    let parts = [(); N].map(|()| parts.next());
    parts.iter().all(Option::is_some).then(|| parts.map(Option::unwrap_or_default))
}
