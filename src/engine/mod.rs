// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The inference thread, the only thread that uses MLX. MLX's default streams, random state and compiled functions belong
//! to a thread, and arrays must be dropped on the thread that created them (docs/decisions/engine.md).
//!
//! Callers send commands and receive events; arrays never leave the thread. Loads and runs take turns of one pass through
//! a model, or one batch of weights. Each turn first checks whether its caller has cancelled it.

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
    generate::{Event, PromptCache, Readout, Request, SavedCache},
    mlx::Backend,
    models::{LoadedModel, ModelFiles, ModelInfo, Output},
    panics,
};

pub use slots::SlotId;

pub use crate::watch::Cancel;

/// MLX recurses while it evaluates deep graphs.
const STACK_BYTES: usize = 64 << 20;

/// The id of a loaded model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelId(u64);

/// Which model to load, and where.
#[derive(Debug)]
pub struct LoadOptions {
    pub folder: PathBuf,
    /// The folder of an adapter.
    pub adapter: Option<PathBuf>,
    /// `None`: the best that the machine has.
    pub backend: Option<Backend>,
    /// Maximum number of runs at a time, active or waiting.
    pub max_queue: usize,
    /// Number of tokens that prompt and answer may have, if not what the config says.
    pub context_length: Option<usize>,
    pub output: Output,
}

impl LoadOptions {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            adapter: None,
            backend: None,
            max_queue: 1024,
            context_length: None,
            output: Output::Logits,
        }
    }
}

/// Receives the number of bytes read, and in all.
pub type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// Reads caches of a model, if it has some for it.
pub type ReadCache = Box<dyn FnOnce(&LoadedModel) -> Result<Option<PromptCache>> + Send>;

/// Number of passes through models, over all runs.
static PASSES: AtomicU64 = AtomicU64::new(0);

pub fn passes() -> u64 {
    PASSES.load(Ordering::Relaxed)
}

