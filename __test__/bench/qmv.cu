// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The kernel for quantized products on NVIDIA GPUs: its numbers against f64, and its speed. Ends with 1 if a number is wrong.
//
//   nvcc -O3 -std=c++17 -arch=native -o qmv __test__/bench/qmv.cu && ./qmv

#include <cstdint>

#include "../../src/mlx/qmv.cuh"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <type_traits>
#include <vector>

using namespace node_mlx;
using Bf16 = __nv_bfloat16;

#define CHECK(call)                                                        \
  do {                                                                     \
    if (cudaError_t error = (call); error != cudaSuccess) {                \
      std::printf("%s, line %d\n", cudaGetErrorString(error), __LINE__);   \
      std::exit(1);                                                        \
    }                                                                      \
  } while (0)

// Beyond what rounding the result to its dtype explains, as a part of the sum of the products' magnitudes.
constexpr double TOLERANCE = 2e-6;
// More than the GPU's cache has.
constexpr size_t BYTES_IN_TURNS = 400u << 20;
bool failed = false;

template <typename T, Mode MODE, int BITS, int GROUP, int M, int TILES, int WARPS>
__global__ void __launch_bounds__(WARPS * 32)
    product(const uint32_t* w, const void* scales, const T* biases, const T* x, T* y, int n, int k, int rows) {
  using Stored = typename Scale<T, MODE>::Stored;
  qmv<T, MODE, BITS, GROUP, M, TILES, WARPS>(w, static_cast<const Stored*>(scales), biases, x, y, n, k, rows);
}

template <typename T, Mode MODE, int BITS, int GROUP, int TILES, int WARPS>
__global__ void __launch_bounds__(WARPS * 32) gathered(
    const uint32_t* w, const void* scales, const T* biases, const T* x, const uint32_t* indices, T* y, int n, int k, int rows) {
  using Stored = typename Scale<T, MODE>::Stored;
  gather_qmv<T, MODE, BITS, GROUP, TILES, WARPS>(w, static_cast<const Stored*>(scales), biases, x, indices, y, n, k, rows);
}

