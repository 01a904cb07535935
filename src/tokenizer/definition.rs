// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT
// Ported from transformers (https://github.com/huggingface/transformers)
// Original: src/transformers/tokenization_utils_tokenizers.py
// Git Tag: v5.23.0

//! tokenizer.json. The file is untrusted: whatever would make the tokenizers crate panic, abort or
//! allocate without bound is rejected before it reaches the crate.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokenizers::{
    AddedToken, DecoderWrapper, Model, ModelWrapper, PostProcessorWrapper, TokenizerBuilder, TokenizerImpl,
};

use super::class::{Class, Pipeline};
use super::config::Config;
use super::pipeline::{Normalize, Split, make_room};
use super::{bpe, limits};
use crate::limits::ADDED_TOKENS;

/// A tokenizer of the tokenizers crate, with our normalizers and pre-tokenizers.
pub type Definition = TokenizerImpl<ModelWrapper, Normalize, Split, PostProcessorWrapper, DecoderWrapper>;

type Result<T> = tokenizers::Result<T>;

/// The parts of the file that are used; padding and truncation never are.
#[derive(Deserialize)]
struct File {
    #[serde(default, deserialize_with = "added_tokens")]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Option<Value>,
    #[serde(default)]
    pre_tokenizer: Option<Value>,
    #[serde(default)]
    post_processor: Option<Value>,
    #[serde(default)]
    decoder: Option<Value>,
    model: Box<RawValue>,
}

#[derive(Deserialize)]
struct Added {
    #[serde(default)]
    id: i64,
    #[serde(flatten)]
    token: AddedToken,
}

/// Reads added tokens until there are too many.
fn added_tokens<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Added>, D::Error> {
    struct Few;

    impl<'de> Visitor<'de> for Few {
        type Value = Vec<Added>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a list of tokens")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Vec<Added>, A::Error> {
            let mut tokens = Vec::new();
            while let Some(token) = seq.next_element()? {
                tokens.push(token);
                if tokens.len() > ADDED_TOKENS {
                    return Err(A::Error::custom("too many added tokens"));
                }
            }
            Ok(tokens)
        }
    }

    deserializer.deserialize_seq(Few)
}

/// A tokenizer, with the largest id of the vocabulary proper, the bytes of the longest token, and the factor by which the
/// decoder can lengthen a text.
pub struct Parsed {
    pub definition: Definition,
    pub largest_id: u32,
    pub longest_token: usize,
    pub decoder_growth: usize,
}

/// Builds the tokenizer. May panic; see [`super::isolate`].
pub fn parse(json: String, config: &Config) -> Result<Parsed> {
    let mut file: File = serde_json::from_str(&json)?;
    // The text is nearly as large as the result.
    drop(json);
    let kind = limits::check_model(file.model.get())?.to_owned();
    let pipeline = match kind.as_str() {
        "BPE" => config.class.pipeline(&config.class_options),
        _ => None,
    };
    let class = if pipeline.is_some() { config.class } else { Class::Backend };
    if let Some(pipeline) = &pipeline {
        file.normalizer.clone_from(&pipeline.normalizer);
        file.pre_tokenizer = Some(pipeline.pre_tokenizer.clone());
        file.decoder = Some(pipeline.decoder.clone());
    }
    let check = |part: &Option<Value>, types| part.as_ref().map_or(Ok(1), |part| limits::check_part(part, types));
    check(&file.normalizer, limits::NORMALIZERS)?;
    check(&file.pre_tokenizer, limits::PRE_TOKENIZERS)?;
    let decoder_growth = check(&file.decoder, limits::DECODERS)?;
    // Conversions have left other decoders in files. The vocabulary says what tokens mean.
    if file.pre_tokenizer.as_ref().is_some_and(is_byte_level) && !file.decoder.as_ref().is_none_or(is_byte_level) {
        file.decoder = Some(json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true,
        }));
    }
    if let Some(post_processor) = &file.post_processor {
        limits::check_post_processor(post_processor)?;
    }
    let mut tokens: Vec<_> = file.added_tokens.into_iter().map(|added| (added.id, added.token)).collect();
    let more = config.tokens.to_add(&tokens, class);
    if pipeline.is_some() {
        tokens.clear();
    }
    let tokens: Vec<AddedToken> = tokens.into_iter().map(|(_, token)| token).chain(more).collect();
    limits::check_added_tokens(tokens.iter().map(|token| &token.content))?;
    let longest_added = limits::check_tokens(tokens.iter().map(|token| &token.content))?;

    let (model, largest_id, longest) = model(&kind, file.model, pipeline.as_ref(), config)?;
    let mut definition = TokenizerBuilder::new()
        .with_model(model)
        .with_normalizer(file.normalizer.as_ref().map(Normalize::from_json).transpose()?)
        .with_pre_tokenizer(file.pre_tokenizer.as_ref().map(Split::from_json).transpose()?)
        .with_post_processor(read(file.post_processor)?)
        .with_decoder(read(file.decoder)?)
        .build()?;
    make_room(limits::MAX_ADDED);
    definition.add_tokens(tokens)?;
    if let Some((bos, eos)) = config.around {
        let token = |wanted: bool, name: &str| config.special_token(name).filter(|_| wanted);
        surround(&mut definition, token(bos, "bos_token"), token(eos, "eos_token"))?;
    }
    Ok(Parsed { definition, largest_id, longest_token: longest.max(longest_added), decoder_growth })
}

