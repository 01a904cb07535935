// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Models whose tensors MLX gets, some in each turn.

use tokio::sync::oneshot;

use super::Engine;
use crate::{
    engine::{
        Cancel, LoadOptions, ModelId, Progress,
        tasks::task::{LoadTask, Task},
    },
    error::{Error, Result},
    mlx::{self, Backend},
    models::{Loading, ModelFiles, ModelInfo, Opening, Output},
    panics::guard,
};

/// A model whose tensors MLX gets, before its weights are read or only its facts are told.
pub struct OpenTask {
    opening: Opening,
    pub then: Then,
}

/// What follows.
pub enum Then {
    Load {
        options: LoadOptions,
        cancel: Cancel,
        progress: Progress,
        reply: oneshot::Sender<Result<(ModelId, ModelInfo)>>,
    },
    Inspect(oneshot::Sender<Result<(ModelInfo, u64)>>),
}

impl Then {
    fn is_cancelled(&self) -> bool {
        matches!(self, Self::Load { cancel, .. } if cancel.is_cancelled())
    }

    fn output(&self) -> Output {
        match self {
            Self::Load { options, .. } => options.output,
            Self::Inspect(_) => Output::Logits,
        }
    }

    pub fn fail(self, error: Error) {
        match self {
            Self::Load { reply, .. } => drop(reply.send(Err(error))),
            Self::Inspect(reply) => drop(reply.send(Err(error))),
        }
    }
}

impl Engine {
    pub(super) fn open(&mut self, files: ModelFiles, backend: Option<Backend>, then: Then) {
        match guard(|| mlx::choose_backend(backend)) {
            Ok(_) => self.tasks.push_back(Task::Open(Box::new(OpenTask { opening: Opening::new(files), then }))),
            Err(error) => then.fail(error),
        }
    }

    pub(super) fn turn_open(&mut self, mut task: Box<OpenTask>) {
        let advanced = guard(|| if task.then.is_cancelled() { Err(Error::Aborted) } else { task.opening.advance() });
        match advanced {
            Ok(false) => self.tasks.push_back(Task::Open(task)),
            Ok(true) => {
                let OpenTask { opening, then } = *task;
                self.opened(guard(|| opening.finish(then.output())), then);
            }
            Err(error) => {
                let OpenTask { opening, then } = *task;
                drop(opening);
                self.recover_from(&error, None);
                then.fail(error);
            }
        }
    }

    /// Goes on with a model that was opened.
    fn opened(&mut self, opened: Result<Loading>, then: Then) {
        match then {
            Then::Inspect(reply) => {
                let facts = opened.and_then(|loading| Ok((loading.info().clone(), mlx::available_memory()?)));
                let _ = reply.send(facts);
            }
            Then::Load { options: LoadOptions { max_queue, context_length, .. }, cancel, progress, reply } => {
                let started = opened.and_then(|mut loading| {
                    if let Some(tokens) = context_length {
                        loading.set_context_length(tokens);
                    }
                    loading.check_arrays(mlx::largest_array())?;
                    self.make_room(loading.info().weight_bytes, "the weights", "use a smaller or quantized model")?;
                    Ok(loading)
                });
                match started {
                    Ok(loading) => {
                        let task = LoadTask { loading, max_queue, cancel, progress, reply };
                        self.tasks.push_back(Task::Load(Box::new(task)));
                    }
                    Err(error) => {
                        self.recover_from(&error, None);
                        drop(reply.send(Err(error)));
                    }
                }
            }
        }
    }
}
