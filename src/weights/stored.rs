// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Where the bytes of tensors are in the files. Tensors that are joined or divided are read as such, which takes neither a
//! second buffer nor work of the device.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use safetensors::tensor::Dtype;

use super::{
    header::TensorHeader,
    reader::{View, read_exact_at},
};
use crate::{error::Result, mlx};

/// How many pieces a tensor may be divided into: more than any model has experts.
const BLOCKS: usize = 1 << 14;

/// A tensor as the files have it, in one piece or several.
#[derive(Debug, Clone)]
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: u64,
    /// In the order of the tensor's bytes.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    file: Arc<File>,
    path: Arc<Path>,
    /// Of the file.
    offset: u64,
    /// Position of the first byte in the tensor.
    start: u64,
    bytes: u64,
}

impl Stored {
    pub fn new(
        file: &Arc<File>,
        path: &Arc<Path>,
        TensorHeader { dtype, shape, bytes, offset }: &TensorHeader,
    ) -> Self {
        let piece = Piece { file: Arc::clone(file), path: Arc::clone(path), offset: *offset, start: 0, bytes: *bytes };
        Self { dtype: *dtype, shape: shape.clone(), bytes: *bytes, pieces: vec![piece] }
    }

    /// Joins tensors along an axis, counted from the last; `None` unless they differ in its length only.
    pub fn join<'a>(parts: impl IntoIterator<Item = &'a Self> + Clone, axis_from_end: usize) -> Option<Self> {
        let first = parts.clone().into_iter().next()?;
        let axis = first.shape.len().checked_sub(axis_from_end)?;
        let mut shape = first.shape.clone();
        *shape.get_mut(axis)? = 0;
        for part in parts.clone() {
            let [mut ours, mut theirs] = [shape.clone(), part.shape.clone()];
            (*ours.get_mut(axis)?, *theirs.get_mut(axis)?) = (0, 0);
            if ours != theirs || part.dtype != first.dtype {
                return None;
            }
            *shape.get_mut(axis)? += *part.shape.get(axis)?;
        }
        let blocks = blocks(&shape, axis)?;
        let mut joined = Self { dtype: first.dtype, shape, bytes: 0, pieces: Vec::new() };
        for block in 0..blocks {
            for part in parts.clone() {
                let bytes = exact_quotient(part.bytes, blocks)?;
                joined.append(part, block * bytes, bytes);
            }
        }
        Some(joined)
    }

    /// Stacks tensors along a new first axis; `None` unless they are alike.
    pub fn stack(parts: &[Self]) -> Option<Self> {
        let parts: Vec<Self> =
            parts.iter().map(|part| Self { shape: [&[1], part.shape.as_slice()].concat(), ..part.clone() }).collect();
        Self::join(&parts, parts.first()?.shape.len())
    }

    /// A range of an axis, counted from the last.
    pub fn slice(&self, axis_from_end: usize, start: usize, stop: usize) -> Option<Self> {
        let axis = self.shape.len().checked_sub(axis_from_end)?;
        let blocks = blocks(&self.shape, axis)?;
        let mut shape = self.shape.clone();
        let length = std::mem::replace(shape.get_mut(axis)?, stop.checked_sub(start)?);
        if stop > length {
            return None;
        }
        let per_block = exact_quotient(self.bytes, blocks)?;
        let per_index = exact_quotient(per_block, length as u64)?;
        let mut part = Self { dtype: self.dtype, shape, bytes: 0, pieces: Vec::new() };
        for block in 0..blocks {
            part.append(self, block * per_block + start as u64 * per_index, (stop - start) as u64 * per_index);
        }
        Some(part)
    }

    /// Adds `bytes` bytes of another tensor, from its byte `from` on.
    fn append(&mut self, other: &Self, from: u64, bytes: u64) {
        let end = from + bytes;
        for piece in &other.pieces {
            let (start, stop) = (from.max(piece.start), end.min(piece.start + piece.bytes));
            if start >= stop {
                continue;
            }
            let (offset, bytes) = (piece.offset + start - piece.start, stop - start);
            match self.pieces.last_mut() {
                Some(last) if Arc::ptr_eq(&last.file, &piece.file) && last.offset + last.bytes == offset => {
                    last.bytes += bytes;
                }
                _ => self.pieces.push(Piece { offset, start: self.bytes, bytes, ..piece.clone() }),
            }
            self.bytes += bytes;
        }
    }

    /// Fills a buffer from the tensor's byte `at` on.
    pub fn read(&self, mut at: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        let next = self.pieces.partition_point(|piece| piece.start <= at);
        for piece in self.pieces.iter().skip(next.saturating_sub(1)) {
            let skipped = at - piece.start;
            let here = usize::try_from(piece.bytes.saturating_sub(skipped)).unwrap_or(usize::MAX).min(buffer.len());
            let (part, rest) = std::mem::take(&mut buffer).split_at_mut(here);
            read_exact_at(&piece.file, part, piece.offset + skipped)?;
            if rest.is_empty() {
                return Ok(());
            }
            (at, buffer) = (at + here as u64, rest);
        }
        if buffer.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The tensor for MLX, which reads it when it is evaluated; half precision may be widened meanwhile.
    ///
    /// # Errors
    /// `WeightsInvalid`.
    pub fn array(&self, widened: bool) -> Result<mlx_rs::Array> {
        const NAME: &str = "tensor";
        let view = View::new([(NAME, self)], widened);
        // Errors are to name the files.
        let paths: BTreeSet<_> = self.pieces.iter().map(|piece| piece.path.to_string_lossy()).collect();
        let path = PathBuf::from(Vec::from_iter(paths).join(", "));
        let array = mlx::load_safetensors(&path, view)?.remove(NAME);
        array.ok_or_else(|| crate::error::Error::internal("MLX did not find a tensor in its header"))
    }
}

