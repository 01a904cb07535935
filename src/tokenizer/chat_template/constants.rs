// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! minijinja evaluates constant expressions at compile time, where no budget applies, so their size
//! is estimated first.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};
use minijinja::{Error, Value};

use super::budget;

const MAX_SIZE: f64 = (1 << 20) as f64;

/// Rejects a template with constant expressions that could become large.
pub fn check_constants(stmt: &Stmt) -> Result<(), Error> {
    let all = |stmts: &[Stmt]| stmts.iter().try_for_each(check_constants);
    match stmt {
        Stmt::Template(template) => all(&template.children),
        Stmt::EmitExpr(emit) => check(&emit.expr),
        Stmt::ForLoop(each) => {
            check(&each.iter)?;
            each.filter_expr.as_ref().map_or(Ok(()), check)?;
            all(&each.body)?;
            all(&each.else_body)
        }
        Stmt::IfCond(cond) => {
            check(&cond.expr)?;
            all(&cond.true_body)?;
            all(&cond.false_body)
        }
        Stmt::WithBlock(with) => {
            with.assignments.iter().try_for_each(|(_, value)| check(value))?;
            all(&with.body)
        }
        Stmt::Set(set) => check(&set.expr),
        Stmt::SetBlock(set) => {
            set.filter.as_ref().map_or(Ok(()), check)?;
            all(&set.body)
        }
        Stmt::FilterBlock(block) => {
            check(&block.filter)?;
            all(&block.body)
        }
        Stmt::Macro(r#macro) => {
            r#macro.defaults.iter().try_for_each(check)?;
            all(&r#macro.body)
        }
        Stmt::CallBlock(block) => {
            block.call.args.iter().try_for_each(check_arg)?;
            all(&block.macro_decl.body)
        }
        Stmt::Do(statement) => statement.call.args.iter().try_for_each(check_arg),
        Stmt::Block(block) => all(&block.body),
        Stmt::AutoEscape(block) => all(&block.body),
        Stmt::Import(import) => check(&import.expr),
        Stmt::FromImport(import) => check(&import.expr),
        Stmt::Extends(extends) => check(&extends.name),
        Stmt::Include(include) => check(&include.name),
        _ => Ok(()),
    }
}

/// An upper bound of a constant.
#[derive(Clone, Copy)]
struct Estimate {
    /// Bytes, if it is a string or a list.
    size: f64,
    /// Its absolute value, if it is a number.
    number: f64,
}

fn check(expr: &Expr) -> Result<(), Error> {
    estimate(expr).map(|_| ())
}

fn check_arg(arg: &CallArg) -> Result<(), Error> {
    match arg {
        CallArg::Pos(expr) | CallArg::PosSplat(expr) => check(expr),
        CallArg::Kwarg(_, expr) | CallArg::KwargSplat(expr) => check(expr),
    }
}

/// Estimates a constant; `None` for an expression that depends on variables.
fn estimate(expr: &Expr) -> Result<Option<Estimate>, Error> {
    let none = |checked: Result<(), Error>| checked.map(|()| None);
    let maybe = |expr: &Option<Expr>| expr.as_ref().map_or(Ok(()), check);
    let small = Estimate { size: 64.0, number: 1.0 };
    match expr {
        Expr::Const(constant) => Ok(Some(of_value(&constant.value))),
        Expr::UnaryOp(op) => estimate(&op.expr),
        Expr::BinOp(op) => {
            let (left, right) = (estimate(&op.left)?, estimate(&op.right)?);
            let (Some(left), Some(right)) = (left, right) else {
                return Ok(None);
            };
            let folded = match op.op {
                BinOpKind::Mul => Estimate {
                    size: (left.size * right.number).max(right.size * left.number),
                    number: left.number * right.number,
                },
                BinOpKind::Pow => Estimate { size: 64.0, number: left.number.max(1.0).powf(right.number) },
                _ => Estimate { size: left.size + right.size, number: left.number + right.number },
            };
            if folded.size > MAX_SIZE {
                return Err(budget::exceeded("contains a constant that is too large"));
            }
            Ok(Some(folded))
        }
        Expr::Compare(compare) => {
            let mut constant = estimate(&compare.expr)?.is_some();
            for op in &compare.ops {
                constant &= estimate(&op.expr)?.is_some();
            }
            Ok(constant.then_some(small))
        }
        Expr::List(list) => many(list.items.iter()),
        Expr::Map(map) => many(map.keys.iter().chain(&map.values)),
        Expr::Slice(slice) => {
            check(&slice.expr)?;
            maybe(&slice.start)?;
            maybe(&slice.stop)?;
            none(maybe(&slice.step))
        }
        Expr::IfExpr(cond) => {
            check(&cond.test_expr)?;
            check(&cond.true_expr)?;
            none(maybe(&cond.false_expr))
        }
        Expr::Filter(filter) => {
            maybe(&filter.expr)?;
            none(filter.args.iter().try_for_each(check_arg))
        }
        Expr::Test(test) => {
            check(&test.expr)?;
            none(test.args.iter().try_for_each(check_arg))
        }
        Expr::GetAttr(get) => none(check(&get.expr)),
        Expr::GetItem(get) => {
            check(&get.expr)?;
            none(check(&get.subscript_expr))
        }
        Expr::Call(call) => {
            check(&call.expr)?;
            none(call.args.iter().try_for_each(check_arg))
        }
        Expr::Var(_) => Ok(None),
    }
}

fn many<'e, 's: 'e>(exprs: impl Iterator<Item = &'e Expr<'s>>) -> Result<Option<Estimate>, Error> {
    let mut size = Some(64.0);
    for expr in exprs {
        let element = estimate(expr)?;
        size = size.zip(element).map(|(size, element)| size + 32.0 + element.size);
    }
    Ok(size.map(|size| Estimate { size, number: 1.0 }))
}

fn of_value(value: &Value) -> Estimate {
    let number = f64::try_from(value.clone()).map_or(1.0, f64::abs);
    let size = value.as_str().map_or(64, |text| text.len() + 64) as f64;
    Estimate { size, number }
}
