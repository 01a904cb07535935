// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/longcat.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)
// Differs from mlx-lm: as glm47.rs.

//! `name<longcat_arg_key>key</longcat_arg_key><longcat_arg_value>value</longcat_arg_value>`, or JSON

use super::glm47::tagged_call;
use super::{Call, ToolSpec, json_tools};
use crate::tokenizer::output::section::members::Grammar;

pub const GRAMMAR: Grammar = Grammar {
    section: ("<longcat_tool_call>", "</longcat_tool_call>"),
    call: None,
    member: "<longcat_arg_key>",
    value: ("<longcat_arg_value>", "</longcat_arg_value>"),
    json: true,
};

pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Vec<Call>> {
    let body = body.trim();
    if body.starts_with('{')
        && let Some(calls) = json_tools::parse(body)
    {
        return Some(calls);
    }
    Some(vec![tagged_call(&GRAMMAR, "</longcat_arg_key>", body, tools)?])
}