/// Number of blocks of consecutive bytes that an axis divides a tensor into; `None` if it is empty, or there are too many.
fn blocks(shape: &[usize], axis: usize) -> Option<u64> {
    if shape.contains(&0) {
        return None;
    }
    let blocks = shape.get(..axis)?.iter().try_fold(1_usize, |blocks, length| blocks.checked_mul(*length))?;
    (blocks <= BLOCKS).then_some(blocks as u64)
}

fn exact_quotient(bytes: u64, count: u64) -> Option<u64> {
    bytes.is_multiple_of(count).then(|| bytes / count)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A tensor of bytes that count up from `first`, in a file of its own, behind something else.
    fn tensor(shape: &[usize], first: u8) -> Stored {
        let path = std::env::temp_dir().join(format!("node-mlx-stored-{}", std::process::id()));
        let bytes = shape.iter().product::<usize>();
        let data: Vec<u8> = (0..3).chain(first..first + bytes as u8).collect();
        fs::write(&path, data).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        fs::remove_file(&path).unwrap();
        let header = TensorHeader { dtype: Dtype::U8, shape: shape.to_vec(), bytes: bytes as u64, offset: 3 };
        Stored::new(&file, &Arc::from(path), &header)
    }

    /// All bytes, which are the same if they are read in parts.
    fn bytes(tensor: &Stored) -> Vec<u8> {
        let mut all = vec![0; tensor.bytes as usize];
        tensor.read(0, &mut all).unwrap();
        for at in 0..all.len() {
            let mut rest = vec![0; all.len() - at];
            tensor.read(at as u64, &mut rest).unwrap();
            assert_eq!(rest, all[at..]);
            tensor.read(at as u64, &mut rest[..1]).unwrap();
            assert_eq!(rest[0], all[at]);
        }
        assert!(tensor.read(1, &mut vec![0; all.len()]).is_err());
        all
    }

    #[test]
    fn tensors_are_joined_along_any_axis() {
        let (a, b) = (tensor(&[2, 2, 3], 10), tensor(&[2, 1, 3], 100));
        let rows = Stored::join([&a, &b], 2).unwrap();
        assert_eq!(rows.shape, [2, 3, 3]);
        assert_eq!(bytes(&rows), [10, 11, 12, 13, 14, 15, 100, 101, 102, 16, 17, 18, 19, 20, 21, 103, 104, 105]);
        assert!(Stored::join([&a, &b], 1).is_none() && Stored::join([&a, &b], 3).is_none());
        assert!(Stored::join([&a, &b], 4).is_none() && Stored::join([], 1).is_none());
        let half = Stored { dtype: Dtype::F16, ..b };
        assert!(Stored::join([&a, &half], 2).is_none());

        let (c, d) = (tensor(&[2, 1], 1), tensor(&[2, 2], 50));
        assert_eq!(bytes(&Stored::join([&c, &d], 1).unwrap()), [1, 50, 51, 2, 52, 53]);
        let stacked = Stored::stack(&[c.clone(), tensor(&[2, 1], 7)]).unwrap();
        assert_eq!((stacked.shape.as_slice(), bytes(&stacked)), (&[2, 2, 1][..], vec![1, 2, 7, 8]));
        assert!(Stored::stack(&[c, d]).is_none() && Stored::stack(&[]).is_none());
        assert!(Stored::join([&tensor(&[0, 2], 0), &tensor(&[0, 2], 0)], 2).is_none());
    }

    #[test]
    fn what_was_divided_is_joined_to_what_it_was() {
        let whole = tensor(&[2, 4, 3], 0);
        let (top, bottom) = (whole.slice(2, 0, 2).unwrap(), whole.slice(2, 2, 4).unwrap());
        assert_eq!((top.shape.as_slice(), bytes(&bottom)), (&[2, 2, 3][..], (6..12).chain(18..24).collect()));
        let again = Stored::join([&top, &bottom], 2).unwrap();
        assert_eq!((again.shape.as_slice(), again.pieces.len()), (&[2, 4, 3][..], 1));
        assert_eq!(bytes(&again), bytes(&whole));
        let many = Stored { shape: vec![BLOCKS + 1, 2, 1], bytes: 2 * (BLOCKS as u64 + 1), ..whole.clone() };
        assert!(many.slice(2, 0, 1).is_none() && Stored::join([&many, &many], 2).is_none());
        assert!(whole.slice(2, 3, 5).is_none() && whole.slice(2, 3, 2).is_none() && whole.slice(4, 0, 1).is_none());
    }
}
