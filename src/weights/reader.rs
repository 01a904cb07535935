// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Tensors as a safetensors file for MLX: as stored, or those in half precision as if they were stored in single
//! precision. Widening them while they are read takes no second pass and no second buffer.

use std::{
    collections::HashMap,
    fs::File,
    io,
    thread::{self, available_parallelism},
};

use half::f16;
use safetensors::tensor::Dtype;
use serde_json::{Map, json};

use super::stored::Stored;
use crate::mlx::Source;

/// MLX reads tensors in parallel, but each in one call. Longer ones are read by several threads.
const MIN_PART: usize = 8 << 20;
const MAX_THREADS: usize = 8;
/// Bytes read at a time, small enough to stay in the processor's cache between the steps.
const BLOCK: usize = 128 << 10;

/// A file with a header written by us.
pub struct View {
    head: Vec<u8>,
    size: u64,
    /// By their offset in the view.
    tensors: HashMap<u64, Tensor>,
}

struct Tensor {
    stored: Stored,
    widened: bool,
}

impl View {
    /// Shows tensors as stored, or `widened` from half to single precision.
    pub fn new<'a>(shown: impl IntoIterator<Item = (&'a str, &'a Stored)>, widened: bool) -> Self {
        let mut end = 0;
        let mut tensors = Vec::new();
        let mut entries = Map::new();
        for (name, stored) in shown {
            let start = end;
            let dtype = if widened { Dtype::F32 } else { stored.dtype };
            end += if widened { stored.bytes * 2 } else { stored.bytes };
            let entry = json!({ "dtype": dtype.to_string(), "shape": stored.shape, "data_offsets": [start, end] });
            entries.insert(name.to_owned(), entry);
            if end > start {
                tensors.push((start, Tensor { stored: stored.clone(), widened }));
            }
        }
        let json = serde_json::Value::Object(entries).to_string();
        let head = [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
        let data = head.len() as u64;
        let tensors = tensors.into_iter().map(|(start, tensor)| (data + start, tensor)).collect();
        Self { head, size: data + end, tensors }
    }
}

/// Whether a tensor can be widened.
pub fn is_half(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F16 | Dtype::BF16)
}

impl Source for View {
    fn head(&self) -> &[u8] {
        &self.head
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, tensor: &mut [u8]) -> io::Result<()> {
        let shown = self.tensors.get(&offset).ok_or(io::ErrorKind::NotFound)?;
        if tensor.len() <= MIN_PART {
            return shown.read(0, tensor);
        }
        let threads = available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let part = tensor.len().div_ceil(threads).next_multiple_of(MIN_PART);
        thread::scope(|scope| {
            let readers: Vec<_> = tensor
                .chunks_mut(part)
                .zip((0..).step_by(part))
                .map(|(part, at)| thread::Builder::new().spawn_scoped(scope, move || shown.read(at, part)))
                .collect();
            readers.into_iter().try_for_each(|reader| {
                reader?.join().unwrap_or_else(|_| Err(io::Error::other("a reader thread panicked")))
            })
        })
    }
}

impl Tensor {
    /// Reads the part of the tensor that begins `at` bytes after its start, as MLX sees it.
    fn read(&self, at: u64, part: &mut [u8]) -> io::Result<()> {
        let mut half = if self.widened { vec![0; BLOCK / 2] } else { Vec::new() };
        for (block, at) in part.chunks_mut(BLOCK).zip((at..).step_by(BLOCK)) {
            map_pages(block);
            if self.widened {
                let (half, _) = half.split_at_mut(block.len() / 2);
                self.stored.read(at / 2, half)?;
                widen(self.stored.dtype, half, block);
            } else {
                self.stored.read(at, block)?;
            }
        }
        Ok(())
    }
}

/// Fills a buffer from an offset of the file. Threads may do this at the same time.
#[cfg(not(windows))]
pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills a buffer from an offset of the file. Threads may do this at the same time: `seek_read` names the offset to the
/// system, and leaves the file's own position, which nobody uses, anywhere.
#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, buffer, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (_, buffer) = buffer.split_at_mut(count);
        offset += count as u64;
    }
    Ok(())
}

fn widen(dtype: Dtype, half: &[u8], single: &mut [u8]) {
    let (half, _) = half.as_chunks();
    let (single, _) = single.as_chunks_mut();
    let pairs = single.iter_mut().zip(half);
    if dtype == Dtype::BF16 {
        pairs.for_each(|(single, half)| *single = (u32::from(u16::from_le_bytes(*half)) << 16).to_le_bytes());
    } else {
        pairs.for_each(|(single, half)| *single = f16::from_le_bytes(*half).to_f32().to_le_bytes());
    }
}

