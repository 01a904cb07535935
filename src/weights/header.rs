// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Validates safetensors files before MLX's own reader, which trusts them, reads them.

use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use safetensors::tensor::{Dtype, Metadata};

use super::{reader::read_exact_at, stored::Stored};
use crate::{
    error::{Error, Result},
    files,
    limits::{HEADER_BYTES, RANK, TENSORS},
};

/// The header of one tensor.
#[derive(Debug, Clone)]
pub struct TensorHeader {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: u64,
    /// Offset of its data in the file.
    pub offset: u64,
}

/// The header of a file, which stays open so that the checked file is read even if it is replaced.
#[derive(Debug)]
pub struct Header {
    pub file: Arc<File>,
    /// In the order of their data.
    pub tensors: Vec<(String, TensorHeader)>,
    pub metadata: HashMap<String, String>,
}

impl Header {
    /// The tensors of this file, which was opened as `path`.
    pub fn stored(&self, path: &Path) -> Vec<(&str, Stored)> {
        let path = Arc::from(path);
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), Stored::new(&self.file, &path, tensor))).collect()
    }

    /// Fills a buffer from an offset of the file.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        read_exact_at(&self.file, buffer, offset)
    }
}

/// Opens a safetensors file, and reads and checks its header.
///
/// # Errors
/// `WeightsInvalid` unless the file is regular, its header is valid, and its tensors cover the data exactly.
pub fn open(path: &Path) -> Result<Header> {
    let invalid = |message: String| Error::WeightsInvalid { path: PathBuf::from(path), message };
    let io = |error: std::io::Error| invalid(error.to_string());

    let mut file = files::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|_| invalid(format!("has {size} bytes, which is too short for a safetensors header")))?;
    let length = u64::from_le_bytes(length);
    if length == 0 || length > HEADER_BYTES || length > size - 8 {
        let max = HEADER_BYTES.min(size - 8);
        return Err(invalid(format!("the header length is {length} bytes, expected 1 to {max}")));
    }
    let mut header = vec![0; usize::try_from(length).map_err(|error| invalid(error.to_string()))?];
    file.read_exact(&mut header).map_err(io)?;
    let malformed = |error: serde_json::Error| invalid(format!("the header is not valid: {error}"));
    let keys = count_keys(&header).map_err(malformed)?;
    if keys > TENSORS {
        return Err(invalid(format!("has {keys} tensors, more than {TENSORS}")));
    }
    let metadata: Metadata = serde_json::from_slice(&header).map_err(malformed)?;

    let mut tensors = Vec::new();
    let mut end = 0;
    for (name, info) in metadata.tensors() {
        let problem = |what: &str| invalid(format!("tensor '{name}' {what}"));
        if name.contains('\0') {
            return Err(problem("has a NUL character in its name"));
        }
        if info.shape.len() > RANK {
            return Err(problem("has too many dimensions"));
        }
        if info.shape.iter().any(|&dim| i32::try_from(dim).is_err()) {
            return Err(problem("has a dimension that does not fit 32 bits"));
        }
        end = end.max(info.data_offsets.1 as u64);
        let bytes = (info.data_offsets.1 - info.data_offsets.0) as u64;
        let offset = 8 + length + info.data_offsets.0 as u64;
        tensors.push((name.clone(), TensorHeader { dtype: info.dtype, shape: info.shape.clone(), bytes, offset }));
    }
    tensors.sort_by_key(|(_, tensor)| tensor.offset);
    let data = size - 8 - length;
    if end != data {
        return Err(invalid(format!("has {data} bytes of data, but its header describes {end}")));
    }
    // serde keeps the last of two equal keys, so a duplicate would show as a hole or, if equal, not at all.
    if keys != tensors.len() {
        return Err(invalid("the header contains a tensor twice".to_owned()));
    }
    let metadata = metadata.metadata().clone().unwrap_or_default();
    Ok(Header { file: Arc::new(file), tensors, metadata })
}

/// Returns the number of tensors in a header, including duplicates.
fn count_keys(header: &[u8]) -> serde_json::Result<usize> {
    struct Counter;
    impl<'de> serde::de::Visitor<'de> for Counter {
        type Value = usize;

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("a map of tensors")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                count += usize::from(key != "__metadata__");
            }
            Ok(count)
        }
    }
    serde::de::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_slice(header), Counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<Vec<(String, TensorHeader)>> {
        let path =
            std::env::temp_dir().join(format!("node-mlx-{}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::write(&path, bytes).unwrap();
        let result = open(&path).map(|header| header.tensors);
        std::fs::remove_file(&path).unwrap();
        result
    }

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    #[test]
    fn reads_a_valid_header() {
        let bytes = file(r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#, 24);
        let tensors = read_bytes(&bytes).unwrap();
        assert_eq!(tensors.len(), 1);
        assert_eq!(tensors[0].1.shape, [2, 3]);
        assert_eq!(tensors[0].1.bytes, 24);
    }

    #[test]
    fn rejects_every_malformed_file() {
        let sound = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("empty", vec![]),
            ("seven bytes", vec![1; 7]),
            ("no header", vec![0; 8]),
            ("header of 2^63", [&(1u64 << 63).to_le_bytes()[..], b"{}"].concat()),
            ("header beyond the file", [&100u64.to_le_bytes()[..], b"{}"].concat()),
            ("truncated data", file(sound, 7)),
            ("trailing data", file(sound, 9)),
            ("not JSON", file("{nope", 0)),
            ("negative shape", file(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#, 8)),
            ("fractional shape", file(r#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,8]}}"#, 8)),
            ("unknown dtype", file(r#"{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}"#, 8)),
            ("wrapping", file(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0)),
            ("huge empty", file(r#"{"a":{"dtype":"F32","shape":[4294967300,0],"data_offsets":[0,0]}}"#, 0)),
            ("rank", file(r#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#, 4)),
            ("NUL", file(r#"{"a\u0000b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8)),
            ("too many tensors", {
                let tensors =
                    (0..=TENSORS).map(|i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#));
                file(&format!("{{{}}}", tensors.collect::<Vec<_>>().join(",")), 0)
            }),
            (
                "overlap",
                file(
                    r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                    12,
                ),
            ),
            (
                "duplicate",
                file(
                    r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
                    8,
                ),
            ),
        ];
        for (name, bytes) in cases {
            let error = read_bytes(&bytes).expect_err(name);
            assert_eq!(error.code(), "ERR_WEIGHTS_INVALID", "{name}: {error}");
        }
    }
}
