// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Queries and keys of a few rows, normalized and rotated, on NVIDIA GPUs. MLX compiles this when it is first needed
// (heads.rs). Values are rounded where MLX's own operations, one after the other, round them.

#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace node_mlx {

// An RMS norm of a head, if it exists; `weight` may be null.
template <typename T>
struct HeadNorm {
  bool exists;
  const T* weight;
  float eps;
};

// By how much pairs of features turn from one position, which counts `scale`, to the next: for each pair by the inverse of
// its period, or, where `periods` is null, by a power of a base.
struct Turn {
  const float* periods;
  float log2_base;
  float scale;
  // What features are multiplied by before they turn.
  float magnitude;

  __device__ float angle(int pair, int pairs, int position) const {
    const float part = float(pair) / float(pairs);
    const float frequency = periods == nullptr ? exp2f(-part * log2_base) : 1 / periods[pair];
    return scale * float(position) * frequency;
  }
};

// qkv (B, L, (H + 2 * KV heads) * D) -> queries (B, H, L, D), keys (B, KV heads, L, D), of whose D features the first `turned`
// turn: feature pairs are neighbours, if TRADITIONAL, or one of the first and one of the second half. `offset`: the position
// of the first row. A block has the head blockIdx.x of queries and keys, in row blockIdx.y of B * L, and whole warps.
template <typename T, bool TRADITIONAL>
__device__ void rotate_heads(
    const T* __restrict__ qkv,
    HeadNorm<T> q_norm,
    HeadNorm<T> k_norm,
    Turn turn,
    int offset,
    int length,
    int heads,
    int kv_heads,
    int dims,
    int turned,
    T* __restrict__ queries,
    T* __restrict__ keys) {
  const int batch = blockIdx.y / length, at = blockIdx.y % length;
  const bool is_query = blockIdx.x < heads;
  const int head = is_query ? batch * heads + blockIdx.x : batch * kv_heads + blockIdx.x - heads;
  const T* x = qkv + (int64_t(blockIdx.y) * (heads + 2 * kv_heads) + blockIdx.x) * dims;
  T* y = (is_query ? queries : keys) + (int64_t(head) * length + at) * dims;
  const HeadNorm<T> norm = is_query ? q_norm : k_norm;

  float factor = 1;
  if (norm.exists) {
    // Each warp adds up the whole head, so that none waits for another, and in the order of MLX's kernel.
    constexpr int COUNT = 16 / sizeof(T);
    float total = 0;
    for (int first = 0; first < dims; first += 32 * COUNT) {
      float sum = 0;
#pragma unroll
      for (int j = 0; j < COUNT; ++j) {
        const int i = first + threadIdx.x % 32 * COUNT + j;
        const float value = i < dims ? float(x[i]) : 0;
        sum += value * value;
      }
#pragma unroll
      for (int mask = 16; mask > 0; mask /= 2) sum += __shfl_xor_sync(~0u, sum, mask);
      total += sum;
    }
    factor = rsqrtf(total / dims + norm.eps);
  }
  auto normalized = [&](int i) {
    T value = x[i];
    if (norm.exists) value = T(float(value) * factor);
    if (norm.weight != nullptr) value = T(float(norm.weight[i]) * float(value));
    return value;
  };

  const int pairs = turned / 2;
  for (int pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
    const int i = TRADITIONAL ? 2 * pair : pair, j = TRADITIONAL ? i + 1 : i + pairs;
    const float angle = turn.angle(pair, pairs, offset + at), cosine = cosf(angle), sine = sinf(angle);
    float a = float(normalized(i)), b = float(normalized(j));
    if (turn.magnitude != 1) {
      const float magnitude = float(T(turn.magnitude));
      a = float(T(a * magnitude));
      b = float(T(b * magnitude));
    }
    y[i] = T(a * cosine - b * sine);
    y[j] = T(a * sine + b * cosine);
  }
  for (int i = turned + threadIdx.x; i < dims; i += blockDim.x) y[i] = normalized(i);
}

}  // namespace node_mlx
