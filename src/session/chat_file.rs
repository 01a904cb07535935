// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Chats in files: safetensors files with the chat in their metadata, and the caches as tensors. Both have a checksum.

use std::{
    collections::HashMap,
    fs::{self, File},
    hash::Hasher,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use twox_hash::XxHash3_64;

use super::{Session, workers::LOADERS};
use crate::{
    engine::{self, SlotId},
    error::{Error, Result},
    generate::{CacheFacts, SavedCache},
    mlx::Tensor,
    models::LoadedModel,
    watch::Cancel,
    weights::header::{self, Header},
};

/// The keys of the metadata, and what `FORMAT` says.
const FORMAT: &str = "format";
const CHAT: &str = "chat";
const CACHE: &str = "cache";
const CHECKSUM: &str = "checksum";
const THIS_FORMAT: &str = "node-mlx chat 1";

#[derive(Serialize, Deserialize)]
struct StoredFacts {
    /// Of the tensors' data.
    checksum: u64,
    #[serde(flatten)]
    facts: CacheFacts,
}

/// Writes a chat, and the caches that are in its slot. What was in the file stays there until all is written.
///
/// # Errors
/// `ChatFile`.
pub async fn save_chat(slot: SlotId, path: PathBuf, chat: String) -> Result<()> {
    let cache = engine::save_slot(slot).await?;
    let write = move || write(&path, &chat, cache).map_err(|error| unusable(&path, "cannot be written", error));
    LOADERS.run(&Cancel::default(), write).await
}

impl Session {
    /// Opens the file of a chat; returns the chat, and a slot with its caches if they are this model's.
    ///
    /// # Errors
    /// `ChatFile`.
    pub fn restore_chat(&self, path: &Path) -> Result<(SlotId, String)> {
        let damaged = |what: &str| Error::ChatFile { path: path.to_owned(), message: what.to_owned() };
        let mut header = header::open(path).map_err(|error| match error {
            Error::WeightsInvalid { message, .. } => unusable(path, "cannot be read", message),
            error => error,
        })?;
        let mut metadata = std::mem::take(&mut header.metadata);
        if metadata.get(FORMAT).is_none_or(|format| format != THIS_FORMAT) {
            return Err(damaged("is no chat that this version of node-mlx has saved"));
        }
        let chat = metadata.remove(CHAT).ok_or_else(|| damaged("has no messages"))?;
        let cache = metadata.remove(CACHE);
        let checksum = checksum([chat.as_bytes(), cache.as_deref().unwrap_or_default().as_bytes()]);
        if metadata.get(CHECKSUM) != Some(&checksum.to_string()) {
            return Err(damaged("is damaged"));
        }
        let facts = cache.map(|cache| serde_json::from_str::<StoredFacts>(&cache)).transpose();
        let slot = match facts.map_err(|error| damaged(&format!("is damaged: {error}")))? {
            None => SlotId::new(self.id),
            Some(StoredFacts { checksum, facts }) => {
                let bytes = header.tensors.iter().map(|(_, tensor)| tensor.bytes).sum();
                let read = move |model: &LoadedModel| match read_tensors(&header)? {
                    (found, tensors) if found == checksum => SavedCache { facts, tensors }.restore(model),
                    _ => Ok(None),
                };
                engine::filled_slot(self.id, bytes, Box::new(read))?
            }
        };
        Ok((slot, chat))
    }
}

/// Returns the tensors of a file, and their checksum.
fn read_tensors(header: &Header) -> Result<(u64, HashMap<String, Tensor>)> {
    let mut hash = XxHash3_64::with_seed(0);
    let mut tensors = HashMap::new();
    for (name, stored) in &header.tensors {
        let mut data = vec![0; usize::try_from(stored.bytes).unwrap_or_default()];
        header.read(stored.offset, &mut data).map_err(|error| Error::internal(error.to_string()))?;
        hash.write(&data);
        tensors.insert(name.clone(), Tensor { dtype: stored.dtype, shape: stored.shape.clone(), data });
    }
    Ok((hash.finish(), tensors))
}

fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = XxHash3_64::with_seed(0);
    parts.into_iter().for_each(|part| hash.write(part));
    hash.finish()
}

fn write(path: &Path, chat: &str, cache: Option<SavedCache>) -> io::Result<()> {
    let (facts, tensors) = cache.map_or_else(Default::default, |cache| (Some(cache.facts), cache.tensors));
    let checksum_of_data = checksum(tensors.values().map(|tensor| tensor.data.as_slice()));
    let facts =
        facts.map(|facts| serde_json::to_string(&StoredFacts { checksum: checksum_of_data, facts })).transpose()?;
    let checksum = checksum([chat.as_bytes(), facts.as_deref().unwrap_or_default().as_bytes()]);
    let mut metadata = json!({ FORMAT: THIS_FORMAT, CHAT: chat, CHECKSUM: checksum.to_string() });
    if let (Some(facts), Some(metadata)) = (facts, metadata.as_object_mut()) {
        metadata.insert(CACHE.to_owned(), facts.into());
    }
    let mut header = Map::from_iter([("__metadata__".to_owned(), metadata)]);
    let mut end = 0;
    for (name, Tensor { dtype, shape, data }) in &tensors {
        let start = end;
        end += data.len();
        let entry = json!({ "dtype": dtype.to_string(), "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_string(&header)?;
    replace(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        tensors.values().try_for_each(|tensor| file.write_all(&tensor.data))
    })
}

/// Writes a file beside `path`, and puts it in its place once it is on the disk.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    static FILES: AtomicU64 = AtomicU64::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}-{number}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut file = File::create_new(&temporary)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    drop(file);
    let replaced = written.and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

fn unusable(path: &Path, what: &str, why: impl std::fmt::Display) -> Error {
    Error::ChatFile { path: path.to_owned(), message: format!("{what}: {why}") }
}
