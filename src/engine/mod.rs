// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The inference thread: the only one that touches MLX. MLX's default streams, random state and compiled functions
//! belong to a thread, and arrays must be dropped where they were made (docs/decisions/engine.md).
//!
//! Callers send commands and receive events; no array ever leaves. Loads and runs take turns, one pass through a model
//! (or one batch of weights) at a time, and each turn begins by looking whether its caller still wants it.

mod slots;
mod tasks;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::{mpsc::UnboundedSender, oneshot};

use crate::{
    error::{Error, Result},
    generate::{Event, Request},
    mlx::{self, Backend},
    models::{Loading, ModelInfo},
    panics,
};

pub use slots::SlotId;

/// Deep graphs recurse in MLX while they are evaluated.
const STACK_BYTES: usize = 64 << 20;

/// Names a loaded model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelId(u64);

/// Tells a task that its caller gave up; checked before every turn.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes read, and bytes in all.
pub type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// Passes through models that the engine has made, all runs together.
static PASSES: AtomicU64 = AtomicU64::new(0);

pub fn passes() -> u64 {
    PASSES.load(Ordering::Relaxed)
}

enum Command {
    Load {
        folder: PathBuf,
        adapter: Option<PathBuf>,
        backend: Option<Backend>,
        max_queue: usize,
        cancel: Cancel,
        progress: Progress,
        reply: oneshot::Sender<Result<(ModelId, ModelInfo)>>,
    },
    Generate {
        model: ModelId,
        request: Box<Request>,
        slot: Option<SlotId>,
        cancel: Cancel,
        passes: Arc<AtomicU64>,
        events: UnboundedSender<Result<Event>>,
    },
    ForkSlot {
        from: SlotId,
        to: SlotId,
    },
    FreeSlot(SlotId),
    LimitSlots {
        bytes: usize,
        reply: oneshot::Sender<Result<usize>>,
    },
    Dispose {
        model: ModelId,
        reply: oneshot::Sender<()>,
    },
    Call(Box<dyn FnOnce() + Send>),
    Shutdown,
}

