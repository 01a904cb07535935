// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Ported from mlx-lm (https://github.com/ml-explore/mlx-lm)
// Original: mlx_lm/tool_parsers/longcat.py
// Git Hash: d78bf58e217c904ec282ed8da9b947491f78c022 (2026-08-22)

//! `name<longcat_arg_key>key</longcat_arg_key><longcat_arg_value>value</longcat_arg_value>`, or JSON

use super::glm47::{ArgumentTags, arguments};
use super::{Call, ToolSpec, json_tools};

const TAGS: ArgumentTags = ArgumentTags {
    key: ("<longcat_arg_key>", "</longcat_arg_key>"),
    value: ("<longcat_arg_value>", "</longcat_arg_value>"),
};

pub fn parse(body: &str, tools: &[ToolSpec]) -> Option<Call> {
    let body = body.trim();
    if body.starts_with('{')
        && let Some(call) = json_tools::parse(body)
    {
        return Some(call);
    }
    let name = body.split_once(TAGS.key.0)?.0.trim();
    Some(Call::new(name, arguments(body, &TAGS, name, tools)?))
}
