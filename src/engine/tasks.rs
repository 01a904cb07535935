// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The loop of the inference thread, its tasks, and how it recovers when one fails.

mod opening;
mod task;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    ops::ControlFlow,
    rc::Rc,
    sync::{
        atomic::Ordering,
        mpsc::{Receiver, TryRecvError},
    },
};

use opening::Then;
use task::{GenerateTask, LoadTask, ReadTask, Task};

use super::{
    Command, ModelId, PASSES, ReadCache, SlotId,
    slots::{Place, Slots},
};
use crate::{
    error::{Error, Result},
    generate::{PromptCache, Reading, Run, SavedCache},
    mlx,
    models::LoadedModel,
    options::OnAbort,
    panics::guard,
};

/// The state of the inference thread.
#[derive(Default)]
pub struct Engine {
    models: HashMap<ModelId, Served>,
    loaded: u64,
    tasks: VecDeque<Task>,
    slots: Slots,
}

/// A model, and the maximum number of its runs at a time.
struct Served {
    model: Rc<LoadedModel>,
    max_queue: usize,
}

impl Engine {
    /// Serves commands until all senders are gone or one asks to shut down.
    pub fn run(mut self, commands: &Receiver<Command>) {
        mlx::init();
        loop {
            let command = if self.tasks.is_empty() {
                commands.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                commands.try_recv()
            };
            match command {
                Ok(command) => {
                    if self.serve(command).is_break() {
                        break;
                    }
                }
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => self.turn(),
            }
        }
        for task in self.tasks.drain(..) {
            task.fail(Error::Aborted);
        }
        drop(self);
        mlx::synchronize();
    }

