// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Reading files that nobody vouches for: regular ones only, of bounded size, whose JSON errors name the field.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    limits::CONFIG_BYTES,
};

/// Opens a regular file.
///
/// # Errors
/// For anything else too: a FIFO would block at opening, and a device may never end.
pub fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        return File::open(path);
    }
    Err(io::Error::other("is not a regular file"))
}

/// The files whose absence means something, which a link that leads nowhere must not be taken for.
const OPTIONAL: [&str; 10] = [
    "adapter_config.json",
    "added_tokens.json",
    "additional_chat_templates/tool_use.jinja",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// # Errors
/// `ModelFileMissing` for a link in a model's folder to a file that does not exist.
pub fn check_links(folder: &Path) -> Result<()> {
    match OPTIONAL.into_iter().find(|file| {
        let path = folder.join(file);
        path.is_symlink() && !path.exists()
    }) {
        Some(file) => Err(Error::ModelFileMissing { path: folder.to_owned(), file: file.to_owned() }),
        None => Ok(()),
    }
}

/// Reads a UTF-8 text file without its byte-order mark; `None` if there is no such file.
///
/// # Errors
/// What is wrong with it, as a phrase that follows the file's name.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<Option<String>, String> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    let mut text = String::new();
    file.take(max_bytes + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > max_bytes {
        return Err(format!("is larger than {} MB", max_bytes >> 20));
    }
    Ok(Some(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }))
}

/// Reads a JSON object from a model's folder; `None` if there is no such file.
///
/// # Errors
/// `ConfigInvalid` if the file is not a JSON object.
pub fn read_json(folder: &Path, file: &str) -> Result<Option<Map<String, Value>>> {
    let invalid = |message: String| Error::config(file, "file", message);
    let Some(text) = read_text(&folder.join(file), CONFIG_BYTES).map_err(invalid)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| invalid(format!("is not a JSON object: {error}")))
}

/// Converts the JSON object of `file` to a type.
///
/// # Errors
/// `ConfigInvalid` with the name of the first field that is missing or has the wrong type.
pub fn parse<T: DeserializeOwned>(file: &str, object: &Map<String, Value>) -> Result<T> {
    serde_path_to_error::deserialize(Value::Object(object.clone())).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        // serde names a missing field in its message, not in the path.
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        Error::config(file, missing.unwrap_or(&path), message.clone())
    })
}
