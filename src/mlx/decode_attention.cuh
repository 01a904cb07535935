// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The attention of one token for each sequence on NVIDIA GPUs. MLX compiles this when it is first needed
// (decode_attention.rs); docs/decisions/nvidia.md says why it is ours.

#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace node_mlx {

constexpr float LOG2_E = 1.44269504f;
// Below every score, but finite: the difference of two is a number.
constexpr float LOWEST = -3.402823466e38f;

__device__ inline float2 to_floats(const __nv_bfloat16*, uint32_t pair) {
  return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000));
}
__device__ inline float2 to_floats(const __half*, uint32_t pair) {
  return __half22float2(reinterpret_cast<const __half2&>(pair));
}
__device__ inline void store(__nv_bfloat16* to, float value) {
  *to = __float2bfloat16(value);
}
__device__ inline void store(__half* to, float value) {
  *to = __float2half(value);
}

// The rows of a head.
template <typename T>
struct Rows {
  const T* first;
  int64_t row_stride, stride;

  // Whether every eighth value can be the first of a load.
  __device__ bool aligned() const {
    return stride == 1 && row_stride % 8 == 0 && reinterpret_cast<uintptr_t>(first) % 16 == 0;
  }

  // Reads eight values.
  template <bool ALIGNED>
  __device__ uint4 load(int row, int at) const {
    const T* from = first + row * row_stride + at * stride;
    if constexpr (ALIGNED) {
      return __ldg(reinterpret_cast<const uint4*>(from));
    } else {
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const auto* low = reinterpret_cast<const uint16_t*>(from + 2 * i * stride);
        words[i] = low[0] | uint32_t(low[stride]) << 16;
      }
      return make_uint4(words[0], words[1], words[2], words[3]);
    }
  }
};

template <typename T>
__device__ void unpack(uint4 eight, float* to) {
  const uint32_t words[4] = {eight.x, eight.y, eight.z, eight.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = to_floats(static_cast<const T*>(nullptr), words[i]);
    to[2 * i] = pair.x;
    to[2 * i + 1] = pair.y;
  }
}

template <int LANES>
__device__ float sum_over(float value) {
#pragma unroll
  for (int offset = LANES / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(~0u, value, offset);
  return value;
}

// What a block shares, and how it shares its work.
template <int D, int DIMS, int THREADS>
struct Block {
  static constexpr int LANES = D > 128 || DIMS > 128 ? 16 : 8;  // for a key
  static constexpr int GROUPS = THREADS / LANES;
  static constexpr int K = (D / 8 + LANES - 1) / LANES, V = (DIMS / 8 + LANES - 1) / LANES;  // loads of a lane
  static_assert(D % 8 == 0 && DIMS % 8 == 0 && K <= 2 && V <= 2);

  float tops[GROUPS], totals[GROUPS];
  // Eight more for each, so that four lanes read from different banks.
  float parts[GROUPS][DIMS + 8];
};

// y = softmax(query @ keys.T * scale) @ values, for DIMS of the values' dimensions.
//
// A few lanes share a key, and each of these groups has its own softmax until all keys are read: nothing waits for what other
// warps read. It takes AT_ONCE keys at a time, and asks for the next ones before it adds up the values. `sink`: a score without
// a value; here all scores are exponents of two.
template <int AT_ONCE, bool ALIGNED, int D, int DIMS, int THREADS, typename T>
__device__ void attend(
    Block<D, DIMS, THREADS>& block, Rows<T> query, Rows<T> keys, Rows<T> values, T* y, int count, float scale, float sink) {
  using B = Block<D, DIMS, THREADS>;
  constexpr int LANES = B::LANES, GROUPS = B::GROUPS, K = B::K, V = B::V;
  const int warp = threadIdx.x / 32, group = threadIdx.x / LANES, lane = threadIdx.x % LANES;
  uint4 k[AT_ONCE][K], v[AT_ONCE][V];
  float q[K][8], sums[V][8] = {}, top = LOWEST, total = 0;

  const auto load_keys = [&](int first) {
#pragma unroll
    for (int u = 0; u < AT_ONCE; ++u)
#pragma unroll
      for (int c = 0; c < K; ++c) {
        const int key = first + u * GROUPS + group, at = (c * LANES + lane) * 8;
        if (key < count && at < D) k[u][c] = keys.template load<ALIGNED>(key, at);
      }
  };
  load_keys(0);
#pragma unroll
  for (int c = 0; c < K; ++c) {
    const int at = (c * LANES + lane) * 8;
    if (at < D) unpack<T>(query.template load<ALIGNED>(0, at), q[c]);
#pragma unroll
    for (int i = 0; i < 8; ++i) q[c][i] *= scale * LOG2_E;
  }

  // All lanes of a warp take part, also those without a key.
  for (int first = 0; first + warp * (32 / LANES) < count; first += AT_ONCE * GROUPS) {
#pragma unroll
    for (int u = 0; u < AT_ONCE; ++u)
#pragma unroll
      for (int c = 0; c < V; ++c) {
        const int key = first + u * GROUPS + group, at = (c * LANES + lane) * 8;
        if (key < count && at < DIMS) v[u][c] = values.template load<ALIGNED>(key, at);
      }
    float scores[AT_ONCE] = {};
#pragma unroll
    for (int u = 0; u < AT_ONCE; ++u)
#pragma unroll
      for (int c = 0; c < K; ++c)
        if (first + u * GROUPS + group < count && (c * LANES + lane) * 8 < D) {
          float key[8];
          unpack<T>(k[u][c], key);
#pragma unroll
          for (int i = 0; i < 8; ++i) scores[u] += q[c][i] * key[i];
        }
    load_keys(first + AT_ONCE * GROUPS);

    const float before = top;
#pragma unroll
    for (int u = 0; u < AT_ONCE; ++u) {
      scores[u] = sum_over<LANES>(scores[u]);
      if (first + u * GROUPS + group < count) top = fmaxf(top, scores[u]);
    }
    const float factor = exp2f(before - top);
    total *= factor;
#pragma unroll
    for (int c = 0; c < V; ++c)
#pragma unroll
      for (int i = 0; i < 8; ++i) sums[c][i] *= factor;
#pragma unroll
    for (int u = 0; u < AT_ONCE; ++u)
      if (first + u * GROUPS + group < count) {
        const float weight = exp2f(scores[u] - top);
        total += weight;
#pragma unroll
        for (int c = 0; c < V; ++c)
          if ((c * LANES + lane) * 8 < DIMS) {
            float value[8];
            unpack<T>(v[u][c], value);
#pragma unroll
            for (int i = 0; i < 8; ++i) sums[c][i] += weight * value[i];
          }
      }
  }

  if (lane == 0) {
    block.tops[group] = top;
    block.totals[group] = total;
  }
  __syncthreads();
  float highest = sink, all = 0;
#pragma unroll
  for (int other = threadIdx.x % 32; other < GROUPS; other += 32) highest = fmaxf(highest, block.tops[other]);
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, offset));
#pragma unroll
  for (int other = threadIdx.x % 32; other < GROUPS; other += 32)
    all += block.totals[other] * exp2f(block.tops[other] - highest);
  const float factor = exp2f(top - highest) / (sum_over<32>(all) + exp2f(sink - highest));
