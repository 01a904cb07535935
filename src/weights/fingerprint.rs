// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Tells models apart, other training of the same architecture too, by their configs, the headers of their files and
//! samples of each tensor. Hashing all data would take as long as reading it.

use std::{hash::Hasher, io};

use twox_hash::XxHash3_64;

use super::header::Header;

/// Number of samples of a tensor, and bytes of each.
const SAMPLES: u64 = 4;
const SAMPLE_BYTES: u64 = 1024;

/// What a model is made from. The files stay open, so that the fingerprint is that of the files that were read.
#[derive(Debug, Default)]
pub struct Sources {
    configs: Vec<String>,
    headers: Vec<Header>,
}

impl Sources {
    pub fn add_config(&mut self, json: String) {
        self.configs.push(json);
    }

    pub fn add_file(&mut self, header: Header) {
        self.headers.push(header);
    }

    /// The name of the largest tensor.
    pub fn largest(&self) -> Option<&str> {
        let tensors = self.headers.iter().flat_map(|header| &header.tensors);
        tensors.max_by_key(|(_, tensor)| tensor.bytes).map(|(name, _)| name.as_str())
    }

    /// # Errors
    /// If a file cannot be read.
    pub fn fingerprint(&self) -> io::Result<u64> {
        let mut hash = XxHash3_64::with_seed(0);
        for config in &self.configs {
            hash.write(config.as_bytes());
        }
        let mut sample = Vec::new();
        for header in &self.headers {
            for (name, tensor) in &header.tensors {
                hash.write(format!("{name} {} {:?}", tensor.dtype, tensor.shape).as_bytes());
                let bytes = tensor.bytes.min(SAMPLE_BYTES);
                sample.resize(usize::try_from(bytes).unwrap_or_default(), 0);
                for index in 0..SAMPLES {
                    let at = (tensor.bytes - bytes) / (SAMPLES - 1) * index;
                    header.read(tensor.offset + at, &mut sample)?;
                    hash.write(&sample);
                }
            }
        }
        Ok(hash.finish())
    }
}
