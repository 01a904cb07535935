// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! The options of a run, with all their defaults. `lib/types.ts` documents them, `lib/options.ts` checks them, and they
//! arrive here as JSON with the same names; the code that acts on an option reads it from this struct.
//!
//! Decision: JSON instead of an object of napi's, so that an option has one field in Rust, tests and benches use the same
//! struct, and large tools and documents are parsed off the event loop. A name that is not a field is an error.

use std::hash::{BuildHasher, Hasher, RandomState};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    cache::KvQuantization,
    error::{Error, Result},
    models::ModelInfo,
};

/// mlx-lm's default for prompts; the model's context still limits it.
pub const DEFAULT_MAX_TOKENS: usize = 4096;

/// As `lib/options.ts` says, too.
const MAX_DRAFT_TOKENS: usize = 64;

/// How a run generates. [`RunOptions::default`] is greedy and adds nothing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RunOptions {
    /// Maximum number of tokens. `None`: [`DEFAULT_MAX_TOKENS`], or what the context still holds.
    pub max_tokens: Option<usize>,
    /// 0 takes the most likely token. `None`: the model's default, else 0.
    pub temperature: Option<f32>,
    /// Keeps the most likely tokens up to this probability; 0 and 1 keep all. `None`: the model's default, else all.
    pub top_p: Option<f32>,
    /// Keeps this many tokens; 0 keeps all. `None`: the model's default, else all.
    pub top_k: Option<i32>,
    /// Keeps tokens at least this likely, relative to the most likely one; 0 keeps all. `None`: the model's default, else
    /// all.
    pub min_p: Option<f32>,
    /// Number of tokens that `min_p` always leaves.
    pub min_tokens_to_keep: i32,
    /// How often XTC drops the likeliest tokens; 0 for never.
    pub xtc_probability: f32,
    /// XTC drops tokens above this probability.
    pub xtc_threshold: f32,
    /// Ids that XTC never drops.
    #[serde(skip)]
    pub xtc_special_tokens: Vec<u32>,
    /// Divides the logits of tokens that have occurred (multiplies negative ones); 0 for off. `None`: the model's default,
    /// else off.
    pub repetition_penalty: Option<f32>,
    /// Number of last tokens that it looks at; 0 for all, as in a Python slice. `None`: all for the model's own penalty, as
    /// in transformers, else 20.
    pub repetition_context_size: Option<i32>,
    /// Subtracted from the logits of tokens that have occurred; 0 for off.
    pub presence_penalty: f32,
    pub presence_context_size: i32,
    /// Subtracted each time that a token has occurred; 0 for off.
    pub frequency_penalty: f32,
    pub frequency_context_size: i32,
    /// Added to the logits of these ids; each id once.
    pub logit_bias: Vec<(u32, f32)>,
    /// `None`: random.
    pub seed: Option<u64>,
    /// Strings that end the answer, wherever they occur.
    pub stop: Vec<String>,
    /// Continues after an end-of-sequence token.
    pub ignore_eos: bool,
    /// Reports each token's log-probability, and those of this many of the likeliest tokens.
    pub logprobs: Option<i32>,
    /// Prompt tokens in one pass; `None`: as many as take about a second.
    pub prefill_step_size: Option<usize>,
    /// Keeps at most this many tokens in the KV cache, the first four of them forever.
    pub max_kv_size: Option<i32>,
    /// Quantizes the KV cache to this many bits.
    pub kv_bits: Option<i32>,
    pub kv_group_size: i32,
    /// Position from which on the KV cache is quantized.
    pub quantized_kv_start: i32,
    /// JSON schemas of the functions that the model may call.
    pub tools: Option<Value>,
    pub tool_choice: ToolChoice,
    /// Holds the arguments of calls to the schemas; a call that must come is always held to its schema.
    pub strict_tools: bool,
    /// Documents to answer from.
    pub documents: Option<Value>,
    /// More variables for the chat template.
    pub chat_template_args: Map<String, Value>,
    /// Leaves the last message open, for the model to continue it.
    pub continue_final_message: bool,
    /// Encodes control tokens in messages as ordinary text.
    pub sanitize_control_tokens: bool,
    /// `None`: the model's own.
    pub reasoning: Option<Reasoning>,
    pub on_abort: OnAbort,
    pub cache: CacheUse,
    /// The JSON schema that the answer follows; at most one of these three.
    pub schema: Option<Value>,
    /// The regular expression that the answer as a whole matches.
    pub regex: Option<String>,
    /// The grammar that the answer follows.
    pub grammar: Option<String>,
    /// How tokens are guessed, to be checked several at a time.
    pub speculative: Option<Speculative>,
}

