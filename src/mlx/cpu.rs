// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Which kernels compute on the CPU, and on how many threads. docs/decisions/cpu-kernels.md says why.

use std::{
    cell::RefCell,
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cpu_kernels::{InstructionSet, Kernels, available_cores};

use super::{Backend, backend};
use crate::error::{Error, Result};

/// Names the instruction set to use instead of the best one that the processor has, or is [`MLX_ONLY`].
const SET_VARIABLE: &str = "NODE_MLX_KERNELS";
/// For MLX's kernels, also on a GPU.
const MLX_ONLY: &str = "none";
/// The number of threads, instead of the number of cores.
const THREADS_VARIABLE: &str = "NODE_MLX_THREADS";
/// The largest number of threads.
const MAX_THREADS: usize = 1024;

/// What [`set_threads`] was called with last; 0 before that.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Of the inference thread, from the first use on; `Some(None)` where MLX's kernels compute.
    static KERNELS: RefCell<Option<Option<Arc<Kernels>>>> = const { RefCell::new(None) };
}

/// The kernels to use instead of MLX's; `None` on a GPU.
pub(super) fn kernels() -> Option<Arc<Kernels>> {
    if backend() != Backend::Cpu {
        return None;
    }
    // The variables were checked when the CPU was chosen.
    KERNELS.with_borrow_mut(|kernels| kernels.get_or_insert_with(|| start().unwrap_or(None)).clone())
}

/// Whether the variable leaves all computing to MLX's kernels, on any device.
pub(super) fn leaves_all_to_mlx() -> bool {
    variable(SET_VARIABLE).is_some_and(|name| name == MLX_ONLY)
}

/// Whether our own kernels compute.
pub fn has_kernels() -> bool {
    kernels().is_some()
}

/// How many operations a second can be expected of the CPU with many rows: two for each weight and row.
pub fn operations_per_second() -> f64 {
    match (instruction_set(), threads()) {
        (Ok(Some(set)), Ok(threads)) => threads as f64 * set.operations_per_second(),
        // MLX's kernels, on one thread.
        _ => 2e9,
    }
}

/// Ends the kernels' threads, once what is being computed is done; the next operation starts them again.
pub fn stop_kernels() {
    KERNELS.with_borrow_mut(|kernels| *kernels = None);
}

/// Sets the number of threads, from 1 to [`MAX_THREADS`], and returns the previous one.
pub fn set_threads(threads: usize) -> Result<usize> {
    let before = self::threads()?;
    THREADS.store(threads, Ordering::Relaxed);
    stop_kernels();
    Ok(before)
}

/// Checks the variables.
///
/// # Errors
/// `InvalidArgValue` where one has a value that it cannot have on this machine.
pub(super) fn check_variables() -> Result<()> {
    instruction_set()?;
    threads()?;
    Ok(())
}

fn start() -> Result<Option<Arc<Kernels>>> {
    let Some(set) = instruction_set()? else { return Ok(None) };
    Ok(Some(Arc::new(Kernels::new(set, threads()?))))
}

/// The instruction set to use; `None` for MLX's kernels.
fn instruction_set() -> Result<Option<InstructionSet>> {
    let Some(name) = variable(SET_VARIABLE) else { return Ok(Some(InstructionSet::best())) };
    let available = || InstructionSet::ALL.iter().copied().filter(|set| set.is_available());
    match available().find(|set| set.name() == name) {
        None if name != MLX_ONLY => {
            let names: Vec<_> = available().map(InstructionSet::name).chain([MLX_ONLY]).collect();
            Err(invalid(SET_VARIABLE, &name, &names.join(", ")))
        }
        set => Ok(set),
    }
}

fn threads() -> Result<usize> {
    match (THREADS.load(Ordering::Relaxed), variable(THREADS_VARIABLE)) {
        (0, None) => Ok(available_cores()),
        (0, Some(value)) => {
            let number = value.parse().ok().filter(|number| (1..=MAX_THREADS).contains(number));
            number.ok_or_else(|| invalid(THREADS_VARIABLE, &value, &format!("a number from 1 to {MAX_THREADS}")))
        }
        (threads, _) => Ok(threads),
    }
}

/// A variable's value; an empty one is as good as none.
fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

fn invalid(variable: &str, value: &str, expected: &str) -> Error {
    Error::InvalidArgValue { name: variable.to_owned(), message: format!("expected {expected}, got '{value}'") }
}
