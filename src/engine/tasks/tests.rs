// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

use std::{path::Path, sync::Arc};

use mlx_rs::Array;
use tokio::sync::{
    mpsc::{UnboundedReceiver, unbounded_channel},
    oneshot,
};

use super::*;
use crate::{
    cache::Caches,
    engine::Cancel,
    error::GpuFailure,
    generate::{Event, Readout, Request},
    models::{self, Model},
    options::{RunOptions, Speculative},
    tokenizer::{ClassRule, Tokenizer},
};

const LLAMA: &str = "__test__/fixtures/llama";

type Events = UnboundedReceiver<Result<Event>>;

/// A model whose passes fail in this way.
struct Failing(fn() -> Result<Array>);

impl Model for Failing {
    fn hidden_states(&self, _: &Array, _: &mut Caches) -> Result<Array> {
        self.0()
    }

    fn logits(&self, hidden: &Array) -> Result<Array> {
        Ok(hidden.clone())
    }

    fn num_layers(&self) -> usize {
        1
    }

    fn vocab_size(&self) -> i32 {
        288
    }
}

fn buggy() -> LoadedModel {
    let model = Failing(|| std::panic::resume_unwind(Box::new("a bug")));
    LoadedModel { model: Box::new(model), ..llama() }
}

fn lost() -> LoadedModel {
    let model = Failing(|| Err(Error::GpuFailed { failure: GpuFailure::Timeout, message: "late".to_owned() }));
    LoadedModel { model: Box::new(model), ..llama() }
}

fn llama() -> LoadedModel {
    mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
    models::load(Path::new(LLAMA), None).unwrap()
}

fn serve(engine: &mut Engine, model: LoadedModel) -> ModelId {
    engine.loaded += 1;
    let id = ModelId(engine.loaded);
    engine.models.insert(id, Served { model: Rc::new(model), max_queue: 8 });
    id
}

fn generate(engine: &mut Engine, model: ModelId) -> Events {
    generate_with(engine, model, None)
}

fn generate_with(engine: &mut Engine, model: ModelId, draft: Option<ModelId>) -> Events {
    let (events, received) = unbounded_channel();
    let detokenizer = Tokenizer::from_dir(Path::new(LLAMA), ClassRule::Named).unwrap().detokenizer();
    let request = Request {
        prompt: vec![1, 2, 3],
        options: RunOptions {
            max_tokens: Some(4),
            speculative: draft.map(|_| Speculative::Draft { tokens: 2 }),
            ..RunOptions::default()
        },
        eos_token_ids: vec![],
        detokenizer,
        parser: None,
        end_of_reasoning: vec![],
        constraint: None,
        created: std::time::Instant::now(),
    };
    let (cancel, passes) = (Cancel::default(), Arc::default());
    let command = Command::Generate { model, request: Box::new(request), slot: None, draft, cancel, passes, events };
    assert!(engine.serve(command).is_continue());
    received
}

/// Gives turns until nothing is left to do.
fn finish(engine: &mut Engine) {
    while !engine.tasks.is_empty() {
        engine.turn();
    }
}

/// Returns the error that a run ended with, if any.
fn error(events: &mut Events) -> Option<Error> {
    std::iter::from_fn(|| events.try_recv().ok()).find_map(Result::err)
}

#[test]
fn a_panic_in_a_run_ends_its_model_and_no_other() {
    let mut engine = Engine::default();
    let good = serve(&mut engine, llama());
    let buggy = serve(&mut engine, buggy());
    let mut runs = [buggy, good, buggy].map(|model| generate(&mut engine, model));
    finish(&mut engine);
    let [first, other, second] = runs.each_mut().map(error);
    assert_eq!(first.unwrap().to_string(), "internal error (please report it): panicked: a bug");
    assert!(other.is_none());
    let second = second.unwrap();
    assert_eq!(second.code(), "ERR_INTERNAL");
    assert!(second.to_string().contains("another run of this model failed"), "{second}");
    assert_eq!(error(&mut generate(&mut engine, buggy)).unwrap().code(), "ERR_MODEL_DISPOSED");
}

#[test]
fn a_panic_in_a_draft_model_ends_that_model_as_well() {
    let mut engine = Engine::default();
    let good = serve(&mut engine, llama());
    let buggy = serve(&mut engine, buggy());
    let mut run = generate_with(&mut engine, good, Some(buggy));
    finish(&mut engine);
    assert_eq!(error(&mut run).unwrap().code(), "ERR_INTERNAL");
    let again = [buggy, good].map(|model| error(&mut generate(&mut engine, model)).unwrap().code());
    assert_eq!(again, ["ERR_MODEL_DISPOSED"; 2]);
}

#[test]
fn what_the_gpu_gives_up_ends_all_runs_that_wait_for_it() {
    let mut engine = Engine::default();
    let good = serve(&mut engine, llama());
    let lost = serve(&mut engine, lost());
    let mut runs = [good, lost, good].map(|model| generate(&mut engine, model));
    finish(&mut engine);
    let [going, given_up, waiting] = runs.each_mut().map(error);
    assert_eq!(given_up.unwrap().code(), "ERR_GPU_FAILED");
    assert_eq!(going.unwrap().details()["failure"], "timeout");
    assert!(waiting.is_none());
}

fn read(engine: &mut Engine, model: ModelId, tokens: Vec<u32>, cancel: &Cancel) -> Result<Vec<Vec<f32>>> {
    let (reply, mut answer) = oneshot::channel();
    let (texts, cancel) = (vec![tokens], cancel.clone());
    let command = Command::Read { model, texts, readout: Readout::Mean { skip: 1 }, cancel, reply };
    assert!(engine.serve(command).is_continue());
    finish(engine);
    answer.try_recv().unwrap()
}

#[test]
fn texts_that_cannot_be_read_fail_alone() {
    let mut engine = Engine::default();
    let good = serve(&mut engine, llama());
    let buggy = serve(&mut engine, buggy());
    let (going, cancelled) = (Cancel::default(), Cancel::default());
    cancelled.cancel();
    let code = |result: Result<Vec<Vec<f32>>>| result.unwrap_err().code();
    assert_eq!(code(read(&mut engine, buggy, vec![1, 2], &going)), "ERR_INTERNAL");
    assert_eq!(code(read(&mut engine, buggy, vec![1, 2], &going)), "ERR_MODEL_DISPOSED");
    assert_eq!(code(read(&mut engine, good, vec![1], &going)), "ERR_INVALID_ARG_VALUE");
    assert_eq!(code(read(&mut engine, good, vec![1, 288], &going)), "ERR_OUT_OF_RANGE");
    assert_eq!(code(read(&mut engine, good, vec![1, 2], &cancelled)), "ABORT_ERR");
    let numbers = read(&mut engine, good, vec![1, 2], &going).unwrap();
    assert_eq!((numbers.len(), numbers[0].len()), (1, engine.models[&good].model.info.hidden_size));
}
