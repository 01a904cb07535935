// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What the fuzz targets share.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Once,
};

/// Each process has a copy of the smallest model, in which a target changes one file.
pub fn model() -> PathBuf {
    static COPIED: Once = Once::new();
    let folder = std::env::temp_dir().join(format!("node-mlx-fuzz-{}", std::process::id()));
    COPIED.call_once(|| {
        // libFuzzer's hook ends the process at panics that the library catches, too.
        drop(std::panic::take_hook());
        std::panic::set_hook(Box::new(|_| ()));
        fs::create_dir_all(&folder).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../__test__/fixtures/llama");
        for file in ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"] {
            fs::copy(fixture.join(file), folder.join(file)).unwrap();
        }
    });
    folder
}

/// The model's folder with these bytes as one of its files.
pub fn model_with(file: &str, bytes: &[u8]) -> PathBuf {
    let folder = model();
    fs::write(folder.join(file), bytes).unwrap();
    folder
}

/// The parts of an input, which zero bytes separate.
pub fn parts<const N: usize>(data: &[u8]) -> Option<[&str; N]> {
    let mut parts = std::str::from_utf8(data).ok()?.splitn(N, '\0');
    let parts = [(); N].map(|()| parts.next());
    parts.iter().all(Option::is_some).then(|| parts.map(Option::unwrap_or_default))
}