enum Command {
    Load {
        files: Box<ModelFiles>,
        options: LoadOptions,
        cancel: Cancel,
        progress: Progress,
        reply: oneshot::Sender<Result<(ModelId, ModelInfo)>>,
    },
    Inspect {
        files: Box<ModelFiles>,
        backend: Option<Backend>,
        reply: oneshot::Sender<Result<(ModelInfo, u64)>>,
    },
    Generate {
        model: ModelId,
        request: Box<Request>,
        slot: Option<SlotId>,
        draft: Option<ModelId>,
        cancel: Cancel,
        passes: Arc<AtomicU64>,
        events: UnboundedSender<Result<Event>>,
    },
    Read {
        model: ModelId,
        texts: Vec<Vec<u32>>,
        readout: Readout,
        cancel: Cancel,
        reply: oneshot::Sender<Result<Vec<Vec<f32>>>>,
    },
    ForkSlot {
        from: SlotId,
        to: SlotId,
    },
    SaveSlot {
        slot: SlotId,
        reply: oneshot::Sender<Result<Option<SavedCache>>>,
    },
    FillSlot {
        slot: SlotId,
        bytes: u64,
        read: ReadCache,
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

/// The running thread and its channel.
struct Running {
    commands: mpsc::Sender<Command>,
    thread: JoinHandle<()>,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// Set when the process ends; the thread must not start again.
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
        .spawn(move || {
            #[cfg(target_os = "macos")]
            prefer_fast_cores();
            tasks::Engine::default().run(&received);
        })
        .map_err(|error| Error::internal(format!("the inference thread did not start: {error}")))?;
    Ok(Running { commands, thread })
}

/// Without a class, macOS may run a thread that wakes for each token on the slow cores: 1.56 times the time
/// (daScript#3840). Threads that MLX starts have the default one.
#[cfg(target_os = "macos")]
fn prefer_fast_cores() {
    // SAFETY: it changes the calling thread only. A failure leaves that as it was.
    unsafe { libc::pthread_set_qos_class_self_np(libc::qos_class_t::QOS_CLASS_USER_INITIATED, 0) };
}

fn gone<T>(_: T) -> Error {
    Error::internal("the inference thread dropped a request")
}

/// Loads a model, whose files were read from the folder that `options` name.
///
/// # Errors
/// What is wrong with the weights or the device; `Aborted` if `cancel` was set.
pub async fn load(
    files: ModelFiles,
    options: LoadOptions,
    cancel: Cancel,
    progress: Progress,
) -> Result<(ModelId, ModelInfo)> {
    let (reply, answer) = oneshot::channel();
    send(Command::Load { files: Box::new(files), options, cancel, progress, reply })?;
    answer.await.map_err(gone)?
}

/// Returns what is known of a model without its weights, and the available memory in bytes.
///
/// # Errors
/// What is wrong with the weights or the device.
pub async fn inspect(files: ModelFiles, backend: Option<Backend>) -> Result<(ModelInfo, u64)> {
    let (reply, answer) = oneshot::channel();
    send(Command::Inspect { files: Box::new(files), backend, reply })?;
    answer.await.map_err(gone)?
}

/// Starts a run. `events` receives its events, and its error if it fails; `passes` counts its passes through the model.
/// The run takes the caches from `slot` if it can use them, and puts its own there unless it fails. Meanwhile the slot is
/// empty for other runs. `draft`: the model that guesses its tokens.
pub fn generate(
    model: ModelId,
    request: Request,
    slot: Option<SlotId>,
    draft: Option<ModelId>,
    cancel: Cancel,
    passes: Arc<AtomicU64>,
    events: UnboundedSender<Result<Event>>,
) -> Result<()> {
    send(Command::Generate { model, request: Box::new(request), slot, draft, cancel, passes, events })
}

/// Reads texts of at least one token each, one after the other, and returns the numbers of each.
///
/// # Errors
/// `ModelDisposed`, `QueueFull`, `ContextOverflow`, `InsufficientMemory`; `Aborted` if `cancel` was set.
pub async fn read(model: ModelId, texts: Vec<Vec<u32>>, readout: Readout, cancel: Cancel) -> Result<Vec<Vec<f32>>> {
    let (reply, answer) = oneshot::channel();
    send(Command::Read { model, texts, readout, cancel, reply })?;
    answer.await.map_err(gone)?
}

/// Frees a model. Its runs end with `ModelDisposed`. An unknown id is ignored.
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

/// Creates a slot with the caches of `from`, if it has any. Arrays are shared until one side writes to them.
pub fn fork_slot(from: SlotId) -> SlotId {
    let to = SlotId::new(from.model());
    send_if_running(Command::ForkSlot { from, to });
    to
}

/// Returns a copy of what is in a slot; `None` if it is empty, or a run is using it.
pub async fn save_slot(slot: SlotId) -> Result<Option<SavedCache>> {
    let (reply, answer) = oneshot::channel();
    send(Command::SaveSlot { slot, reply })?;
    answer.await.map_err(gone)?
}

/// Creates a slot with the caches that `read` returns, of about that many bytes; empty if that fails, or they do not fit.
pub fn filled_slot(model: ModelId, bytes: u64, read: ReadCache) -> Result<SlotId> {
    let slot = SlotId::new(model);
    send(Command::FillSlot { slot, bytes, read })?;
    Ok(slot)
}

/// Drops the caches of a slot, and those that an active run would put there.
pub fn free_slot(slot: SlotId) {
    send_if_running(Command::FreeSlot(slot));
}

/// Sets the maximum number of bytes in slots and returns the previous limit.
pub async fn limit_slots(bytes: usize) -> Result<usize> {
    let (reply, answer) = oneshot::channel();
    send(Command::LimitSlots { bytes, reply })?;
    answer.await.map_err(gone)?
}

/// For commands that only free something: a thread that has ended holds nothing.
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

/// Ends the thread after its current turn, and waits for that for at most `patience`. With `close` it never starts again:
/// MLX must be idle when the process destroys its static objects. Without, a later command starts a new thread.
pub fn shutdown(patience: Duration, close: bool) {
    let running = {
        let mut running = panics::lock(&RUNNING);
        CLOSED.fetch_or(close, Ordering::SeqCst);
        running.take()
    };
    let Some(Running { commands, thread }) = running else { return };
    let _ = commands.send(Command::Shutdown);
    // Thread-local objects of MLX use CUDA in their destructors; only joining the thread waits for those.
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

    /// Thread-local state that takes a while to free, like MLX's.
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