/// Where the guesses of speculative decoding come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speculative {
    /// From the text itself: what followed the last tokens where they occurred before.
    PromptLookup,
    /// From another model.
    #[serde(untagged)]
    Draft {
        /// Maximum number of guesses in one pass.
        #[serde(default = "draft_tokens")]
        tokens: usize,
    },
}

/// mlx-lm's default.
fn draft_tokens() -> usize {
    2
}

/// Whether the model calls functions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It does not know of any.
    None,
    /// It calls at least one.
    Required,
    /// It calls this one, once.
    #[serde(untagged)]
    Named { name: String },
}

/// How a run ends that is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnAbort {
    /// With the error `Aborted`.
    #[default]
    Throw,
    /// With the answer so far.
    Keep,
}

/// Whether a run starts from the caches of earlier runs, and leaves its own to later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CacheUse {
    #[default]
    Auto,
    None,
}

/// Whether a model reasons, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Reasoning {
    Switch(bool),
    /// Maximum number of reasoning tokens.
    Budget {
        budget: usize,
    },
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            max_tokens: None,
            temperature: None,
            top_p: None,
            top_k: None,
            min_p: None,
            min_tokens_to_keep: 1,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            xtc_special_tokens: Vec::new(),
            repetition_penalty: None,
            repetition_context_size: None,
            presence_penalty: 0.0,
            presence_context_size: 20,
            frequency_penalty: 0.0,
            frequency_context_size: 20,
            logit_bias: Vec::new(),
            seed: None,
            stop: Vec::new(),
            ignore_eos: false,
            logprobs: None,
            prefill_step_size: None,
            max_kv_size: None,
            kv_bits: None,
            kv_group_size: 64,
            quantized_kv_start: 0,
            tools: None,
            tool_choice: ToolChoice::Auto,
            strict_tools: false,
            documents: None,
            chat_template_args: Map::new(),
            continue_final_message: false,
            sanitize_control_tokens: false,
            reasoning: None,
            on_abort: OnAbort::Throw,
            cache: CacheUse::Auto,
            schema: None,
            regex: None,
            grammar: None,
            speculative: None,
        }
    }
}

impl RunOptions {
    /// Checks what would divide, shift or reserve memory; lib/options.ts checks more, with better messages.
    ///
    /// # Errors
    /// `OutOfRange`.
    pub fn check(&self) -> Result<()> {
        let is_size = |size: i32| size >= 0;
        let all = [
            ("maxTokens", self.max_tokens != Some(0)),
            ("topK", self.top_k.is_none_or(is_size)),
            ("minTokensToKeep", self.min_tokens_to_keep > 0),
            ("repetitionContextSize", self.repetition_context_size.is_none_or(is_size)),
            ("presenceContextSize", is_size(self.presence_context_size)),
            ("frequencyContextSize", is_size(self.frequency_context_size)),
            ("logprobs", self.logprobs.is_none_or(|top| (0..=20).contains(&top))),
            ("prefillStepSize", self.prefill_step_size.is_none_or(|size| size > 0)),
            ("maxKvSize", self.max_kv_size.is_none_or(|size| size >= 8)),
            ("kvBits", self.kv_bits.is_none_or(|bits| matches!(bits, 2 | 3 | 4 | 5 | 6 | 8))),
            ("kvGroupSize", matches!(self.kv_group_size, 32 | 64 | 128)),
            ("quantizedKvStart", is_size(self.quantized_kv_start)),
            ("speculative.tokens", self.draft_tokens().is_none_or(|tokens| (1..=MAX_DRAFT_TOKENS).contains(&tokens))),
        ];
        match all.into_iter().find(|(_, holds)| !holds) {
            Some((name, _)) => {
                Err(Error::OutOfRange { name: name.to_owned(), message: "is outside its range".to_owned() })
            }
            None => Ok(()),
        }
    }

    /// Fills in what the caller leaves to the model, and the seed.
    pub fn resolve(&mut self, model: &ModelInfo) {
        let defaults = &model.generation;
        self.temperature = self.temperature.or(defaults.temperature);
        self.top_p = self.top_p.or(defaults.top_p);
        self.top_k = self.top_k.or(defaults.top_k);
        self.min_p = self.min_p.or(defaults.min_p);
        if self.repetition_penalty.is_none() && defaults.repetition_penalty.is_some() {
            self.repetition_penalty = defaults.repetition_penalty;
            self.repetition_context_size.get_or_insert(0);
        }
        self.seed.get_or_insert_with(random_seed);
        // The tokenizer may have more ids than the model has logits.
        self.xtc_special_tokens.retain(|id| (*id as usize) < model.vocab_size);
    }

