// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! What MLX's messages mean: it has no codes.

use crate::error::{Error, GpuFailure};

/// Parts of MLX's messages of failed allocations, in lower case: on the CPU, on NVIDIA GPUs, on Metal.
const OUT_OF_MEMORY: [&str; 6] =
    ["malloc]", "unable to allocate", "bad_alloc", "out of memory", "outofmemory", "insufficient memory"];

/// The same of work that a GPU gave up: what Metal says of a command buffer, which MLX passes on (mlx/backend/metal/device.cpp,
/// with the texts of ml-explore/mlx#3803, jundot/omlx#1387 and ml-explore/mlx-lm#1572), and CUDA's errors after which a process
/// cannot use the GPU any more.
const GPU_FAILURES: [(&str, GpuFailure); 16] = [
    ("gpu timeout error", GpuFailure::Timeout),
    ("callbackerrortimeout", GpuFailure::Timeout),
    ("impacting interactivity", GpuFailure::Interactivity),
    ("impactinginteractivity", GpuFailure::Interactivity),
    ("innocent victim", GpuFailure::Victim),
    ("gpu hang", GpuFailure::Hang),
    ("gpu errors)", GpuFailure::Ignored),
    ("submissionsignored", GpuFailure::Ignored),
    ("gpu address fault", GpuFailure::Lost),
    ("illegal memory access", GpuFailure::Lost),
    ("misaligned address", GpuFailure::Lost),
    ("illegal instruction", GpuFailure::Lost),
    ("device-side assert", GpuFailure::Lost),
    ("the launch timed out and was terminated", GpuFailure::Lost),
    ("unspecified launch failure", GpuFailure::Lost),
    ("uncorrectable ecc error", GpuFailure::Lost),
];

pub fn from_message(message: &str) -> Error {
    // mlx-c ends its messages with the place in its sources, on the machine that built it.
    let place = message.rfind(" at ").filter(|at| message.get(*at..).is_some_and(|place| place.contains(".cpp:")));
    let message = place.and_then(|at| message.get(..at)).unwrap_or(message);
    let lower = message.to_lowercase();
    if OUT_OF_MEMORY.iter().any(|hint| lower.contains(hint)) {
        return Error::OutOfMemory { message: message.to_owned() };
    }
    match GPU_FAILURES.into_iter().find(|(hint, _)| lower.contains(hint)) {
        Some((_, failure)) => Error::GpuFailed { failure, message: message.to_owned() },
        None => Error::internal(format!("MLX: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_allocation_is_recognised_by_its_message() {
        for message in [
            "[malloc] Unable to allocate 1440000000000 bytes. at array.cpp:12",
            "std::bad_alloc",
            "cudaMallocAsync(&buf, size, stream) failed: out of memory",
            "[metal::malloc] Attempting to allocate 9 bytes which is greater than the maximum allowed buffer size of 8 bytes.",
            "[metal::malloc] Resource limit (499000) exceeded.",
            "[METAL] Command buffer execution failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
        ] {
            let error = from_message(message);
            assert_eq!(error.code(), "ERR_OUT_OF_MEMORY", "{message}");
            let others = error.for_others().map(|error| error.to_string());
            assert_eq!(others, message.contains("buffer execution").then(|| error.to_string()));
        }
        assert_eq!(from_message("[matmul] Last dimension").code(), "ERR_INTERNAL");
    }

    #[test]
    fn failures_of_the_gpu_are_told_apart() {
        const FAILED: &str = "[METAL] Command buffer execution failed: ";
        for (message, failure, restart) in [
            ("Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)", "timeout", false),
            ("Caused GPU Hang Error (00000003:kIOGPUCommandBufferCallbackErrorHang)", "hang", false),
            (
                "Impacting Interactivity (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)",
                "interactivity",
                false,
            ),
            (
                "Innocent Victim of GPU Error/Recovery (00000005:kIOGPUCommandBufferCallbackErrorInnocentVictim)",
                "victim",
                false,
            ),
            (
                "Ignored (for causing prior/excessive GPU errors) \
                 (00000004:kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)",
                "ignored",
                true,
            ),
            ("Caused GPU Address Fault Error (0000000b:kIOGPUCommandBufferCallbackErrorPageFault)", "lost", true),
            ("cudaStreamSynchronize(stream) failed: an illegal memory access was encountered", "lost", true),
            ("cudaStreamSynchronize(stream) failed: misaligned address", "lost", true),
        ] {
            let error = from_message(&format!("{FAILED}{message} at /a/b.cpp:12"));
            assert_eq!(error.code(), "ERR_GPU_FAILED", "{message}");
            assert_eq!(error.details(), serde_json::json!({ "failure": failure, "restart": restart }), "{message}");
            let text = error.to_string();
            assert!(text.contains(message) && !text.contains("b.cpp"), "{text}");
            assert_eq!(text.contains("restart the process"), restart, "{text}");
            assert_eq!(error.for_others().map(|error| error.to_string()), Some(text));
        }
    }
}
