// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What takes turns on the inference thread.

use std::sync::{Arc, atomic::AtomicU64};

use tokio::sync::{mpsc::UnboundedSender, oneshot};

use crate::{
    engine::{Cancel, ModelId, Progress, slots::Place, tasks::opening::OpenTask},
    error::{Error, Result},
    generate::{Event, Reading, Run},
    models::{Loading, ModelInfo},
};

pub enum Task {
    Open(Box<OpenTask>),
    Load(Box<LoadTask>),
    Generate(Box<GenerateTask>),
    Read(Box<ReadTask>),
}

pub struct LoadTask {
    pub loading: Loading,
    pub max_queue: usize,
    pub cancel: Cancel,
    pub progress: Progress,
    pub reply: oneshot::Sender<Result<(ModelId, ModelInfo)>>,
}

pub struct GenerateTask {
    pub model: ModelId,
    /// The model that guesses its tokens.
    pub draft: Option<ModelId>,
    pub run: Run,
    pub place: Place,
    pub cancel: Cancel,
    pub passes: Arc<AtomicU64>,
    pub events: UnboundedSender<Result<Event>>,
}

pub struct ReadTask {
    pub model: ModelId,
    pub reading: Reading,
    pub cancel: Cancel,
    pub reply: oneshot::Sender<Result<Vec<Vec<f32>>>>,
}

impl GenerateTask {
    /// Where the caches of its draft model are left: with those that belong to nobody.
    pub fn draft_place(&self) -> Place {
        match self.draft {
            Some(draft) if self.place != Place::Nowhere => Place::Pool(draft),
            _ => Place::Nowhere,
        }
    }
}

impl Task {
    pub fn uses(&self, model: ModelId) -> bool {
        match self {
            Self::Open(_) | Self::Load(_) => false,
            Self::Generate(task) => task.model == model || task.draft == Some(model),
            Self::Read(task) => task.model == model,
        }
    }

    /// Whether it is a run that the device may be computing for.
    pub fn has_started(&self) -> bool {
        match self {
            Self::Open(_) | Self::Load(_) => false,
            Self::Generate(task) => task.run.has_started(),
            Self::Read(task) => task.reading.passes() > 0,
        }
    }

    /// Number of bytes of weights that are not read yet.
    pub fn bytes_to_load(&self) -> u64 {
        match self {
            Self::Load(task) => {
                let (loaded, total) = task.loading.progress();
                total.saturating_sub(loaded)
            }
            Self::Open(_) | Self::Generate(_) | Self::Read(_) => 0,
        }
    }

    pub fn fail(self, error: Error) {
        match self {
            Self::Open(task) => task.then.fail(error),
            Self::Load(task) => drop(task.reply.send(Err(error))),
            Self::Generate(task) => drop(task.events.send(Err(error))),
            Self::Read(task) => drop(task.reply.send(Err(error))),
        }
    }
}