/// Maps the pages of a buffer at once, which is faster than one page fault for each.
fn map_pages(buffer: &mut [u8]) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        let range = buffer.as_mut_ptr_range();
        let start = range.start.wrapping_add(range.start.align_offset(PAGE));
        let len = (range.end as usize).saturating_sub(start as usize) / PAGE * PAGE;
        if len > 0 {
            // SAFETY: these are whole pages of the buffer, whose contents are kept. Older kernels return an error,
            // which is harmless.
            unsafe { libc::madvise(start.cast(), len, libc::MADV_POPULATE_WRITE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = buffer;
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use half::bf16;
    use serde_json::Value;

    use super::*;
    use crate::weights::header::{self, Header};

    /// More than one thread reads, and the end of the tensor is not the end of a part or block.
    const NUMBERS: usize = MIN_PART + 3;

    /// Writes a file with the tensors `bf16`, `f16` and `u8`.
    fn file(name: &str) -> PathBuf {
        let brain: Vec<u8> = (0..NUMBERS).flat_map(|i| bf16::from_f32(i as f32).to_le_bytes()).collect();
        let half: Vec<u8> =
            [1.5, f32::INFINITY, -0.0].into_iter().flat_map(|x| f16::from_f32(x).to_le_bytes()).collect();
        let end = brain.len() + half.len();
        let head = json!({
            "bf16": { "dtype": "BF16", "shape": [NUMBERS], "data_offsets": [0, brain.len()] },
            "f16": { "dtype": "F16", "shape": [3], "data_offsets": [brain.len(), end] },
            "u8": { "dtype": "U8", "shape": [2], "data_offsets": [end, end + 2] },
        });
        let head = head.to_string();
        let path = std::env::temp_dir().join(format!("node-mlx-reader-{name}-{}", std::process::id()));
        let bytes = [&(head.len() as u64).to_le_bytes(), head.as_bytes(), &brain, &half, &[7, 8]].concat();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn open(path: &Path) -> Header {
        header::open(path).unwrap()
    }

    /// All tensors as stored, and those in half precision in single precision.
    fn views(header: &Header) -> (View, View) {
        let all = header.stored(Path::new("model.safetensors"));
        let shown = all.iter().map(|(name, stored)| (*name, stored));
        (View::new(shown.clone(), false), View::new(shown.filter(|(_, stored)| is_half(stored.dtype)), true))
    }

    /// Returns what MLX would read for a tensor, with its dtype; `None` if the view does not contain it.
    fn read(view: &View, name: &str) -> Option<io::Result<(String, Vec<u8>)>> {
        let head: Value = serde_json::from_slice(&view.head()[8..]).unwrap();
        let entry = head.get(name)?;
        let at = |index: usize| view.head().len() as u64 + entry["data_offsets"][index].as_u64().unwrap();
        assert!(at(1) <= view.size());
        let mut data = vec![0; (at(1) - at(0)) as usize];
        let result = view.read(at(0), &mut data);
        Some(result.map(|()| (entry["dtype"].as_str().unwrap().to_owned(), data)))
    }

    fn bytes(numbers: impl IntoIterator<Item = f32>) -> Vec<u8> {
        numbers.into_iter().flat_map(f32::to_le_bytes).collect()
    }

    #[test]
    fn tensors_are_read_as_stored_or_widened() {
        let path = file("widened");
        let header = open(&path);
        fs::remove_file(&path).unwrap();
        let (stored, widened) = views(&header);

        let (dtype, data) = read(&stored, "bf16").unwrap().unwrap();
        assert!(
            dtype == "BF16" && data.chunks(2).enumerate().all(|(i, x)| x == bf16::from_f32(i as f32).to_le_bytes())
        );
        assert_eq!(read(&stored, "u8").unwrap().unwrap(), ("U8".to_owned(), vec![7, 8]));

        let (dtype, data) = read(&widened, "bf16").unwrap().unwrap();
        assert!(dtype == "F32" && data == bytes((0..NUMBERS).map(|i| bf16::from_f32(i as f32).to_f32())));
        let (dtype, data) = read(&widened, "f16").unwrap().unwrap();
        assert!(dtype == "F32" && data == bytes([1.5, f32::INFINITY, -0.0]));
        assert!(read(&widened, "u8").is_none());
    }

    #[test]
    fn a_replaced_file_is_still_read_and_a_truncated_one_is_an_error() {
        let path = file("cut");
        let header = open(&path);
        let (view, _) = views(&header);
        fs::rename(file("other"), &path).unwrap();
        fs::write(&path, b"another").unwrap();
        assert_eq!(read(&view, "u8").unwrap().unwrap().1, [7, 8]);

        let header = open(&file("cut"));
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(NUMBERS as u64).unwrap();
        let (stored, widened) = views(&header);
        for view in [stored, widened] {
            assert!(read(&view, "bf16").unwrap().is_err());
            assert!(read(&view, "f16").unwrap().is_err());
        }
        fs::remove_file(&path).unwrap();
    }
}