#pragma unroll
  for (int c = 0; c < V; ++c) {
    const int at = (c * LANES + lane) * 8;
    if (at < DIMS)
#pragma unroll
      for (int i = 0; i < 8; ++i) block.parts[group][at + i] = sums[c][i] * factor;
  }
  __syncthreads();
  for (int at = warp * 8; at < DIMS; at += THREADS / 32 * 8) {
    const int dim = at + threadIdx.x % 8;
    float sum = 0;
#pragma unroll
    for (int other = 0; other < GROUPS; other += 4) sum += block.parts[other + threadIdx.x % 32 / 8][dim];
    sum += __shfl_xor_sync(~0u, sum, 8);
    sum += __shfl_xor_sync(~0u, sum, 16);
    if (threadIdx.x % 32 < 8) store(y + dim, sum);
  }
}

// queries: (B, H, 1, D), keys: (B, KV heads, count, D), values: (B, KV heads, count, DV), each with its four strides;
// sinks: (H,) or null; y: (B, H, 1, DV). For a grid of H, B and PARTS blocks, each of which computes a part of a row.
template <int D, int DV, int PARTS, int THREADS, int AT_ONCE, typename T>
__device__ void decode_attention(
    const T* queries,
    const T* keys,
    const T* values,
    const T* sinks,
    T* y,
    const int64_t* query_strides,
    const int64_t* key_strides,
    const int64_t* value_strides,
    int kv_heads,
    int count,
    float scale) {
  constexpr int DIMS = DV / PARTS;
  static_assert(DIMS * PARTS == DV);
  __shared__ Block<D, DIMS, THREADS> block;
  const int head = blockIdx.x, heads = gridDim.x, batch = blockIdx.y, dim = blockIdx.z * DIMS;
  const int kv_head = head / (heads / kv_heads);
  const auto rows = [&](const T* first, const int64_t* strides, int row_head, int column) {
    first += batch * strides[0] + row_head * strides[1] + column * strides[3];
    return Rows<T>{first, strides[2], strides[3]};
  };
  Rows<T> query = rows(queries, query_strides, head, 0);
  query.row_stride = 0;
  const Rows<T> own_keys = rows(keys, key_strides, kv_head, 0), own_values = rows(values, value_strides, kv_head, dim);
  const float sink = sinks == nullptr ? __uint_as_float(0xff800000) : float(sinks[head]) * LOG2_E;
  y += (int64_t(batch) * heads + head) * DV + dim;
  if (query.aligned() && own_keys.aligned() && own_values.aligned()) {
    attend<AT_ONCE, true>(block, query, own_keys, own_values, y, count, scale, sink);
  } else {
    attend<1, false>(block, query, own_keys, own_values, y, count, scale, sink);
  }
}

}  // namespace node_mlx
