// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What models do to the tensors of other layouts before they take them: mlx-lm's `sanitize`. All of it is lazy and
//! sees only the tensors under the cursor, by the rest of their names.

use mlx_rs::{Array, ops};

use super::Weights;
use crate::error::{Error, Result};

impl Weights<'_> {
    /// Drops the tensors for whose names `keep` says no.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.store.tensors.borrow_mut().retain(|name, _| self.local(name).is_none_or(&mut keep));
    }

    /// Gives tensors another name, where `rename` has one. Of two that end up with the same, one stays.
    pub fn rename(&self, mut rename: impl FnMut(&str) -> Option<String>) {
        for name in self.names() {
            if let Some(new) = rename(&name)
                && let Some(array) = self.remove(&name)
            {
                self.insert(&new, array);
            }
        }
    }

    /// Replaces tensors: each for which `replace` gives a list, by the tensors of that list.
    pub fn replace(&self, mut replace: impl FnMut(&str, &Array) -> Result<Option<Vec<(String, Array)>>>) -> Result<()> {
        for name in self.names() {
            let Some(array) = self.store.peek(&self.key(&name)) else { continue };
            if let Some(parts) = replace(&name, &array)? {
                self.remove(&name);
                for (name, part) in parts {
                    self.insert(&name, part);
                }
            }
        }
        Ok(())
    }

    /// Stacks `experts.<index>.<from>.<part>` as `<into>.<to>.<part>` of (experts, …) for each (from, to) and each of
    /// weight, scales, biases and bias that the first expert has. Experts that are missing are reported as such.
    pub fn stack_experts(&self, experts: &str, count: i32, into: &str, names: &[(&str, &str)]) -> Result<()> {
        for (from, to) in names {
            for part in ["weight", "scales", "biases", "bias"] {
                let name = |expert| format!("{experts}.{expert}.{from}.{part}");
                if !self.contains(&name(0)) {
                    continue;
                }
                let arrays: Vec<Array> = (0..count)
                    .map(|expert| self.remove(&name(expert)).ok_or_else(|| self.missing(&name(expert))))
                    .collect::<Result<_>>()?;
                self.insert(&format!("{into}.{to}.{part}"), ops::stack(&arrays, 0)?);
            }
        }
        Ok(())
    }

    /// The names of the tensors, in order.
    pub fn names(&self) -> Vec<String> {
        let tensors = self.store.tensors.borrow();
        let mut names: Vec<String> = tensors.keys().filter_map(|name| self.local(name)).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Takes a tensor out, as it is stored.
    pub fn remove(&self, name: &str) -> Option<Array> {
        self.store.tensors.borrow_mut().remove(&self.key(name))
    }

    pub fn insert(&self, name: &str, array: Array) {
        self.store.tensors.borrow_mut().insert(self.key(name), array);
    }

    /// A name as seen from here, if it lies under the cursor.
    fn local<'n>(&self, name: &'n str) -> Option<&'n str> {
        if self.prefix.is_empty() { Some(name) } else { name.strip_prefix(self.prefix.as_str())?.strip_prefix('.') }
    }

    fn missing(&self, name: &str) -> Error {
        Error::WeightsMismatch { problems: vec![format!("missing {}", self.key(name))] }
    }
}
