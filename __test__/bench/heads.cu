// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The kernel that normalizes and rotates heads on NVIDIA GPUs: its numbers against f64, and its speed. Ends with 1 if a number
// is wrong.
//
//   nvcc -O3 -std=c++17 -arch=native -o heads __test__/bench/heads.cu && ./heads

#include <cstdint>

#include "../../src/mlx/heads.cuh"
#include "gpu.cuh"

#include <random>
#include <tuple>
#include <type_traits>

using namespace node_mlx;
using Bf16 = __nv_bfloat16;

constexpr float EPS = 1e-6f;

template <typename T, bool TRADITIONAL>
__global__ void rotate(
    const T* qkv, HeadNorm<T> q_norm, HeadNorm<T> k_norm, Turn turn, const int* offset, int length, int heads, int kv_heads,
    int dims, int turned, T* queries, T* keys) {
  rotate_heads<T, TRADITIONAL>(
      qkv, q_norm, k_norm, turn, offset[0], length, heads, kv_heads, dims, turned, queries, keys);
}

template <typename T>
std::vector<T> random_values(size_t count, float from, float to, int seed) {
  std::mt19937 random(seed);
  std::vector<T> values(count);
  for (auto& value : values) value = T(from + (to - from) * float(random() % 10001) / 10000);
  return values;
}

enum Norms { NONE, WEIGHTED, UNWEIGHTED, MIXED };

struct Case {
  int batch, length, heads, kv_heads, dims, turned, offset;
  Norms norms;
  bool has_periods;
  float scale, magnitude;

  void print() const {
    std::printf(
        "(%d, %d), %d and %d heads of %d, %d turned, offset %d, norms %d, periods %d, scale %g, magnitude %g",
        batch, length, heads, kv_heads, dims, turned, offset, norms, has_periods, scale, magnitude);
  }
};

// What a case reads, and what it writes, which begins as NaN.
template <typename T>
struct Data {
  std::vector<T> qkv, q_weight, k_weight, queries, keys;
  std::vector<float> periods;
  const float base = 1e4f;

  explicit Data(const Case& c)
      : qkv(random_values<T>(size_t(c.batch) * c.length * (c.heads + 2 * c.kv_heads) * c.dims, -3, 3, 1)),
        q_weight(random_values<T>(c.dims, 0.5, 2, 2)),
        k_weight(random_values<T>(c.dims, -2, 2, 3)),
        queries(size_t(c.batch) * c.heads * c.length * c.dims, T(NAN)),
        keys(size_t(c.batch) * c.kv_heads * c.length * c.dims, T(NAN)) {
    for (int pair = 0; pair < c.turned / 2; ++pair) {
      const bool still = c.has_periods && pair % 7 == 6;
      periods.push_back(still ? INFINITY : std::pow(base, 2.f * pair / c.turned));
    }
  }
};

template <typename T>
HeadNorm<T> norm_of(const Case& c, const T* weight, bool is_query) {
  const bool exists = c.norms != NONE, weighted = c.norms == WEIGHTED || (c.norms == MIXED && is_query);
  return {exists, weighted ? weight : nullptr, EPS};
}

// Compares the queries or the keys. Five values are rounded to T: after the norm, its weight, the magnitude and the product
// with it, and at the end. In f32, other roundings count too; an angle from a power is as exact as f32 computes it.
template <typename T, bool TRADITIONAL>
void compare(const Case& c, const Data<T>& data, const std::vector<T>& y, bool is_query) {
  const int heads = is_query ? c.heads : c.kv_heads, pairs = c.turned / 2;
  const double rounding = std::is_same<T, Bf16>::value ? 0x1p-8 : std::is_same<T, float>::value ? 0x1p-22 : 0x1p-11;
  const T* weight = norm_of(c, is_query ? data.q_weight.data() : data.k_weight.data(), is_query).weight;
  double worst = 0;
  for (int row = 0; row < c.batch * c.length; ++row)
    for (int head = 0; head < heads; ++head) {
      const size_t all = c.heads + 2 * c.kv_heads, first = is_query ? head : c.heads + head;
      const T* x = data.qkv.data() + (row * all + first) * c.dims;
      const size_t at = row % c.length, batch = row / c.length;
      const T* result = y.data() + ((batch * heads + head) * c.length + at) * c.dims;
      double squares = 0;
      for (int i = 0; i < c.dims; ++i) squares += std::pow(double(float(x[i])), 2);
      const double factor = c.norms == NONE ? 1 : 1 / std::sqrt(squares / c.dims + EPS);
      auto value = [&](int i) {
        return double(float(x[i])) * factor * (weight ? double(float(weight[i])) : 1) * (i < c.turned ? c.magnitude : 1);
      };
      auto check = [&](int i, double expected, double allowed) {
        const double error = std::abs(double(float(result[i])) - expected) / (allowed + 1e-30);
        worst = std::max(worst, std::isfinite(error) ? error : INFINITY);
      };
      for (int pair = 0; pair < pairs; ++pair) {
        const int i = TRADITIONAL ? 2 * pair : pair, j = TRADITIONAL ? i + 1 : i + pairs;
        const float position = c.scale * float(c.offset + int(at));
        const double angle = c.has_periods ? position * (1 / data.periods[pair])
                                           : position * std::pow(double(data.base), -double(pair) / pairs);
        const double a = value(i), b = value(j);
        const double allowed = (std::abs(a) + std::abs(b)) * (5 * rounding + (c.has_periods ? 0 : angle * 4e-7));
        check(i, a * std::cos(angle) - b * std::sin(angle), allowed);
        check(j, a * std::sin(angle) + b * std::cos(angle), allowed);
      }
      for (int i = c.turned; i < c.dims; ++i) check(i, value(i), std::abs(value(i)) * 2 * rounding);
    }
  if (worst <= 1) return;
  std::printf("WRONG by %.1e times what is allowed: %s, %s, ", worst, is_query ? "queries" : "keys",
              TRADITIONAL ? "neighbours" : "halves");
  c.print();
  std::printf(", of %zu bytes\n", sizeof(T));
  failed = true;
}

