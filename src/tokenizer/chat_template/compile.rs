// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Compiles a template to minijinja's instructions, and replaces every instruction that could take
//! much memory or time with a call that checks the budget.

use std::borrow::Cow;

use minijinja::machinery::{CodeGenerator, Instruction, Instructions, Token, WhitespaceConfig, parse, tokenize};
use minijinja::{Error, ErrorKind, Value};

use super::budget;
use super::constants::check_constants;
use super::ops::ENTER;

/// Long templates have about 20 KB.
const MAX_SOURCE: usize = 256 << 10;
/// The parser recurses for each operator of an expression and each branch of a condition.
const MAX_OPERATORS: usize = 2000;
const MAX_BRANCHES: usize = 1000;
/// Names are hashed, or compared, wherever they are used.
const MAX_NAME: usize = 256;

const NAME: &str = "template";

/// Whitespace handling as in transformers.
const WHITESPACE: WhitespaceConfig =
    WhitespaceConfig { keep_trailing_newline: false, lstrip_blocks: true, trim_blocks: true };

/// Removes the `generation` tags, which only mark the assistant's text.
pub fn without_generation_tags(source: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        let word = tag.trim_start_matches(['-', '+']).trim_start();
        let is_tag = |name| {
            word.strip_prefix(name).is_some_and(|end: &str| end.trim_start().trim_start_matches('-').starts_with("%}"))
        };
        let (name, replacement) = match (is_tag("generation"), is_tag("endgeneration")) {
            (true, _) => ("generation", "if true"),
            (_, true) => ("endgeneration", "endif"),
            _ => ("", ""),
        };
        let head = tag.len() - word.len();
        let (space, tail) = (tag.get(..head), word.strip_prefix(name));
        let (Some(space), Some(tail)) = (space, tail) else { break };
        out.extend([before, "{%", space, replacement]);
        rest = tail;
    }
    if out.is_empty() {
        return Cow::Borrowed(source);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Compiles a template; it needs a large stack.
pub fn compile(source: &str) -> Result<Instructions<'_>, Error> {
    check_size(source)?;
    let ast = parse(source, NAME, Default::default(), WHITESPACE)?;
    check_constants(&ast)?;
    let mut generator = CodeGenerator::new(NAME, source);
    generator.compile_stmt(&ast);
    let (instructions, blocks) = generator.finish();
    if !blocks.is_empty() {
        return Err(refused("block"));
    }
    guard(&instructions, source)
}

/// Whether a template's code names a variable, function or attribute.
pub fn mentions(source: &str, name: &str) -> bool {
    let mut tokens = tokenize(source, false, Default::default(), WHITESPACE);
    tokens.any(|token| matches!(token, Ok((Token::Ident(ident), _)) if ident == name))
}

/// Checks how long a template is.
pub fn check_length(source: &str) -> Result<(), Error> {
    if source.len() > MAX_SOURCE { Err(budget::exceeded("is too long")) } else { Ok(()) }
}

fn check_size(source: &str) -> Result<(), Error> {
    check_length(source)?;
    let (mut operators, mut branches) = (0, 0);
    for token in tokenize(source, false, Default::default(), WHITESPACE) {
        match token?.0 {
            Token::Ident(name) if name.len() > MAX_NAME => return Err(budget::exceeded("has a name that is too long")),
            Token::BlockStart | Token::VariableStart => operators = 0,
            Token::Ident("elif") if operators == 0 => branches += 1,
            // A long list of constants is not deep.
            Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Comma | Token::Colon => {}
            _ => operators += 1,
        }
        if operators > MAX_OPERATORS || branches > MAX_BRANCHES {
            return Err(budget::exceeded("contains an expression or condition that is too long"));
        }
    }
    Ok(())
}

