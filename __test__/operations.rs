// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Lists the operations of one decode step, by kind, for the fixtures of a folder, as JSON: what
//! tools/parity/operations.py lists for mlx-lm.
//!
//! usage: operations FOLDER NAME ...

#![allow(clippy::unwrap_used, reason = "a tool for developers")]

use std::{
    collections::BTreeMap,
    env,
    ffi::{CString, c_char, c_int, c_void},
    fs,
    path::Path,
};

use mlx_rs::{Array, ops::indexing::argmax_axis, transforms};
use node_mlx::{error::Result, mlx, models};

type Kinds = BTreeMap<String, usize>;

unsafe extern "C" {
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut c_void;
    fn fclose(file: *mut c_void) -> c_int;
}

fn main() {
    mlx::trace_as_gpu().unwrap();
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().unwrap();
    let all: BTreeMap<String, Kinds> =
        arguments.map(|name| (name.clone(), step(&Path::new(&folder).join(&name)).unwrap())).collect();
    println!("{}", serde_json::to_string(&all).unwrap());
}

/// One greedy step behind a prompt, as `Steps` submits it.
fn step(folder: &Path) -> Result<Kinds> {
    let loaded = models::load(folder, None)?;
    let model = loaded.model.as_ref();
    let mut cache = model.make_prompt_cache(None);
    let prompt = Array::from_slice(&[3_u32, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], &[1, 11]);
    let hidden = model.last_hidden_state(&prompt, &mut cache)?;
    transforms::eval(cache.iter().flat_map(|cache| cache.state()).chain([&hidden]))?;

    let hidden = model.last_hidden_state(&Array::from_slice(&[7_u32], &[1, 1]), &mut cache)?;
    let logits = model.logits(&hidden)?.squeeze_axes(&[1])?;
    let logsumexp = mlx::logsumexp(&logits)?;
    let logprobs = logits.subtract(&logsumexp)?;
    let token = argmax_axis(&logprobs, -1, false)?;
    let outputs: Vec<&Array> =
        [&token, &logsumexp].into_iter().chain(cache.iter().flat_map(|cache| cache.state())).collect();
    Ok(kinds(&outputs))
}

/// The number of operations of each kind that the outputs are computed by.
fn kinds(outputs: &[&Array]) -> Kinds {
    let path = env::temp_dir().join(format!("node-mlx-operations-{}.dot", std::process::id()));
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let handles: Vec<_> = outputs.iter().map(|array| array.as_ptr()).collect();
    // SAFETY: the handles belong to arrays that outlive the calls, and the file is closed once it is written.
    unsafe {
        let file = fopen(name.as_ptr(), c"w".as_ptr());
        let namer = mlx_sys::mlx_node_namer_new();
        let vector = mlx_sys::mlx_vector_array_new_data(handles.as_ptr(), handles.len());
        assert_eq!(mlx_sys::mlx_export_to_dot(file.cast(), namer, vector), 0);
        mlx_sys::mlx_vector_array_free(vector);
        mlx_sys::mlx_node_namer_free(namer);
        fclose(file);
    }
    let graph = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut kinds = Kinds::new();
    for part in graph.split("[label =\"").skip(1) {
        let label = part.split('"').next().unwrap();
        let kind = if label.starts_with("Compiled") { "Compiled" } else { label };
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    kinds
}