int threads_of(const Case& c) {
  return 32 * std::min(8, (c.turned / 2 + 31) / 32);
}

template <typename T, bool TRADITIONAL>
void check(const Case& c) {
  Data<T> data(c);
  T *qkv = upload(data.qkv), *q_weight = upload(data.q_weight), *k_weight = upload(data.k_weight);
  T *queries = upload(data.queries), *keys = upload(data.keys);
  float* periods = upload(data.periods);
  int* offset = upload(std::vector<int>{c.offset});
  const Turn turn{c.has_periods ? periods : nullptr, std::log2(data.base), c.scale, c.magnitude};
  const dim3 grid(c.heads + c.kv_heads, c.batch * c.length);
  rotate<T, TRADITIONAL><<<grid, threads_of(c)>>>(
      qkv, norm_of(c, q_weight, true), norm_of(c, k_weight, false), turn, offset, c.length, c.heads, c.kv_heads, c.dims,
      c.turned, queries, keys);
  CHECK(cudaGetLastError());
  CHECK(cudaMemcpy(data.queries.data(), queries, data.queries.size() * sizeof(T), cudaMemcpyDeviceToHost));
  CHECK(cudaMemcpy(data.keys.data(), keys, data.keys.size() * sizeof(T), cudaMemcpyDeviceToHost));
  compare<T, TRADITIONAL>(c, data, data.queries, true);
  compare<T, TRADITIONAL>(c, data, data.keys, false);
  for (void* buffer : {static_cast<void*>(qkv), static_cast<void*>(q_weight), static_cast<void*>(k_weight),
                       static_cast<void*>(queries), static_cast<void*>(keys), static_cast<void*>(periods),
                       static_cast<void*>(offset)})
    CHECK(cudaFree(buffer));
}

// Every form, for heads of one to several warps.
int check_all() {
  int cases = 0;
  for (auto [dims, turned] : {std::pair{128, 128}, {64, 64}, {128, 64}, {96, 96}, {80, 32}, {10, 6}, {2, 2}, {256, 64},
                              {256, 256}, {512, 512}, {640, 600}})
    for (auto [batch, length, offset] :
         std::initializer_list<std::tuple<int, int, int>>{{1, 1, 0}, {1, 1, 3000}, {1, 5, 17}, {2, 4, 700}})
      for (Norms norms : {NONE, WEIGHTED, UNWEIGHTED, MIXED})
        for (bool has_periods : {false, true}) {
          const float scale = has_periods ? 1 : 0.25f;
          for (float magnitude : {1.f, 1.3465736f}) {
            const Case c{batch, length, 3, 2, dims, turned, offset, norms, has_periods, scale, magnitude};
            check<Bf16, false>(c);
            check<Bf16, true>(c);
            check<__half, false>(c);
            check<__half, true>(c);
            check<float, false>(c);
            check<float, true>(c);
            cases += 6;
          }
        }
  return cases;
}

void time(int length) {
  constexpr int TIMES = 200;
  const Case c{1, length, 16, 8, 128, 128, 1000, WEIGHTED, false, 1, 1};
  Data<Bf16> data(c);
  Bf16 *qkv = upload(data.qkv), *q_weight = upload(data.q_weight), *k_weight = upload(data.k_weight);
  Bf16 *queries = upload(data.queries), *keys = upload(data.keys);
  int* offset = upload(std::vector<int>{c.offset});
  const double each = microseconds(TIMES, [&](cudaStream_t stream, int) {
    const Turn turn{nullptr, std::log2(data.base), 1, 1};
    const dim3 grid(c.heads + c.kv_heads, c.length);
    rotate<Bf16, false><<<grid, threads_of(c), 0, stream>>>(
        qkv, norm_of(c, q_weight, true), norm_of(c, k_weight, false), turn, offset, c.length, c.heads, c.kv_heads, c.dims,
        c.turned, queries, keys);
  });
  std::printf("%d and %d heads of %d, %d rows: %.2f us\n", c.heads, c.kv_heads, c.dims, length, each);
}

int main() {
  cudaDeviceProp device;
  CHECK(cudaGetDeviceProperties(&device, 0));
  std::printf("%s\n", device.name);
  const int cases = check_all();
  if (failed) return 1;
  std::printf("all numbers of %d cases agree\n", cases);
  time(1);
  time(8);
}