/// The running thread, and the way to it.
struct Running {
    commands: mpsc::Sender<Command>,
    thread: JoinHandle<()>,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// Set when the process ends: nothing may start the thread again.
static CLOSED: AtomicBool = AtomicBool::new(false);

fn send(command: Command) -> Result<()> {
    let mut running = panics::lock(&RUNNING);
    if CLOSED.load(Ordering::SeqCst) {
        return Err(Error::internal("the process is ending"));
    }
    let running = match &mut *running {
        Some(running) => running,
        none => none.insert(start()?),
    };
    running.commands.send(command).map_err(|_| Error::internal("the inference thread has ended"))
}

fn start() -> Result<Running> {
    let (commands, received) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("node-mlx".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || tasks::Engine::default().run(&received))
        .map_err(|error| Error::internal(format!("the inference thread did not start: {error}")))?;
    Ok(Running { commands, thread })
}

fn gone<T>(_: T) -> Error {
    Error::internal("the inference thread dropped a request")
}

/// Loads a model from a folder, with the adapter in another, which then takes `max_queue` runs at a time.
///
/// # Errors
/// What is wrong with the folder or the device; `Aborted` if `cancel` was set.
pub async fn load(
    folder: PathBuf,
    adapter: Option<PathBuf>,
    backend: Option<Backend>,
    max_queue: usize,
    cancel: Cancel,
    progress: Progress,
) -> Result<(ModelId, ModelInfo)> {
    let (reply, answer) = oneshot::channel();
    send(Command::Load { folder, adapter, backend, max_queue, cancel, progress, reply })?;
    answer.await.map_err(gone)?
}

/// What is known of a model, and the memory that there is for it, without reading its weights.
///
/// # Errors
/// What is wrong with the folder or the device.
pub async fn inspect(folder: PathBuf, adapter: Option<PathBuf>, backend: Option<Backend>) -> Result<(ModelInfo, u64)> {
    call(move || {
        mlx::choose_backend(backend)?;
        let info = Loading::start(&folder, adapter.as_deref())?.info().clone();
        Ok((info, mlx::available_memory()?))
    })
    .await?
}

/// Starts a run; its events, and its error if it has one, come through `events`. `passes` counts its passes through
/// the model. The run takes the caches that wait in `slot`, if it can use them, and leaves its own there, unless it
/// fails. While it has them, another run with the same slot finds none.
pub fn generate(
    model: ModelId,
    request: Request,
    slot: Option<SlotId>,
    cancel: Cancel,
    passes: Arc<AtomicU64>,
    events: UnboundedSender<Result<Event>>,
) -> Result<()> {
    send(Command::Generate { model, request: Box::new(request), slot, cancel, passes, events })
}

/// Frees a model. Runs that use it end with `ModelDisposed`; an unknown model is none of our business.
pub async fn dispose(model: ModelId) -> Result<()> {
    let (reply, answer) = oneshot::channel();
    send(Command::Dispose { model, reply })?;
    answer.await.map_err(gone)
}

/// Frees a model without waiting.
pub fn dispose_later(model: ModelId) {
    let (reply, _) = oneshot::channel();
    send_if_running(Command::Dispose { model, reply });
}

/// A new slot that starts with what waits in `from`, if something does. Arrays are shared until one of them writes.
pub fn fork_slot(from: SlotId) -> SlotId {
    let to = SlotId::new(from.model());
    send_if_running(Command::ForkSlot { from, to });
    to
}

/// Drops what waits in a slot, and what a run would leave there.
pub fn free_slot(slot: SlotId) {
    send_if_running(Command::FreeSlot(slot));
}

/// Sets how many bytes may wait in slots, and gives the limit before.
pub async fn limit_slots(bytes: usize) -> Result<usize> {
    let (reply, answer) = oneshot::channel();
    send(Command::LimitSlots { bytes, reply })?;
    answer.await.map_err(gone)?
}

/// For what concerns only a thread that holds something: one that has ended holds nothing.
fn send_if_running(command: Command) {
    let running = panics::lock(&RUNNING);
    if let Some(running) = running.as_ref() {
        let _ = running.commands.send(command);
    }
}

/// Runs `f` on the inference thread.
///
/// # Errors
/// `Internal` if it panics.
pub async fn call<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    send(Command::Call(Box::new(move || {
        // The caller may have stopped waiting.
        let _ = reply.send(f());
    })))?;
    answer.await.map_err(|_| Error::internal("a call on the inference thread panicked"))
}

/// Ends the thread, after the turn in progress, and waits for that as long as `patience`. With `close`, for good: MLX must
/// be idle when the process ends, since its static objects are torn down then. Else a later command starts a new thread.
pub fn shutdown(patience: Duration, close: bool) {
    let running = {
        let mut running = panics::lock(&RUNNING);
        CLOSED.fetch_or(close, Ordering::SeqCst);
        running.take()
    };
    let Some(Running { commands, thread }) = running else { return };
    let _ = commands.send(Command::Shutdown);
    // MLX has objects that end with the thread, and they need CUDA: nothing less than joining waits for them.
    let (reply, ended) = mpsc::channel();
    let join = move || {
        let _ = thread.join();
        let _ = reply.send(());
    };
    if thread::Builder::new().spawn(join).is_ok() {
        let _ = ended.recv_timeout(patience);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    static FREED: AtomicBool = AtomicBool::new(false);

    thread_local! {
        static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
    }

    /// What MLX keeps for a thread takes a while to free.
    struct Kept;

    impl Drop for Kept {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(200));
            FREED.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_end_waits_for_what_the_thread_keeps() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(call(|| KEPT.set(Some(Kept)))).unwrap();
        shutdown(Duration::from_secs(10), false);
        assert!(FREED.load(Ordering::SeqCst));
    }
}