    fn serve(&mut self, command: Command) -> ControlFlow<()> {
        match command {
            Command::Load { files, options, cancel, progress, reply } => {
                let backend = options.backend;
                self.open(*files, backend, Then::Load { options, cancel, progress, reply });
            }
            Command::Inspect { files, backend, reply } => self.open(*files, backend, Then::Inspect(reply)),
            Command::Generate { model, request, slot, draft, cancel, passes, events } => {
                let place = Place::of(model, slot, request.options.cache);
                let started = guard(|| {
                    if cancel.is_cancelled() && request.options.on_abort == OnAbort::Throw {
                        return Err(Error::Aborted);
                    }
                    let guesses = draft.map(|draft| self.model(draft)).transpose()?;
                    let run = Run::new(self.queue(model)?, guesses, *request)?;
                    let hint = "lower maxTokens, or set kvBits or maxKvSize";
                    self.make_room(run.cache_bytes(), "the keys and values of the prompt and maxTokens", hint)?;
                    Ok(run)
                });
                match started {
                    Ok(run) => {
                        let task = GenerateTask { model, draft, run, place, cancel, passes, events };
                        self.tasks.push_back(Task::Generate(Box::new(task)));
                    }
                    Err(error) => drop(events.send(Err(error))),
                }
            }
            Command::Read { model, texts, readout, cancel, reply } => {
                let started = guard(|| {
                    if cancel.is_cancelled() {
                        return Err(Error::Aborted);
                    }
                    let reading = Reading::new(self.queue(model)?, texts, readout)?;
                    self.make_room(reading.cache_bytes(), "the keys and values of the longest text", "shorten it")?;
                    Ok(reading)
                });
                match started {
                    Ok(reading) => {
                        let task = ReadTask { model, reading, cancel, reply };
                        self.tasks.push_back(Task::Read(Box::new(task)));
                    }
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Command::Dispose { model, reply } => {
                self.forget(model, || Error::ModelDisposed);
                let _ = reply.send(());
            }
            Command::ForkSlot { from, to } => {
                let _ = guard(|| self.slots.fork(from, to));
            }
            Command::SaveSlot { slot, reply } => {
                let saved = guard(|| match (self.models.get(&slot.model()), self.slots.get(slot)) {
                    (Some(served), Some(cache)) => SavedCache::of(cache, &served.model),
                    _ => Ok(None),
                });
                let _ = reply.send(saved);
            }
            Command::FillSlot { slot, bytes, read } => {
                // Without caches the next run only takes longer.
                let _ = guard(|| self.fill(slot, bytes, read));
            }
            Command::FreeSlot(slot) => {
                self.slots.take(Place::Slot(slot));
                for task in &mut self.tasks {
                    if let Task::Generate(task) = task
                        && task.place == Place::Slot(slot)
                    {
                        task.place = Place::Nowhere;
                    }
                }
                let _ = mlx_rs::memory::clear_cache();
            }
            Command::LimitSlots { bytes, reply } => {
                let before = guard(|| self.slots.set_limit(bytes));
                let _ = mlx_rs::memory::clear_cache();
                let _ = reply.send(before);
            }
            Command::Call(f) => {
                // After a panic the reply's sender is dropped, which the caller notices.
                let _ = guard(|| {
                    f();
                    Ok(())
                });
            }
            Command::Shutdown => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn model(&self, model: ModelId) -> Result<Rc<LoadedModel>> {
        self.models.get(&model).map(|served| Rc::clone(&served.model)).ok_or(Error::ModelDisposed)
    }

    /// The model of a task that is about to be queued.
    fn queue(&self, model: ModelId) -> Result<Rc<LoadedModel>> {
        let served = self.models.get(&model).ok_or(Error::ModelDisposed)?;
        if self.tasks.iter().filter(|task| task.uses(model)).count() >= served.max_queue {
            return Err(Error::QueueFull { limit: served.max_queue });
        }
        Ok(Rc::clone(&served.model))
    }

    fn fill(&mut self, slot: SlotId, bytes: u64, read: ReadCache) -> Result<()> {
        let fits = bytes <= self.slots.limit()? as u64 && bytes <= mlx::available_memory()?;
        if let Some(served) = self.models.get(&slot.model()).filter(|_| fits)
            && let Some(cache) = read(&served.model)?
        {
            self.slots.put(Place::Slot(slot), cache)?;
        }
        Ok(())
    }

    /// Checks that `required` bytes fit beside everything that is loaded or being loaded. Drops idle caches if necessary.
    fn make_room(&mut self, required: u64, what: &'static str, hint: &'static str) -> Result<()> {
        let loading: u64 = self.tasks.iter().map(Task::bytes_to_load).sum();
        let available = || Ok::<_, Error>(mlx::available_memory()?.saturating_sub(loading));
        if required <= available()? {
            return Ok(());
        }
        self.slots.clear();
        mlx_rs::memory::clear_cache()?;
        let available = available()?;
        if required <= available {
            return Ok(());
        }
        Err(Error::InsufficientMemory { what: what.into(), required, available, hint })
    }

    /// Drops a model, ends its runs, and frees the memory.
    fn forget(&mut self, model: ModelId, error: impl Fn() -> Error) {
        let (ended, going) = self.tasks.drain(..).partition(|task| task.uses(model));
        self.tasks = going;
        let ended: VecDeque<Task> = ended;
        for task in ended {
            task.fail(error());
        }
        self.slots.forget(model);
        if self.models.remove(&model).is_some() {
            self.settle();
            if self.models.is_empty() {
                mlx::stop_kernels();
            }
        }
    }

    /// Gives the next task its turn.
    fn turn(&mut self) {
        let Some(task) = self.tasks.pop_front() else { return };
        match task {
            Task::Open(task) => self.turn_open(task),
            Task::Load(task) => self.turn_load(task),
            Task::Generate(task) => self.turn_generate(task),
            Task::Read(task) => self.turn_read(task),
        }
        if self.tasks.is_empty() {
            // Other programs may need what MLX keeps for reuse.
            let _ = mlx_rs::memory::clear_cache();
        }
    }

    fn turn_load(&mut self, mut task: Box<LoadTask>) {
        let advanced = guard(|| {
            if task.cancel.is_cancelled() {
                return Err(Error::Aborted);
            }
            let done = task.loading.advance()?;
            let (loaded, total) = task.loading.progress();
            (task.progress)(loaded, total);
            Ok(done)
        });
        match advanced {
            Ok(false) => self.tasks.push_back(Task::Load(task)),
            Ok(true) => {
                let LoadTask { loading, max_queue, reply, .. } = *task;
                let model = loading.finish();
                let info = model.info.clone();
                self.loaded += 1;
                let id = ModelId(self.loaded);
                self.models.insert(id, Served { model: Rc::new(model), max_queue });
                self.settle();
                if reply.send(Ok((id, info))).is_err() {
                    // The caller is gone, so nobody could dispose of the model.
                    self.forget(id, || Error::Aborted);
                }
            }
            Err(error) => {
                let LoadTask { loading, reply, .. } = *task;
                drop(loading);
                self.recover_from(&error, None);
                drop(reply.send(Err(error)));
            }
        }
    }

    fn turn_generate(&mut self, mut task: Box<GenerateTask>) {
        let before = task.run.passes();
        let mut panicked = true;
        let advanced = guard(|| {
            let result = self.advance(&mut task);
            panicked = false;
            result
        });
        let passes = task.run.passes();
        PASSES.fetch_add(passes - before, Ordering::Relaxed);
        task.passes.store(passes, Ordering::Relaxed);
        match advanced {
            Ok(false) => self.tasks.push_back(Task::Generate(task)),
            Ok(true) => {
                self.keep(*task);
            }
            Err(error) => {
                let (models, events) = ([Some(task.model), task.draft], task.events.clone());
                match error {
                    Error::Aborted => self.keep(*task),
                    _ => drop(task),
                }
                self.recover_from(&error, models.into_iter().flatten().filter(|_| panicked));
                drop(events.send(Err(error)));
            }
        }
    }

    /// Makes a run's next pass, the first one with what other runs have left.
    fn advance(&mut self, task: &mut GenerateTask) -> Result<bool> {
        let mut emit = |event| drop(task.events.send(Ok(event)));
        if task.cancel.is_cancelled() {
            return task.run.stop(&mut emit);
        }
        if !task.run.has_started() {
            if let Some(left) = self.slots.find(task.place, |cache| task.run.common_with(cache))? {
                task.run.reuse(left);
            }
            let common = |cache: &PromptCache| task.run.draft_common_with(cache);
            if let Some(left) = self.slots.find(task.draft_place(), common)? {
                task.run.reuse_for_draft(left);
            }
        }
        task.run.advance(&mut emit)
    }

    fn turn_read(&mut self, mut task: Box<ReadTask>) {
        let before = task.reading.passes();
        let mut panicked = true;
        let advanced = guard(|| {
            let result = if task.cancel.is_cancelled() { Err(Error::Aborted) } else { task.reading.advance() };
            panicked = false;
            result
        });
        PASSES.fetch_add(task.reading.passes() - before, Ordering::Relaxed);
        match advanced {
            Ok(None) => self.tasks.push_back(Task::Read(task)),
            Ok(Some(numbers)) => drop(task.reply.send(Ok(numbers))),
            Err(error) => {
                let ReadTask { model, reading, reply, .. } = *task;
                drop(reading);
                self.recover_from(&error, panicked.then_some(model));
                drop(reply.send(Err(error)));
            }
        }
    }

    /// Recovers from a failed turn. `panicked`: the models whose turn panicked.
    fn recover_from(&mut self, error: &Error, panicked: impl IntoIterator<Item = ModelId>) {
        if matches!(error, Error::OutOfMemory { .. }) {
            self.slots.clear();
        }
        let of_queued_work = recover();
        self.end_runs(error);
        of_queued_work.iter().for_each(|error| self.end_runs(error));
        for model in panicked {
            // The model's other runs may share state that the panic left inconsistent.
            self.forget(model, || Error::internal(format!("another run of this model failed: {error}")));
        }
    }

    /// Ends the runs that have begun if a GPU gave up work that was queued.
    fn end_runs(&mut self, error: &Error) {
        if error.for_others().is_some() {
            let (ended, going): (VecDeque<Task>, _) = self.tasks.drain(..).partition(Task::has_started);
            self.tasks = going;
            for (task, error) in ended.into_iter().zip(std::iter::from_fn(|| error.for_others())) {
                task.fail(error);
            }
        }
    }

    /// Keeps the caches of a run that completed or was cancelled.
    fn keep(&mut self, mut task: GenerateTask) {
        if task.place != Place::Nowhere && task.run.has_started() {
            let kept = guard(|| {
                if let Some(cache) = task.run.take_draft_cache()? {
                    self.slots.put(task.draft_place(), cache)?;
                }
                self.slots.put(task.place, task.run.into_prompt_cache()?)
            });
            // Without them the next run only takes longer.
            if let Err(error) = kept {
                self.end_runs(&error);
            }
        }
    }

    /// Gives back what a load, or a model that is gone, has left behind, and wires what stays.
    fn settle(&mut self) {
        if let Some(error) = mlx::synchronize() {
            self.end_runs(&error);
        }
        let _ = mlx_rs::memory::clear_cache();
        mlx::wire_weights();
    }
}

/// Recovers from a failure: waits for queued work and discards its errors, so that the next task does not see them. Returns the
/// one of the device.
fn recover() -> Option<Error> {
    mlx::forget_error();
    let error = mlx::synchronize();
    let _ = mlx_rs::memory::clear_cache();
    error
}
