// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Which files of a folder hold weights.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    files::{MAX_TEXT_BYTES, read_text},
};

const INDEX: &str = "model.safetensors.index.json";

/// The weight files of a folder.
///
/// mlx-lm loads every file whose name matches and never reads the index; here that serves to refuse names that lead out of
/// the folder, and to say what a download has left out.
pub struct Files {
    /// Those that match, in the order of their names.
    pub present: Vec<PathBuf>,
    /// The first of those that the index names and that are not there.
    pub absent: Option<String>,
}

impl Files {
    /// # Errors
    /// `UnsafePath` for a name in the index, or a link, that leads out of the folder; `ModelFileMissing` if no file matches.
    pub fn find(folder: &Path) -> Result<Self> {
        let mut indexed = indexed_files(&folder.join(INDEX));
        indexed.sort();
        if let Some(name) = indexed.iter().find(|name| leads_out(name)) {
            return Err(Error::UnsafePath { file: INDEX.to_owned(), name: name.clone() });
        }
        let mut present: Vec<PathBuf> = fs::read_dir(folder)
            .map_err(|_| Error::ModelNotFound { path: folder.to_owned(), hint: String::new() })?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("model") && name.ends_with(".safetensors")
            })
            .collect();
        present.sort();
        let absent = indexed.into_iter().find(|name| !folder.join(name).exists());
        if present.is_empty() {
            let file = absent.unwrap_or_else(|| "model.safetensors (or model-*.safetensors)".to_owned());
            return Err(Error::ModelFileMissing { path: folder.to_owned(), file });
        }
        present.iter().try_for_each(|file| check_link(file, folder))?;
        Ok(Self { present, absent })
    }
}

/// The files that an index names; none if it is not what an index should be.
fn indexed_files(index: &Path) -> Vec<String> {
    let text = read_text(index, MAX_TEXT_BYTES).ok().flatten().unwrap_or_default();
    let index: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let files = index.get("weight_map").and_then(Value::as_object).into_iter().flat_map(Map::values);
    files.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn leads_out(name: &str) -> bool {
    matches!(name, "" | "." | "..") || name.contains(['/', '\\', ':', '\0'])
}

/// Fails for a link to a file elsewhere, unless the folder is a snapshot in the Hub's cache, whose files link to blobs.
pub(super) fn check_link(file: &Path, folder: &Path) -> Result<()> {
    if !file.is_symlink() || !file.is_file() {
        return Ok(());
    }
    let canonical = |path: &Path| {
        fs::canonicalize(path)
            .map_err(|error| Error::WeightsInvalid { path: path.to_owned(), message: error.to_string() })
    };
    let (target, folder) = (canonical(file)?, canonical(folder)?);
    if target.starts_with(&folder) || blobs(&folder).any(|blobs| target.starts_with(blobs)) {
        return Ok(());
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(Error::UnsafePath { file: name, name: target.to_string_lossy().into_owned() })
}

/// The folders of blobs of a snapshot, `models--owner--name/snapshots/<commit>`, or of a folder in one: its model's, and the one
/// beside the models, where huggingface_hub keeps those that several have.
fn blobs(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let snapshots = folder.ancestors().skip(1).find(|parent| parent.ends_with("snapshots"));
    let model = snapshots.and_then(Path::parent);
    let model =
        model.filter(|model| model.file_name().is_some_and(|name| name.to_string_lossy().starts_with("models--")));
    model
        .into_iter()
        .flat_map(|model| model.ancestors().take(2))
        .filter_map(|parent| fs::canonicalize(parent.join("blobs")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_plain_files_only() {
        for name in ["model.safetensors", "model-00001-of-00002.safetensors", "..a", "a..", "é"] {
            assert!(!leads_out(name), "{name}");
        }
        for name in ["", ".", "..", "../a", "a/b", "a/", "/a", "\\\\server\\a", "a\\b", "C:a", "a\0"] {
            assert!(leads_out(name), "{name}");
        }
    }
}
