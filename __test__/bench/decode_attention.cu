// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The kernel for one token's attention on NVIDIA GPUs: its numbers against f64, and its speed. Ends with 1 if a number is wrong.
//
//   nvcc -O3 -std=c++17 -arch=native -o decode_attention __test__/bench/decode_attention.cu && ./decode_attention

#include <cstdint>

#include "../../src/mlx/decode_attention.cuh"
#include "gpu.cuh"

#include <random>
#include <type_traits>
#include <utility>

using namespace node_mlx;
using Bf16 = __nv_bfloat16;

// Beyond what rounding the result to its dtype explains, as a part of the largest value.
constexpr double TOLERANCE = 4e-6;
// As many layers in turns as a model has, so that a layer's keys come from where a decode step finds them.
constexpr int LAYERS = 28;

// An array of which `values` has all elements, and of which `strides` and `first` make a view.
template <typename T>
struct View {
  std::vector<T> values;
  int64_t strides[4], first;
  T* copy = nullptr;

  View(std::vector<T> all, std::vector<int64_t> steps, int64_t offset) : values(std::move(all)), first(offset) {
    std::copy(steps.begin(), steps.end(), strides);
    CHECK(cudaMalloc(&copy, values.size() * sizeof(T)));
    CHECK(cudaMemcpy(copy, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  View(View&& other) : values(std::move(other.values)), first(other.first), copy(std::exchange(other.copy, nullptr)) {
    std::copy(other.strides, other.strides + 4, strides);
  }
  ~View() {
    CHECK(cudaFree(copy));
  }

  double at(int64_t a, int64_t b, int64_t c, int64_t d) const {
    return double(float(values[first + a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3]]));
  }
};

template <typename T>
std::vector<T> random_values(size_t count, int seed) {
  std::mt19937 random(seed);
  std::vector<T> values(count);
  for (auto& value : values) value = T(float(int(random() % 2001) - 1000) / 500);
  return values;
}

struct Strides {
  int64_t values[4];
};

template <int D, int DV, int PARTS, int THREADS, int AT_ONCE, typename T>
__global__ void attention(
    const T* queries, const T* keys, const T* values, const T* sinks, T* y, Strides q, Strides k, Strides v, int kv_heads, int count, float scale) {
  decode_attention<D, DV, PARTS, THREADS, AT_ONCE>(queries, keys, values, sinks, y, q.values, k.values, v.values, kv_heads, count, scale);
}

template <int D, int DV, int PARTS, int THREADS, int AT_ONCE, typename T>
void launch(
    const View<T>& q, const View<T>& k, const View<T>& v, const T* sinks, T* y, int batch, int heads, int kv_heads, int count, float scale,
    cudaStream_t stream = nullptr) {
  const auto strides = [](const View<T>& view) {
    Strides all;
    std::copy(view.strides, view.strides + 4, all.values);
    return all;
  };
  attention<D, DV, PARTS, THREADS, AT_ONCE><<<dim3(heads, batch, PARTS), THREADS, 0, stream>>>(
      q.copy + q.first, k.copy + k.first, v.copy + v.first, sinks, y, strides(q), strides(k), strides(v), kv_heads, count, scale);
  CHECK(cudaGetLastError());
}

// How keys and values lie in memory.
enum Layout {
  CACHE,       // rows of a larger buffer
  TOKENS,      // (B, S, heads, D), transposed
  UNALIGNED,   // rows of a larger buffer that begins at an odd element
  TRANSPOSED,  // (B, heads, D, S), transposed
};

template <typename T>
View<T> stored(Layout layout, int batch, int heads, int count, int dims, int seed) {
  const int64_t b = batch, h = heads, s = count + 5, d = dims;
  const int64_t odd = layout == UNALIGNED ? 3 : 0;
  auto values = random_values<T>(b * h * s * d + odd, seed);
  if (layout == TOKENS) return {values, {s * h * d, d, h * d, 1}, 0};
  if (layout == TRANSPOSED) return {values, {h * d * s, d * s, 1, s}, 0};
  return {values, {h * s * d, s * d, d, 1}, odd};
}

template <int D, int DV, int PARTS, int THREADS, int AT_ONCE, typename T>
void check(int batch, int heads, int kv_heads, int count, Layout layout, bool has_sinks, float scale) {
  const auto q = stored<T>(layout == CACHE ? TOKENS : layout, batch, heads, 1, D, 1);
  const auto k = stored<T>(layout, batch, kv_heads, count, D, 2), v = stored<T>(layout, batch, kv_heads, count, DV, 3);
  const View<T> sinks(random_values<T>(heads, 4), {0, 0, 0, 1}, 0);
  const View<T> y(std::vector<T>(size_t(batch) * heads * DV, T(NAN)), {heads * DV, DV, 0, 1}, 0);
  launch<D, DV, PARTS, THREADS, AT_ONCE>(q, k, v, has_sinks ? sinks.copy : nullptr, y.copy, batch, heads, kv_heads, count, scale);
  std::vector<T> results(y.values.size());
  CHECK(cudaMemcpy(results.data(), y.copy, results.size() * sizeof(T), cudaMemcpyDeviceToHost));

  double worst = 0;
  for (int b = 0; b < batch; ++b)
    for (int h = 0; h < heads; ++h) {
      const int kv = h / (heads / kv_heads);
      std::vector<double> weights(count);
      double top = has_sinks ? sinks.at(0, 0, 0, h) : -INFINITY;
      for (int s = 0; s < count; ++s) {
        double score = 0;
        for (int d = 0; d < D; ++d) score += q.at(b, h, 0, d) * k.at(b, kv, s, d);
        weights[s] = score * scale;
        top = std::max(top, weights[s]);
      }
      double total = has_sinks ? std::exp(sinks.at(0, 0, 0, h) - top) : 0;
      for (auto& weight : weights) total += weight = std::exp(weight - top);
      for (int d = 0; d < DV; ++d) {
        double expected = 0;
        for (int s = 0; s < count; ++s) expected += weights[s] / total * v.at(b, kv, s, d);
        const double rounding = std::abs(expected) * (std::is_same<T, Bf16>::value ? 1.0 / 256 : 1.0 / 2048) + 1e-7;
        const double error = std::abs(double(float(results[(size_t(b) * heads + h) * DV + d])) - expected);
        worst = std::max(worst, std::isfinite(error) ? (error - rounding) / 2 : INFINITY);
      }
    }
  if (worst <= TOLERANCE) return;
  std::printf(
      "WRONG: D %d, DV %d, %d parts, %d threads, %d at once, batch %d, %d/%d heads, %d keys, layout %d, sinks %d, scale %g: %.1e\n",
      D, DV, PARTS, THREADS, AT_ONCE, batch, heads, kv_heads, count, int(layout), int(has_sinks), scale, worst);
  failed = true;
}

template <int D, int DV, int PARTS, int THREADS, int AT_ONCE, typename T>
void check_all() {
  for (int count : {1, 7, 64, 255, 600, 2048})
    for (bool has_sinks : {false, true}) {
      check<D, DV, PARTS, THREADS, AT_ONCE, T>(1, 4, 1, count, CACHE, has_sinks, 0.1f);
      // A few keys have nearly all of the weight.
      check<D, DV, PARTS, THREADS, AT_ONCE, T>(1, 2, 2, count, CACHE, has_sinks, 3);
      check<D, DV, PARTS, THREADS, AT_ONCE, T>(2, 8, 1, count, TOKENS, has_sinks, 0.1f);
      check<D, DV, PARTS, THREADS, AT_ONCE, T>(1, 2, 1, count, UNALIGNED, has_sinks, 0.1f);
      check<D, DV, PARTS, THREADS, AT_ONCE, T>(1, 2, 2, count, TRANSPOSED, has_sinks, 0.1f);
    }
}

template <int D, int DV, int PARTS, int THREADS, int AT_ONCE>
void time(int heads, int kv_heads, int count) {
  using T = Bf16;
  std::vector<View<T>> layers;
  for (int i = 0; i < 2 * LAYERS; ++i) layers.push_back(stored<T>(CACHE, 1, kv_heads, count, i % 2 ? DV : D, i));
  const auto q = stored<T>(TOKENS, 1, heads, 1, D, 1);
  const View<T> y(std::vector<T>(size_t(heads) * DV), {0, 0, 0, 1}, 0);
  const double each = microseconds(10 * LAYERS, [&](cudaStream_t stream, int i) {
    const int layer = 2 * (i % LAYERS);
    launch<D, DV, PARTS, THREADS, AT_ONCE, T>(q, layers[layer], layers[layer + 1], nullptr, y.copy, 1, heads, kv_heads, count, 0.1f, stream);
  });
  std::printf("D %d, %d/%d heads, %d keys, %d parts, %d threads, %d at once: %.1f us\n", D, heads, kv_heads, count, PARTS, THREADS, AT_ONCE, each);
}

template <int D, int PARTS, int THREADS, int AT_ONCE>
void time_all() {
  for (int count : {64, 256, 600, 2048})
    for (int heads : {16, 32}) time<D, D, PARTS, THREADS, AT_ONCE>(heads, 8, count);
}

// Those of which Rust makes kernels, and others to compare.
template <int D, int DV, typename T>
void check_forms() {
  check_all<D, DV, 1, 256, 6, T>();
  check_all<D, DV, 2, 256, 6, T>();
  check_all<D, DV, 1, 512, 2, T>();
}

int main() {
  cudaDeviceProp device;
  CHECK(cudaGetDeviceProperties(&device, 0));
  std::printf("%s\n", device.name);
  check_forms<64, 64, Bf16>();
  check_forms<80, 80, Bf16>();
  check_forms<96, 96, Bf16>();
  check_forms<128, 128, Bf16>();
  check_forms<192, 128, Bf16>();
  check_forms<256, 256, Bf16>();
  check_forms<64, 64, __half>();
  check_forms<128, 128, __half>();
  check_forms<256, 256, __half>();
  if (failed) return 1;
  std::printf("all numbers agree\n");
  time_all<64, 1, 256, 6>();
  time_all<64, 2, 256, 6>();
  time_all<128, 1, 256, 4>();
  time_all<128, 1, 256, 6>();
  time_all<128, 1, 256, 8>();
  time_all<128, 1, 512, 2>();
  time_all<128, 1, 512, 3>();
  time_all<128, 2, 256, 4>();
  time_all<128, 2, 256, 6>();
  time_all<128, 2, 256, 8>();
  time_all<128, 2, 512, 2>();
  time_all<128, 2, 512, 3>();
  time_all<128, 4, 256, 6>();
  time_all<256, 1, 256, 6>();
  time_all<256, 2, 256, 6>();
}
