// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Every name in an index that we take is a plain one, and no file outside the folder is a model's.

#![no_main]

use std::{
    fs,
    path::{Component, Path},
    sync::Once,
};

use libfuzzer_sys::fuzz_target;
use node_mlx::{error::Error, weights::files::Files};
use serde_json::Value;

const INDEX: &str = "model.safetensors.index.json";
const WEIGHTS: &str = "model.safetensors";

fuzz_target!(init: node_mlx_fuzz::init(), |data: &[u8]| {
    static WRITTEN: Once = Once::new();
    let folder = node_mlx_fuzz::folder_with(INDEX, data);
    WRITTEN.call_once(|| fs::write(folder.join(WEIGHTS), []).unwrap());
    let names = names(data);
    match Files::find(folder) {
        Ok(files) => {
            assert!(names.iter().all(|name| is_plain(name)), "{names:?}");
            assert_eq!(files.present, [folder.join(WEIGHTS)]);
            let absent = names.iter().any(|name| name != WEIGHTS && name != INDEX);
            assert_eq!(files.absent.is_some(), absent);
            assert!(files.absent.is_none_or(|name| names.contains(&name)));
        }
        Err(Error::UnsafePath { name, .. }) => assert!(names.contains(&name) && !is_plain(&name), "{name:?}"),
        Err(error) => panic!("{error}"),
    }
});

/// The files that an index names.
fn names(index: &[u8]) -> Vec<String> {
    let index: Value = serde_json::from_slice(index).unwrap_or_default();
    let map = index["weight_map"].as_object();
    map.into_iter().flat_map(|map| map.values()).filter_map(|name| Some(name.as_str()?.to_owned())).collect()
}

/// Whether this is the name of a file in a folder, on any system.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name)
        && !name.contains(['\\', ':', '\0'])
}
