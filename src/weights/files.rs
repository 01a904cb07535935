// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Finds the weight files of a folder.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    files::read_text,
    limits::INDEX_BYTES,
};

const INDEX: &str = "model.safetensors.index.json";

/// The weight files of a folder.
///
/// mlx-lm loads every file whose name matches and never reads the index. Here an index whose files are all there says where
/// a tensor is: others beside them may hold old copies. It also serves to reject names that point outside the folder, and to
/// name a file that is missing.
pub struct Files {
    /// The files whose names match, sorted by name.
    pub present: Vec<PathBuf>,
    /// The first file in the index that does not exist.
    pub absent: Option<String>,
    /// The file of each tensor in the index, if all of them exist.
    places: HashMap<String, String>,
}

impl Files {
    /// # Errors
    /// `UnsafePath` for a name in the index, or a link, that points outside the folder; `ModelFileMissing` if no file
    /// matches.
    pub fn find(folder: &Path) -> Result<Self> {
        let mut places = indexed_places(&folder.join(INDEX));
        if let Some(name) = places.values().filter(|name| leads_out(name)).min() {
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
        let absent = places.values().filter(|name| !folder.join(name).exists()).min().cloned();
        if present.is_empty() {
            let file = absent.unwrap_or_else(|| "model.safetensors (or model-*.safetensors)".to_owned());
            return Err(Error::ModelFileMissing { path: folder.to_owned(), file });
        }
        present.iter().try_for_each(|file| check_link(file, folder))?;
        if absent.is_some() {
            places.clear();
        }
        Ok(Self { present, absent, places })
    }

    /// The files that the index names.
    pub fn named(&self) -> impl Iterator<Item = &PathBuf> {
        let named: HashSet<&str> = self.places.values().map(String::as_str).collect();
        let is_named = move |name: &OsStr| name.to_str().is_some_and(|name| named.contains(name));
        self.present.iter().filter(move |file| file.file_name().is_some_and(&is_named))
    }

    /// Whether the index names another file for this tensor.
    pub fn is_elsewhere(&self, tensor: &str, file: &Path) -> bool {
        self.places.get(tensor).is_some_and(|place| file.file_name().is_none_or(|name| name != place.as_str()))
    }

    /// Whether there is an index, and all that it names was found.
    pub fn are_all(&self, found: &HashSet<&str>) -> bool {
        !self.places.is_empty() && self.places.keys().all(|tensor| found.contains(tensor.as_str()))
    }
}

/// Returns the file of each tensor that an index names; none if the index is invalid.
fn indexed_places(index: &Path) -> HashMap<String, String> {
    let text = read_text(index, INDEX_BYTES).ok().flatten().unwrap_or_default();
    let index: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let places = index.get("weight_map").and_then(Value::as_object).into_iter().flatten();
    places.filter_map(|(tensor, file)| Some((tensor.clone(), file.as_str()?.to_owned()))).collect()
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

/// Returns the blob folders of a snapshot, `models--owner--name/snapshots/<commit>`, or of a folder inside one: that of
/// the model, and the one beside the models, where huggingface_hub keeps blobs shared between models.
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