template <typename T>
T* upload(const std::vector<T>& values) {
  T* copy;
  CHECK(cudaMalloc(&copy, values.size() * sizeof(T)));
  CHECK(cudaMemcpy(copy, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return copy;
}

// A matrix of random weights, on both sides.
template <typename T, Mode MODE, int BITS, int GROUP>
struct Matrix {
  using Stored = typename Scale<T, MODE>::Stored;
  int n, k;
  std::vector<uint32_t> words;
  std::vector<Stored> scales;
  std::vector<T> biases;

  Matrix(int n, int k) : n(n), k(k), words(size_t(n) * k / 32 * BITS), scales(size_t(n) * (k / GROUP)) {
    std::mt19937 random(7);
    auto part = [&] { return float(random() % 1000) / 1000; };
    for (auto& word : words) word = random();
    for (auto& scale : scales) {
      if constexpr (MODE == AFFINE) scale = T(0.01f + 0.02f * part());
      if constexpr (MODE == MXFP4) scale = 120 + random() % 6;
      if constexpr (MODE == NVFP4) scale = 0x20 + random() % 24;
    }
    if (MODE == AFFINE) {
      biases.resize(scales.size());
      for (auto& bias : biases) bias = T(-0.1f * part());
    }
  }

  size_t bytes() const {
    return words.size() * 4 + scales.size() * sizeof(Stored) + biases.size() * sizeof(T);
  }

  double at(int row, int column) const {
    const size_t bit = (size_t(row) * k + column) * BITS, group = size_t(row) * (k / GROUP) + column / GROUP;
    uint64_t two = words[bit / 32];
    if (bit / 32 + 1 < words.size()) two |= uint64_t(words[bit / 32 + 1]) << 32;
    const uint32_t code = two >> (bit % 32) & ((1u << BITS) - 1);
    if constexpr (MODE == AFFINE) return double(float(scales[group])) * code + double(float(biases[group]));
    const int exponent = code >> 1 & 3, mantissa = code & 1;
    const double value = (code & 8 ? -1 : 1) * (exponent ? std::ldexp(1 + mantissa * 0.5, exponent - 1) : mantissa * 0.5);
    const int scale = int(float(scales[group]));
    if (MODE == MXFP4) return value * std::ldexp(1.0, scale - 127);
    return value * std::ldexp(1 + (scale & 7) / 8.0, (scale >> 3) - 7);
  }
};

template <typename T>
std::vector<T> random_x(int rows, int k) {
  std::mt19937 random(11);
  std::vector<T> x(size_t(rows) * k);
  for (auto& value : x) value = T(float(int(random() % 2001) - 1000) / 500);
  return x;
}

// Compares some of the rows of y (rows, n) with x @ matrix.T.
template <typename T, typename M>
void compare(const char* what, const M& matrix, const std::vector<T>& x, const std::vector<T>& y, int rows) {
  double worst = 0;
  for (int row = 0; row < matrix.n; row += matrix.n > 256 ? 37 : 1)
    for (int m = 0; m < rows; ++m) {
      double sum = 0, magnitude = 0;
      for (int column = 0; column < matrix.k; ++column) {
        const double part = matrix.at(row, column) * double(float(x[size_t(m) * matrix.k + column]));
        sum += part;
        magnitude += std::abs(part);
      }
      const double rounding = std::abs(sum) * (std::is_same<T, Bf16>::value ? 1.0 / 256 : 1.0 / 2048);
      const double error = std::abs(double(float(y[size_t(m) * matrix.n + row])) - sum);
      worst = std::max(worst, std::isfinite(error) ? (error - rounding) / magnitude : INFINITY);
    }
  if (worst <= TOLERANCE) return;
  std::printf("WRONG: %s (%d, %d) with %d rows: %.1e\n", what, matrix.n, matrix.k, rows, worst);
  failed = true;
}

template <typename Launch>
double microseconds(Launch launch) {
  constexpr int TIMES = 200;
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t program;
  CHECK(cudaStreamCreate(&stream));
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  for (int i = 0; i < TIMES; ++i) launch(stream, i);
  CHECK(cudaStreamEndCapture(stream, &graph));
  CHECK(cudaGraphInstantiate(&program, graph, 0));
  cudaEvent_t start, end;
  CHECK(cudaEventCreate(&start));
  CHECK(cudaEventCreate(&end));
  float best = INFINITY;
  for (int round = 0; round < 4; ++round) {
    float milliseconds;
    CHECK(cudaEventRecord(start, stream));
    CHECK(cudaGraphLaunch(program, stream));
    CHECK(cudaEventRecord(end, stream));
    CHECK(cudaEventSynchronize(end));
    CHECK(cudaEventElapsedTime(&milliseconds, start, end));
    best = std::min(best, milliseconds);
  }
  return best * 1000 / TIMES;
}

// The numbers of every number of rows, for a matrix whose sizes fit no block.
template <typename T, Mode MODE, int BITS, int GROUP, int M>
void check(const char* what, int n, int k) {
  const Matrix<T, MODE, BITS, GROUP> matrix(n, k);
  const auto x = random_x<T>(M, k);
  auto* w = upload(matrix.words);
  auto* scales = upload(matrix.scales);
  auto* biases = upload(matrix.biases);
  auto* xs = upload(x);
  for (int rows = M / 2 + 1; rows <= M; ++rows)
    for (int tiles = 1; tiles <= 2; ++tiles) {
      std::vector<T> y(size_t(rows) * n);
      T* out = upload(y);
      const int blocks = (n + 16 * tiles - 1) / (16 * tiles);
      if (tiles == 1) product<T, MODE, BITS, GROUP, M, 1, 8><<<blocks, 256>>>(w, scales, biases, xs, out, n, k, rows);
      if (tiles == 2) product<T, MODE, BITS, GROUP, M, 2, 4><<<blocks, 128>>>(w, scales, biases, xs, out, n, k, rows);
      CHECK(cudaMemcpy(y.data(), out, y.size() * sizeof(T), cudaMemcpyDeviceToHost));
      compare(what, matrix, x, y, rows);
      CHECK(cudaFree(out));
    }
  // As two matrices of half the rows each, which experts share.
  const uint32_t order[] = {1, 0, 1};
  Matrix<T, MODE, BITS, GROUP> half = matrix;
  half.n = n / 2;
  auto* indices = upload(std::vector<uint32_t>(order, order + 3));
  std::vector<T> y(size_t(3) * half.n);
  T* out = upload(y);
  gathered<T, MODE, BITS, GROUP, 1, 8>
      <<<dim3((half.n + 15) / 16, 3), 256>>>(w, scales, biases, xs, indices, out, half.n, k, 1);
  CHECK(cudaMemcpy(y.data(), out, y.size() * sizeof(T), cudaMemcpyDeviceToHost));
  const std::vector<T> second(y.begin() + half.n, y.begin() + 2 * half.n);
  compare(what, half, x, second, 1);
  if (half.n * 2 == n) {
    half.words.erase(half.words.begin(), half.words.begin() + half.words.size() / 2);
    half.scales.erase(half.scales.begin(), half.scales.begin() + half.scales.size() / 2);
    half.biases.erase(half.biases.begin(), half.biases.begin() + half.biases.size() / 2);
    compare(what, half, x, std::vector<T>(y.begin() + 2 * half.n, y.end()), 1);
  }
  for (void* buffer : {static_cast<void*>(w), static_cast<void*>(scales), static_cast<void*>(biases),
                       static_cast<void*>(xs), static_cast<void*>(indices), static_cast<void*>(out)})
    CHECK(cudaFree(buffer));
}

template <typename T, Mode MODE, int BITS, int GROUP>
void check_all(const char* what) {
  for (auto [n, k] : {std::pair{100, 4096}, {24, 96 / GROUP * GROUP}, {64, 3 * std::max(GROUP, 32)}})
    if (k > 0) {
      check<T, MODE, BITS, GROUP, 1>(what, n, k);
      check<T, MODE, BITS, GROUP, 2>(what, n, k);
      check<T, MODE, BITS, GROUP, 4>(what, n, k);
      check<T, MODE, BITS, GROUP, 8>(what, n, k);
    }
}

template <int M, int TILES, int WARPS>
void time(int n, int k) {
  const Matrix<Bf16, AFFINE, 4, 64> matrix(n, k);
  const auto x = random_x<Bf16>(M, k);
  const int copies = std::max<size_t>(1, std::min<size_t>(12, BYTES_IN_TURNS / matrix.bytes()));
  std::vector<uint32_t*> w;
  std::vector<Bf16*> scales, biases;
  for (int i = 0; i < copies; ++i) {
    w.push_back(upload(matrix.words));
    scales.push_back(upload(matrix.scales));
    biases.push_back(upload(matrix.biases));
  }
  Bf16 *xs = upload(x), *y = upload(std::vector<Bf16>(size_t(M) * n));
  const double each = microseconds([&](cudaStream_t stream, int i) {
    product<Bf16, AFFINE, 4, 64, M, TILES, WARPS><<<(n + 16 * TILES - 1) / (16 * TILES), WARPS * 32, 0, stream>>>(
        w[i % copies], scales[i % copies], biases[i % copies], xs, y, n, k, M);
  });
  std::printf("(%d, %d), %d rows, %d tiles, %d warps: %.1f us, %.0f GB/s\n", n, k, M, TILES, WARPS, each, matrix.bytes() / each / 1e3);
  for (int i = 0; i < copies; ++i) {
    CHECK(cudaFree(w[i]));
    CHECK(cudaFree(scales[i]));
    CHECK(cudaFree(biases[i]));
  }
  CHECK(cudaFree(xs));
  CHECK(cudaFree(y));
}

int main() {
  cudaDeviceProp device;
  CHECK(cudaGetDeviceProperties(&device, 0));
  std::printf("%s\n", device.name);
  check_all<Bf16, AFFINE, 2, 32>("2 bits, groups of 32");
  check_all<Bf16, AFFINE, 3, 32>("3 bits, groups of 32");
  check_all<Bf16, AFFINE, 4, 32>("4 bits, groups of 32");
  check_all<Bf16, AFFINE, 5, 32>("5 bits, groups of 32");
  check_all<Bf16, AFFINE, 6, 32>("6 bits, groups of 32");
  check_all<Bf16, AFFINE, 8, 32>("8 bits, groups of 32");
  check_all<Bf16, AFFINE, 2, 64>("2 bits, groups of 64");
  check_all<Bf16, AFFINE, 3, 64>("3 bits, groups of 64");
  check_all<Bf16, AFFINE, 4, 64>("4 bits, groups of 64");
  check_all<Bf16, AFFINE, 5, 64>("5 bits, groups of 64");
  check_all<Bf16, AFFINE, 6, 64>("6 bits, groups of 64");
  check_all<Bf16, AFFINE, 8, 64>("8 bits, groups of 64");
  check_all<Bf16, AFFINE, 4, 128>("4 bits, groups of 128");
  check_all<Bf16, AFFINE, 8, 128>("8 bits, groups of 128");
  check_all<Bf16, MXFP4, 4, 32>("mxfp4");
  check_all<Bf16, NVFP4, 4, 16>("nvfp4");
  check_all<__half, AFFINE, 4, 64>("f16, 4 bits, groups of 64");
  check_all<__half, AFFINE, 8, 64>("f16, 8 bits, groups of 64");
  check_all<__half, MXFP4, 4, 32>("f16, mxfp4");
  check_all<__half, NVFP4, 4, 16>("f16, nvfp4");
  if (failed) return 1;
  std::printf("all numbers agree\n");
  for (auto [n, k] : {std::pair{6144, 4096}, {4096, 4096}, {24576, 4096}, {4096, 12288}, {151936, 4096}, {6144, 1024}, {1024, 3072}}) {
    time<1, 1, 8>(n, k);
    time<1, 1, 16>(n, k);
    time<1, 2, 4>(n, k);
    time<1, 2, 8>(n, k);
    time<4, 1, 8>(n, k);
    time<8, 1, 8>(n, k);
  }
}