    pub fn kv_quantization(&self) -> Option<KvQuantization> {
        let (group_size, start) = (self.kv_group_size, self.quantized_kv_start);
        self.kv_bits.map(|bits| KvQuantization { bits, group_size, start })
    }

    /// Whether the answer must follow something.
    pub fn has_grammar(&self) -> bool {
        self.schema.is_some() || self.regex.is_some() || self.grammar.is_some() || self.holds_calls().is_some()
    }

    /// The option that holds calls to their schemas, if one does.
    pub fn holds_calls(&self) -> Option<&'static str> {
        match self.tool_choice {
            ToolChoice::Required | ToolChoice::Named { .. } => Some("toolChoice"),
            ToolChoice::Auto => self.strict_tools.then_some("strictTools"),
            ToolChoice::None => None,
        }
    }

    /// Whether the model must call a function.
    pub fn forces_call(&self) -> bool {
        matches!(self.tool_choice, ToolChoice::Required | ToolChoice::Named { .. })
    }

    /// Maximum number of tokens that a draft model guesses in one pass, if there is one.
    pub fn draft_tokens(&self) -> Option<usize> {
        match self.speculative {
            Some(Speculative::Draft { tokens }) => Some(tokens),
            _ => None,
        }
    }

    /// Maximum number of reasoning tokens.
    pub fn reasoning_budget(&self) -> Option<usize> {
        match self.reasoning {
            Some(Reasoning::Budget { budget }) => Some(budget),
            _ => None,
        }
    }
}

/// The standard library keys every hasher at random.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> serde_json::Result<RunOptions> {
        serde_json::from_str(json)
    }

    #[test]
    fn missing_options_have_their_defaults_and_unknown_ones_are_refused() {
        assert_eq!(parsed("{}").unwrap(), RunOptions::default());
        assert!(parsed(r#"{"temprature": 1}"#).unwrap_err().to_string().contains("temprature"));
    }

    #[test]
    fn what_would_divide_or_reserve_memory_is_checked() {
        assert!(RunOptions::default().check().is_ok());
        for json in [
            r#"{"kvGroupSize": 0}"#,
            r#"{"kvBits": 0}"#,
            r#"{"maxKvSize": 2}"#,
            r#"{"prefillStepSize": 0}"#,
            r#"{"topK": -1}"#,
            r#"{"logprobs": 1000000}"#,
        ] {
            assert_eq!(parsed(json).unwrap().check().unwrap_err().code(), "ERR_OUT_OF_RANGE", "{json}");
        }
    }

    #[test]
    fn numbers_beyond_half_of_javascripts_range_arrive() {
        let options = parsed(r#"{"temperature": 1.7976931348623157e308, "seed": 9007199254740991}"#).unwrap();
        assert_eq!((options.temperature, options.seed), (Some(f32::INFINITY), Some((1 << 53) - 1)));
    }

    #[test]
    fn a_tool_choice_is_a_word_or_a_name() {
        let choice = |json: &str| parsed(&format!(r#"{{"toolChoice": {json}}}"#)).unwrap().tool_choice;
        assert_eq!(choice(r#""required""#), ToolChoice::Required);
        assert_eq!(choice(r#""none""#), ToolChoice::None);
        assert_eq!(choice(r#"{"name": "f"}"#), ToolChoice::Named { name: "f".to_owned() });
        assert!(parsed(r#"{"toolChoice": "always"}"#).is_err());
    }

    #[test]
    fn guesses_come_from_the_prompt_or_a_model() {
        let speculative = |json: &str| parsed(&format!(r#"{{"speculative": {json}}}"#)).map(|all| all.speculative);
        assert_eq!(speculative(r#""prompt-lookup""#).unwrap(), Some(Speculative::PromptLookup));
        assert_eq!(speculative("{}").unwrap(), Some(Speculative::Draft { tokens: 2 }));
        assert_eq!(speculative(r#"{"tokens": 5}"#).unwrap(), Some(Speculative::Draft { tokens: 5 }));
        assert!(speculative(r#""magic""#).is_err());
        assert!(parsed(r#"{"speculative": {"tokens": 0}}"#).unwrap().check().is_err());
    }

    #[test]
    fn reasoning_is_a_switch_or_a_budget() {
        let reasoning = |json: &str| parsed(json).unwrap().reasoning;
        assert_eq!(reasoning(r#"{"reasoning": false}"#), Some(Reasoning::Switch(false)));
        assert_eq!(reasoning(r#"{"reasoning": {"budget": 7}}"#), Some(Reasoning::Budget { budget: 7 }));
    }
}