/// Replaces instructions. One may become several, so jumps are adjusted.
fn guard<'s>(from: &Instructions<'s>, source: &'s str) -> Result<Instructions<'s>, Error> {
    let mut to = Instructions::new(NAME, source);
    let mut places = Vec::with_capacity(from.len() + 1);
    let all = (0..).map_while(|at| Some((at, from.get(at)?)));
    for (at, instruction) in all {
        places.push(u32::try_from(to.len()).unwrap_or(u32::MAX));
        let line = u16::try_from(from.get_line(at).unwrap_or(0)).unwrap_or(u16::MAX);
        for guarded in replacement(instruction)? {
            to.add_with_line(guarded, line);
        }
    }
    places.push(u32::try_from(to.len()).unwrap_or(u32::MAX));
    for at in 0..u32::try_from(to.len()).unwrap_or(u32::MAX) {
        if let Some(
            Instruction::Iterate(target)
            | Instruction::Jump(target)
            | Instruction::JumpIfFalse(target)
            | Instruction::JumpIfFalseOrPop(target)
            | Instruction::JumpIfTrueOrPop(target)
            | Instruction::BuildMacro(_, target, _),
        ) = to.get_mut(at)
        {
            *target = places.get(*target as usize).copied().unwrap_or(u32::MAX);
        }
    }
    Ok(to)
}

fn replacement<'s>(instruction: &Instruction<'s>) -> Result<Vec<Instruction<'s>>, Error> {
    use Instruction as I;
    let call = |name, count: usize| {
        let count = u16::try_from(count).map_err(|_| budget::exceeded("contains a list that is too long"))?;
        Ok(vec![I::CallFunction(name, Some(count))])
    };
    let then = |mut first: Vec<_>, next| {
        first.push(next);
        Ok(first)
    };
    match instruction {
        I::StringConcat => call("~", 2),
        I::Add => call("+", 2),
        I::Mul => call("*", 2),
        I::Rem => call("%", 2),
        I::Eq => call("==", 2),
        I::Ne => call("!=", 2),
        I::Lt => call("<", 2),
        I::Lte => call("<=", 2),
        I::Gt => call(">", 2),
        I::Gte => call(">=", 2),
        I::In => call("in", 2),
        I::GetItem => call("[]", 2),
        I::Slice => call("[:]", 4),
        I::BuildList(Some(count)) => call("list", *count),
        I::BuildMap(pairs) => call("map", pairs.saturating_mul(2)),
        // The formatter charges what an `Emit` writes.
        I::EmitRaw(text) => Ok(vec![I::LoadConst(Value::from(*text)), I::Emit]),
        I::SetAttr(_) => Ok(vec![I::Swap, I::CallFunction("store", Some(1)), I::Swap, instruction.clone()]),
        I::PushLoop(_) | I::UnpackList(_) | I::FastRecurse | I::CallFunction("loop", Some(1)) => {
            Ok(vec![I::CallFunction(ENTER, Some(1)), instruction.clone()])
        }
        I::CompareAndPreserve(_) => Err(refused("a chain of comparisons")),
        I::UnpackLists(count) => then(call("*args", *count)?, I::UnpackLists(1)),
        I::MergeKwargs(count) => then(call("**kwargs", *count)?, I::MergeKwargs(1)),
        I::CallMethod("changed", _) => Err(refused("changed()")),
        I::PushAutoEscape | I::PopAutoEscape => Err(refused("autoescape")),
        I::CallBlock(_) | I::LoadBlocks | I::FastSuper => Err(refused("extends")),
        I::Include(_) | I::ExportLocals => Err(refused("include or import")),
        I::GetAttr(name) | I::CallMethod(name, _) if is_internal(name) => Err(internal(name)),
        other => Ok(vec![other.clone()]),
    }
}

/// Whether a name refers to internals of Python's objects.
pub fn is_internal(name: &str) -> bool {
    name.starts_with("__") && name.ends_with("__")
}

/// The error for such a name.
pub fn internal(name: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("access to '{name}' is not allowed"))
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::SyntaxError, format!("{what} is not supported in chat templates"))
}
