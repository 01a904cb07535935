// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What JavaScript asks of a run.

use std::time::Instant;

use napi::bindgen_prelude::Uint32Array;
use napi_derive::napi;

use super::prompt::{EncodedPrompt, Prompt};
use crate::{
    cache::KvQuantization,
    error::Result,
    generate::{AnswerOptions, ReasoningBudget, Request, SamplingRequest},
    sample_utils::{Penalty, Processors},
    tokenizer::Tokenizer,
};

const DEFAULT_PREFILL_STEP_SIZE: u32 = 2048;
const DEFAULT_PENALTY_CONTEXT_SIZE: i32 = 20;
const DEFAULT_KV_GROUP_SIZE: i32 = 64;

/// What is added to the logit of a token.
#[napi(object)]
pub struct NativeLogitBias {
    pub id: u32,
    pub bias: f64,
}

/// What to generate: exactly one of `text`, `messages` and `tokens`.
#[napi(object)]
pub struct NativeGenerateRequest {
    pub text: Option<String>,
    /// Do not put `text` through the chat template.
    pub raw: Option<bool>,
    /// JSON
    pub messages: Option<String>,
    pub tokens: Option<Uint32Array>,
    /// JSON
    pub tools: Option<String>,
    /// JSON
    pub documents: Option<String>,
    /// JSON
    pub chat_template_args: Option<String>,
    /// Leave the last of the messages open.
    pub continue_final_message: Option<bool>,
    /// Keep control tokens in messages apart from the template's.
    pub sanitize_control_tokens: Option<bool>,
    /// Switch reasoning on or off.
    pub reasoning: Option<bool>,
    /// Tokens of reasoning at most.
    pub reasoning_budget: Option<u32>,
    pub max_tokens: Option<f64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<i32>,
    pub min_p: Option<f64>,
    pub min_tokens_to_keep: Option<i32>,
    pub xtc_probability: Option<f64>,
    pub xtc_threshold: Option<f64>,
    pub repetition_penalty: Option<f64>,
    pub repetition_context_size: Option<i32>,
    pub presence_penalty: Option<f64>,
    pub presence_context_size: Option<i32>,
    pub frequency_penalty: Option<f64>,
    pub frequency_context_size: Option<i32>,
    /// Each id once.
    pub logit_bias: Option<Vec<NativeLogitBias>>,
    /// Below 2^53.
    pub seed: Option<f64>,
    pub stop: Option<Vec<String>>,
    pub ignore_eos: Option<bool>,
    pub prefill_step_size: Option<u32>,
    pub max_kv_size: Option<i32>,
    pub kv_bits: Option<i32>,
    pub kv_group_size: Option<i32>,
    pub quantized_kv_start: Option<i32>,
    /// Report log-probabilities: each token's, and those of so many of the likeliest.
    pub logprobs: Option<i32>,
    /// Report progress with the prompt among the chunks.
    pub prompt_progress: Option<bool>,
}

/// A request that has left JavaScript's thread, with its text not yet tokenized.
pub struct PendingRequest {
    prompt: Prompt,
    reasoning_budget: Option<usize>,
    max_tokens: Option<usize>,
    sampling: SamplingRequest,
    processors: Processors,
    stop: Vec<String>,
    ignore_eos: bool,
    prefill_step_size: usize,
    max_kv_size: Option<i32>,
    kv_quantization: Option<KvQuantization>,
    logprobs: Option<i32>,
    created: Instant,
}

impl PendingRequest {
    pub fn new(mut request: NativeGenerateRequest) -> Self {
        let float = |value: Option<f64>| value.map(|value| value as f32);
        Self {
            created: Instant::now(),
            reasoning_budget: request.reasoning_budget.map(|tokens| tokens as usize),
            max_tokens: request.max_tokens.map(|tokens| tokens as usize),
            sampling: SamplingRequest {
                temperature: float(request.temperature),
                top_p: float(request.top_p),
                top_k: request.top_k,
                min_p: float(request.min_p),
                min_tokens_to_keep: request.min_tokens_to_keep,
                xtc_probability: float(request.xtc_probability),
                xtc_threshold: float(request.xtc_threshold),
                xtc_special_tokens: vec![],
                seed: request.seed.map_or_else(random_seed, |seed| seed as u64),
            },
            processors: Processors {
                logit_bias: request.logit_bias.iter().flatten().map(|entry| (entry.id, entry.bias as f32)).collect(),
                repetition: penalty(request.repetition_penalty, request.repetition_context_size),
                presence: penalty(request.presence_penalty, request.presence_context_size),
                frequency: penalty(request.frequency_penalty, request.frequency_context_size),
            },
            stop: request.stop.take().unwrap_or_default(),
            ignore_eos: request.ignore_eos.unwrap_or(false),
            prefill_step_size: request.prefill_step_size.unwrap_or(DEFAULT_PREFILL_STEP_SIZE) as usize,
            max_kv_size: request.max_kv_size,
            kv_quantization: request.kv_bits.map(|bits| KvQuantization {
                bits,
                group_size: request.kv_group_size.unwrap_or(DEFAULT_KV_GROUP_SIZE),
                start: request.quantized_kv_start.unwrap_or(0),
            }),
            logprobs: request.logprobs,
            prompt: Prompt::new(request),
        }
    }

    /// Whether there is something to tokenize.
    pub fn has_text(&self) -> bool {
        !matches!(self.prompt, Prompt::Tokens(_)) || self.sampling.xtc_probability.is_some()
    }

    /// Tokenizes the prompt. `eos_token_ids`: the model's.
    pub fn encode(self, tokenizer: &Tokenizer, eos_token_ids: Vec<u32>) -> Result<Request> {
        let mut sampling = self.sampling;
        if sampling.xtc_probability.is_some() {
            // As mlx-lm's command line: an answer can always end, and so can a line.
            sampling.xtc_special_tokens = tokenizer.encode("\n", true)?;
            sampling.xtc_special_tokens.extend(&eos_token_ids);
        }
        let EncodedPrompt { tokens, parser } = self.prompt.encode(tokenizer)?;
        let closing = tokenizer.reasoning_format().closing().filter(|_| parser.is_some());
        let reasoning_budget = match (self.reasoning_budget, closing) {
            (Some(tokens), Some(closing)) => {
                Some(ReasoningBudget { tokens, closing: tokenizer.encode(&closing, false)? })
            }
            _ => None,
        };
        Ok(Request {
            prompt: tokens,
            answer: AnswerOptions { detokenizer: tokenizer.detokenizer(), stop: self.stop, parser },
            reasoning_budget,
            max_tokens: self.max_tokens,
            sampling,
            processors: self.processors,
            eos_token_ids: if self.ignore_eos { vec![] } else { eos_token_ids },
            prefill_step_size: self.prefill_step_size,
            max_kv_size: self.max_kv_size,
            kv_quantization: self.kv_quantization,
            logprobs: self.logprobs,
            created: self.created,
        })
    }
}

/// A penalty, unless it is 0, which is none.
fn penalty(strength: Option<f64>, context_size: Option<i32>) -> Option<Penalty> {
    let strength = strength.filter(|strength| *strength != 0.0)? as f32;
    Some(Penalty { strength, context_size: context_size.unwrap_or(DEFAULT_PENALTY_CONTEXT_SIZE) })
}

/// Every hasher of the standard library is keyed at random.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
