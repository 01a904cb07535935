// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Texts that models may write, valid or not, equal in every run.

use super::Numbers;
use crate::tokenizer::output::{OutputParser, ReasoningFormat, ToolFormat};

/// A format of calls and reasoning.
pub struct Dialect {
    pub format: ToolFormat,
    pub reasoning: ReasoningFormat,
    /// The tags around reasoning.
    pub tags: [&'static str; 2],
    /// A valid call; `@` stands for an argument's text.
    call: &'static str,
}

const THINK: [&str; 2] = ["<think>", "</think>"];

const fn dialect(format: ToolFormat, call: &'static str) -> Dialect {
    Dialect { format, reasoning: ReasoningFormat::Think, tags: THINK, call }
}

pub const DIALECTS: [Dialect; 15] = [
    dialect(ToolFormat::None, ""),
    Dialect {
        format: ToolFormat::None,
        reasoning: ReasoningFormat::ThinkStart,
        tags: ["<|think:start|>", "<|think:end|>"],
        call: "",
    },
    Dialect { format: ToolFormat::None, reasoning: ReasoningFormat::None, tags: ["", ""], call: "" },
    dialect(ToolFormat::JsonTools, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"@\"}}</tool_call>"),
    dialect(ToolFormat::Qwen3Coder, "<tool_call><function=f><parameter=a>@</parameter></function></tool_call>"),
    dialect(ToolFormat::Mistral, "[TOOL_CALLS]f[ARGS]{\"a\": \"@\"}"),
    dialect(ToolFormat::Pythonic, "<|tool_call_start|>[f(a='@')]<|tool_call_end|>"),
    dialect(ToolFormat::FunctionGemma, "<start_function_call>call:f{a:<escape>@<escape>}<end_function_call>"),
    Dialect {
        format: ToolFormat::Gemma4,
        reasoning: ReasoningFormat::Channel,
        tags: ["<|channel>thought", "<channel|>"],
        call: "<|tool_call>call:f{a:<|\"|>@<|\"|>}<tool_call|>",
    },
    dialect(ToolFormat::Glm47, "<tool_call>f<arg_key>a</arg_key><arg_value>@</arg_value></tool_call>"),
    Dialect {
        format: ToolFormat::Longcat,
        reasoning: ReasoningFormat::Longcat,
        tags: ["<longcat_think>", "</longcat_think>"],
        call: "<longcat_tool_call>f<longcat_arg_key>a</longcat_arg_key>\
               <longcat_arg_value>@</longcat_arg_value></longcat_tool_call>",
    },
    dialect(
        ToolFormat::KimiK2,
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0\
         <|tool_call_argument_begin|>{\"a\": \"@\"}<|tool_call_end|><|tool_calls_section_end|>",
    ),
    dialect(
        ToolFormat::MinimaxM2,
        "<minimax:tool_call><invoke name=\"f\"><parameter name=\"a\">@</parameter></invoke></minimax:tool_call>",
    ),
    dialect(ToolFormat::Minicpm5, "<function name=\"f\"><param name=\"a\">@</param></function>"),
    Dialect {
        format: ToolFormat::Harmony,
        reasoning: ReasoningFormat::Harmony,
        tags: ["<|channel|>analysis<|message|>", "<|end|>"],
        call: "<|channel|>commentary to=functions.f<|message|>{\"a\": \"@\"}<|call|>",
    },
];

const WORDS: &[&str] = &[
    "hello",
    "hi ",
    " a < b",
    "  ",
    "<",
    "<|",
    "[",
    "\"",
    "\\",
    "'",
    "}",
    "{",
    "]",
    " to=functions.f",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    "\0",
    "\u{1b}[0m",
    "\u{7f}",
    "\u{85}",
    "\u{feff}",
    "\u{fffd}",
    "▁",
    "<0x0A>",
    // Joined, coloured and regional emoji.
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "👍🏽",
    "🧑🏿‍🚀",
    "🇫🇷🇯🇵",
    "🇩",
    "1️⃣",
    "😀😀",
    "漢字",
    "𠮷野家",
    "か\u{3099}",
    "한국어",
    "ᄒ\u{1161}\u{11ab}",
    "नमस्ते",
    "क्षि",
    "র্\u{200d}য",
    "مَرْحَبًا",
    "שָׁלוֹם",
    "\u{202e}abc\u{202c}",
    "אב 12 גד",
    "e\u{301}",
    "Z\u{351}\u{36b}\u{343}a",
    "ไทย",
    "𝔘𝔫𝔦",
    "a\u{200b}b",
];

const INVALID: &[&[u8]] = &[
    b"\x80",
    b"\xbf\xbf",
    b"\xff",
    b"\xfe\xff",
    // Too long, a surrogate, beyond Unicode.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    // Truncated.
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f",
    b"\xf0\x9f\x98",
    b"a\xf0\x9f\x98b",
];

pub struct Text {
    /// Each is tokenized separately, because invalid bytes cannot be encoded.
    pub parts: Vec<Part>,
    /// Index of its dialect in [`DIALECTS`].
    pub dialect: usize,
}

#[derive(Debug)]
pub enum Part {
    Valid(String),
    Bytes(Vec<u8>),
}

impl Text {
    /// Returns the text as decoded.
    pub fn lossy(&self) -> String {
        let bytes = self.parts.iter().map(|part| match part {
            Part::Valid(text) => text.as_bytes(),
            Part::Bytes(bytes) => bytes,
        });
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>().concat()).into_owned()
    }
}

pub fn texts(count: usize) -> Vec<Text> {
    let mut numbers = Numbers(11);
    (0..count).map(|number| numbers.text(number % DIALECTS.len())).collect()
}

impl Numbers {
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.index(all.len())]
    }

    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u32) as usize
    }

    fn text(&mut self, dialect: usize) -> Text {
        let mut parts = vec![];
        for _ in 0..1 + self.below(4) {
            parts.push(match self.below(16) {
                0 => Part::Bytes(self.of(INVALID).to_owned()),
                1 => {
                    let word = self.of(WORDS);
                    Part::Bytes(word.as_bytes()[self.index(word.len())..].to_owned())
                }
                2 => {
                    let word = self.of(WORDS);
                    Part::Bytes(word.as_bytes()[..self.index(word.len())].to_owned())
                }
                _ => Part::Valid(self.valid(&DIALECTS[dialect])),
            });
        }
        Text { parts, dialect }
    }

    fn valid(&mut self, dialect: &Dialect) -> String {
        let [open, close] = dialect.tags;
        let (word, another) = (self.of(WORDS), self.of(WORDS));
        match self.below(14) {
            0 => open.to_owned(),
            1 => close.to_owned(),
            2 => format!("{open}{word}{close}"),
            3 => format!("{open}\n\n{word}\n{close}\n\n{another}"),
            4 => format!("{open}{word}{}{another}", self.call(dialect)),
            5..=7 => self.call(dialect),
            8 => {
                let call = self.call(dialect);
                self.damaged(&call)
            }
            9 => {
                let marker = self.marker(dialect);
                self.damaged(marker)
            }
            10 => format!("{}{word}{}", self.marker(dialect), self.marker(dialect)),
            _ => word.to_owned() + another,
        }
    }

    fn marker(&mut self, dialect: &Dialect) -> &'static str {
        let parser = OutputParser::new(dialect.format, dialect.reasoning, &[]);
        if parser.markers().is_empty() { "<tag>" } else { self.of(parser.markers()) }
    }

    fn call(&mut self, dialect: &Dialect) -> String {
        dialect.call.replace('@', self.of(WORDS))
    }

    /// Truncates, doubles or nests a text, or adds or removes one character.
    fn damaged(&mut self, text: &str) -> String {
        let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (before, after) = text.split_at(self.of(&borders));
        match self.below(6) {
            0 => before.to_owned(),
            1 => after.to_owned(),
            2 => format!("{text}{text}"),
            3 => format!("{before}{text}{after}"),
            4 => format!("{before}{}{after}", self.of(WORDS)),
            _ => before.chars().chain(after.chars().skip(1)).collect(),
        }
    }
}
