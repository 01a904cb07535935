// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Renders chat templates and compares them with what they should give, character by character:
//!
//! `cargo run --release --example chat-templates -- FILE`
//!
//! The file holds a JSON array of `{ name, chat_template, data, target }`, where `data` has the messages and the template's
//! other variables.

use std::{env, error::Error, fs, process::ExitCode};

use chrono::{DateTime, Local, TimeZone};
use node_mlx::tokenizer::chat_template::{TemplateOptions, apply};
use serde::Deserialize;
use serde_json::{Map, Value};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
struct Case {
    name: String,
    chat_template: String,
    data: Map<String, Value>,
    target: String,
}

impl Case {
    fn render(&self) -> Result<String> {
        let mut extra = self.data.clone();
        extra.extend(self.assumed_variables()?);
        let messages = extra.remove("messages").unwrap_or_default();
        let options = TemplateOptions { extra, now: day_of_the_targets(), ..TemplateOptions::default() };
        Ok(apply(&self.chat_template, &messages, Map::new(), &options)?)
    }

    /// What the targets take for granted: they were rendered by Hugging Face's Jinja in JavaScript. Where that differs from
    /// transformers, the template is told.
    fn assumed_variables(&self) -> Result<Map<String, Value>> {
        let mut variables = Map::new();
        match self.name.as_str() {
            // Asks whether this is defined, which transformers sees to.
            "ai21labs/AI21-Jamba-Large-1.6" => variables.insert("add_generation_prompt".to_owned(), true.into()),
            // Prints the tools without a filter, which in JavaScript makes JSON of them.
            "MadeAgents/Hammer2.1" => {
                let options = TemplateOptions { tools: self.data.get("tools").cloned(), ..TemplateOptions::default() };
                let tools = apply("{{ tools | tojson }}", &Value::Null, Map::new(), &options)?;
                variables.insert("tools".to_owned(), tools.into())
            }
            _ => None,
        };
        Ok(variables)
    }
}

fn day_of_the_targets() -> Option<DateTime<Local>> {
    Local.with_ymd_and_hms(2025, 7, 10, 12, 0, 0).earliest()
}

fn main() -> Result<ExitCode> {
    let path = env::args().nth(1).ok_or("usage: chat-templates FILE")?;
    let cases: Vec<Case> = serde_json::from_slice(&fs::read(path)?)?;
    let mut exact = 0;
    for case in &cases {
        match case.render() {
            Ok(rendered) if rendered == case.target => exact += 1,
            Ok(rendered) => println!("{}:\n  expected {:?}\n  rendered {rendered:?}", case.name, case.target),
            Err(error) => println!("{}: {error}", case.name),
        }
    }
    println!("{exact}/{} templates render exactly", cases.len());
    Ok(if exact == cases.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