/// Whether a pre-tokenizer or decoder has a stage for bytes that are written as letters.
fn is_byte_level(part: &Value) -> bool {
    let stages = ["pretokenizers", "decoders"].into_iter().filter_map(|name| part.get(name)?.as_array()).flatten();
    part.get("type").and_then(Value::as_str) == Some("ByteLevel") || { stages }.any(is_byte_level)
}

/// Makes the tokenizer add exactly these tokens around texts.
fn surround(definition: &mut Definition, bos: Option<&str>, eos: Option<&str>) -> Result<()> {
    let text = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
    let special = |token: &str| json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let single: Vec<Value> = bos.map(special).into_iter().chain([text("A")]).chain(eos.map(special)).collect();
    let ids = |token: &str| {
        (token.to_owned(), json!({ "id": token, "ids": [definition.token_to_id(token)], "tokens": [token] }))
    };
    let special_tokens: Map<String, Value> = bos.into_iter().chain(eos).map(ids).collect();
    let template: Option<PostProcessorWrapper> =
        read(Some(json!({ "type": "TemplateProcessing", "single": single, "pair": [text("A"), text("B")],
                           "special_tokens": special_tokens })))?;
    definition.with_post_processor(template);
    Ok(())
}

/// Returns the largest id of the added tokens, 0 if there are none.
pub fn largest_added_id(definition: &Definition) -> u32 {
    definition.get_added_vocabulary().get_added_tokens_decoder().keys().copied().max().unwrap_or(0)
}

/// Returns the model, its largest id, and the length of its longest token.
fn model(
    kind: &str,
    json: Box<RawValue>,
    pipeline: Option<&Pipeline>,
    config: &Config,
) -> Result<(ModelWrapper, u32, usize)> {
    let model = match kind {
        "BPE" => {
            // The crate's own parser, which tries all model types, keeps three copies of the vocabulary.
            let file = bpe::File::parse(json.get())?;
            drop(json);
            let (mut bpe, largest_id, longest) = file.build()?;
            if let Some(pipeline) = pipeline {
                let unk_token = config.special_token("unk_token");
                bpe.unk_token = unk_token.filter(|_| pipeline.has_unk_token).map(str::to_owned);
                bpe.fuse_unk = pipeline.byte_fallback;
                bpe.byte_fallback = pipeline.byte_fallback;
                bpe.ignore_merges = false;
            }
            return Ok((bpe.into(), largest_id, longest));
        }
        "Unigram" => ModelWrapper::Unigram(serde_json::from_str(json.get())?),
        _ => serde_json::from_str(json.get())?,
    };
    let vocab = model.get_vocab();
    let longest = limits::check_tokens(vocab.keys())?;
    Ok((model, vocab.into_values().max().unwrap_or(0), longest))
}

fn read<T: serde::de::DeserializeOwned>(json: Option<Value>) -> Result<Option<T>> {
    Ok(json.map(serde_json::from_value).transpose()?)
}
