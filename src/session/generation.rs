// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! A run, as its caller reads it.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    engine::{self, Cancel, ModelId, SlotId},
    error::{Error, Result},
    generate::{self, Request, Summary},
    panics::lock,
    tokenizer::{Tokenizer, output::Piece},
};

/// What a run reports while it goes on.
#[derive(Debug)]
pub enum Event {
    /// Number of prompt tokens processed, and in all.
    PromptProgress {
        processed: usize,
        total: usize,
    },
    Chunk(Chunk),
}

/// A piece of the answer, and the tokens that arrived with it.
#[derive(Debug)]
pub struct Chunk {
    pub piece: Piece,
    pub tokens: Vec<u32>,
    /// One for each token, if they were asked for.
    pub logprobs: Vec<TokenLogprobs>,
}

/// A token and the natural logarithm of its probability.
#[derive(Debug)]
pub struct Logprob {
    pub id: u32,
    /// As the vocabulary spells it; empty for an id that it does not have.
    pub token: String,
    pub logprob: f32,
}

/// A generated token, and the likeliest ones in its place, best first.
#[derive(Debug)]
pub struct TokenLogprobs {
    pub token: Logprob,
    pub top: Vec<Logprob>,
}

/// A run. Dropping it cancels it.
pub struct Generation {
    cancel: Cancel,
    passes: Arc<AtomicU64>,
    events: Arc<tokio::sync::Mutex<Events>>,
    summary: Arc<Mutex<Option<Summary>>>,
}

impl Generation {
    /// A run, and the function that starts it, or reports why it cannot start.
    pub(super) fn new(
        model: ModelId,
        slot: Option<SlotId>,
        draft: Option<ModelId>,
        tokenizer: Arc<Tokenizer>,
    ) -> (Self, impl FnOnce(Result<Request>) + Send) {
        let (sender, receiver) = unbounded_channel();
        let cancel = Cancel::default();
        let passes = Arc::new(AtomicU64::new(0));
        let (run_cancel, run_passes) = (cancel.clone(), Arc::clone(&passes));
        let start = move |request: Result<Request>| {
            let started = request.and_then(|request| {
                engine::generate(model, request, slot, draft, run_cancel, run_passes, sender.clone())
            });
            if let Err(error) = started {
                // The receiver is gone if the run was dropped.
                let _ = sender.send(Err(error));
            }
        };
        let events = Events { receiver, tokenizer: Some(tokenizer), failed: None, ended: false };
        let events = Arc::new(tokio::sync::Mutex::new(events));
        (Self { cancel, passes, events, summary: Arc::default() }, start)
    }

    /// Waits for at least one event and returns all that are there; `None` at the end.
    ///
    /// # Errors
    /// The run's, once the events before it are read.
    pub fn next(&self) -> impl Future<Output = Result<Option<Vec<Event>>>> + Send + use<> {
        let (events, summary) = (Arc::clone(&self.events), Arc::clone(&self.summary));
        async move { events.lock().await.next(&summary).await }
    }

    /// Makes the run end before its next pass through the model: with the error `Aborted`, or as [`OnAbort`] says.
    ///
    /// [`OnAbort`]: crate::options::OnAbort
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Is cancelled with the run.
    pub(super) fn cancelled_by(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The run's result, once [`Self::next`] has returned `None`.
    pub fn summary(&self) -> Option<Summary> {
        lock(&self.summary).clone()
    }

    /// Number of passes through the model so far.
    pub fn passes(&self) -> u64 {
        self.passes.load(Ordering::Relaxed)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// The receiving end of a run.
struct Events {
    receiver: UnboundedReceiver<Result<generate::Event>>,
    /// `None` at the end: JavaScript keeps a generation until the next garbage collection.
    tokenizer: Option<Arc<Tokenizer>>,
    /// An error that came right after chunks.
    failed: Option<Error>,
    ended: bool,
}

impl Events {
    async fn next(&mut self, summary: &Mutex<Option<Summary>>) -> Result<Option<Vec<Event>>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut events = Vec::new();
        while events.is_empty() && !self.ended {
            let event = self.receiver.recv().await;
            events.extend(self.take(event, summary)?);
            while !self.ended
                && self.failed.is_none()
                && let Ok(event) = self.receiver.try_recv()
            {
                match event {
                    Err(error) if !events.is_empty() => {
                        self.end();
                        self.failed = Some(error);
                    }
                    event => events.extend(self.take(Some(event), summary)?),
                }
            }
        }
        Ok(if events.is_empty() { None } else { Some(events) })
    }

    fn take(
        &mut self,
        event: Option<Result<generate::Event>>,
        summary: &Mutex<Option<Summary>>,
    ) -> Result<Option<Event>> {
        let event = event.unwrap_or_else(|| Err(Error::internal("the run ended without a result")));
        Ok(match event.inspect_err(|_| self.end())? {
            generate::Event::Chunk(chunk) => Some(Event::Chunk(self.chunk(chunk))),
            generate::Event::Prefill { processed, total } => Some(Event::PromptProgress { processed, total }),
            generate::Event::Done(done) => {
                self.end();
                *lock(summary) = Some(done);
                None
            }
        })
    }

    fn end(&mut self) {
        self.ended = true;
        self.tokenizer = None;
    }

    fn chunk(&self, generate::Chunk { piece, tokens, logprobs }: generate::Chunk) -> Chunk {
        let token = |(id, logprob): (u32, f32)| Logprob {
            id,
            token: self.tokenizer.as_ref().and_then(|tokenizer| tokenizer.id_to_token(id)).unwrap_or_default(),
            logprob,
        };
        let step = |(id, logprobs): (&u32, generate::TokenLogprobs)| TokenLogprobs {
            token: token((*id, logprobs.token)),
            top: logprobs.top.into_iter().map(token).collect(),
        };
        let logprobs = tokens.iter().zip(logprobs).map(step).collect();
        Chunk { piece, tokens, logprobs }
    }
}
