// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Takes the tokens that may not come out of the logits.

use half::{bf16, f16};
use mlx_rs::{Array, Dtype};

use crate::{error::Result, grammar::Mask, mlx};

/// The last mask on the device: within a string, the same one serves many tokens.
#[derive(Default)]
pub struct Allowed {
    last: Option<(Mask, Array)>,
}

impl Allowed {
    /// logits: (1, vocabulary) → (1, vocabulary), −∞ where the token may not come.
    pub fn apply(&mut self, mask: &Mask, logits: &Array) -> Result<Array> {
        if let Some(allowed) = mlx::allow(mask.words(), logits) {
            return allowed;
        }
        let fits = |array: &Array| array.shape() == logits.shape() && array.dtype() == logits.dtype();
        let known = self.last.take().filter(|(last, array)| last == mask && fits(array));
        let (_, array) = self.last.insert(known.unwrap_or_else(|| (mask.clone(), to_add(mask, logits))));
        Ok(logits.add(&*array)?)
    }
}

/// Zero for a token that may come, else −∞, in the logits' dtype.
fn to_add(mask: &Mask, logits: &Array) -> Array {
    let count = mlx::dim(logits, 1);
    let size = usize::try_from(count).unwrap_or(0);
    let shape = [1, count];
    match logits.dtype() {
        Dtype::Bfloat16 => Array::from_slice(&mask.choose(size, bf16::ZERO, bf16::NEG_INFINITY), &shape),
        Dtype::Float16 => Array::from_slice(&mask.choose(size, f16::ZERO, f16::NEG_INFINITY), &shape),
        _ => Array::from_slice(&mask.choose(size, 0.0, f32::NEG_INFINITY), &shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_tokens_have_no_logit() {
        mlx::choose_backend(Some(mlx::Backend::Cpu)).unwrap();
        let logits = Array::from_slice(&[1.5_f32, -2.0, 3.0, 0.5], &[1, 4]);
        let mut allowed = Allowed::default();
        let (mut first, mut second) = (Mask::all(4), Mask::all(3));
        first.forbid(2);
        second.forbid(0);
        let lowest = f32::NEG_INFINITY;
        for (mask, expected) in [
            (&first, [1.5, -2.0, lowest, 0.5]),
            (&first, [1.5, -2.0, lowest, 0.5]),
            // An id that the mask does not know.
            (&second, [lowest, -2.0, 3.0, lowest]),
            (&first, [1.5, -2.0, lowest, 0.5]),
        ] {
            for dtype in [Dtype::Float32, Dtype::Bfloat16, Dtype::Float16] {
                let masked = allowed.apply(mask, &logits.as_dtype(dtype).unwrap()).unwrap();
                assert_eq!(masked.dtype(), dtype);
                assert_eq!(masked.as_dtype(Dtype::Float32).unwrap().to_vec_exact::<f32>().unwrap(), expected);
            }
        }
    }
}
