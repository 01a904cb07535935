// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// The kernel for quantized products on NVIDIA GPUs: its numbers against f64, and its speed. Ends with 1 if a number is wrong.
//
//   nvcc -O3 -std=c++17 -arch=native -o qmv __test__/bench/qmv.cu && ./qmv

#include <cstdint>

#include "../../src/mlx/weights.cuh"
// needs the one above
#include "../../src/mlx/qmv.cuh"
#include "gpu.cuh"

#include <random>
#include <type_traits>

using namespace node_mlx;
using Bf16 = __nv_bfloat16;

// Beyond what rounding the result to its dtype explains, as a part of the sum of the products' magnitudes.
constexpr double TOLERANCE = 2e-6;
// More than the GPU's cache has.
constexpr size_t BYTES_IN_TURNS = 400u << 20;
constexpr int TIMES = 200;
constexpr float EPS = 1e-5f;

template <typename T, Mode MODE, int BITS, int GROUP, int M, int TILES, int WARPS, bool NORMED = false, After AFTER = PLAIN>
__global__ void __launch_bounds__(WARPS * 32) product(
    const uint32_t* w, const void* scales, const T* biases, const T* x, T* y, int n, int k, int rows,
    const T* gains = nullptr, const T* addend = nullptr) {
  using Stored = typename Scale<T, MODE>::Stored;
  qmv<T, MODE, BITS, GROUP, M, TILES, WARPS, NORMED, AFTER>(
      w, static_cast<const Stored*>(scales), biases, x, y, n, k, rows, gains, EPS, addend);
}

constexpr int GEMV_WARPS = 8;

template <typename T, bool NORMED = false, After AFTER = PLAIN>
__global__ void __launch_bounds__(GEMV_WARPS * 32) one_row(
    const uint32_t* w, const T* x, T* y, int n, int k, const T* gains = nullptr, const T* addend = nullptr) {
  dense_gemv<T, GEMV_WARPS, NORMED, AFTER>(reinterpret_cast<const T*>(w), x, y, n, k, gains, EPS, addend);
}

// Blocks for so many products of one row.
inline int blocks_of(int n) {
  return (n + GEMV_WARPS - 1) / GEMV_WARPS;
}

template <typename T, Mode MODE, int BITS, int GROUP, int TILES, int WARPS, After AFTER = PLAIN>
__global__ void __launch_bounds__(WARPS * 32) gathered(
    const uint32_t* w, const void* scales, const T* biases, const T* x, const uint32_t* indices, T* y, int n, int k, int rows) {
  using Stored = typename Scale<T, MODE>::Stored;
  gather_qmv<T, MODE, BITS, GROUP, TILES, WARPS, AFTER>(w, static_cast<const Stored*>(scales), biases, x, indices, y, n, k, rows);
}

// A matrix of random weights, on both sides.
template <typename T, Mode MODE, int BITS, int GROUP>
struct Matrix {
  using Stored = typename Scale<T, MODE>::Stored;
  int n, k;
  std::vector<uint32_t> words;
  std::vector<Stored> scales;
  std::vector<T> biases;

  Matrix(int n, int k) : n(n), k(k), words(size_t(n) * k / 32 * BITS), scales(MODE == DENSE ? 0 : size_t(n) * (k / GROUP)) {
    std::mt19937 random(7);
    auto part = [&] { return float(random() % 1000) / 1000; };
    for (auto& word : words) word = random();
    if (MODE == DENSE)
      for (size_t i = 0; i < 2 * words.size(); ++i) reinterpret_cast<T*>(words.data())[i] = T(part() - 0.5f);
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
    if (MODE == DENSE) return float(reinterpret_cast<const T*>(words.data())[size_t(row) * k + column]);
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

// What a number should be, and the sum of the magnitudes that it is made of.
struct Expected {
  double value, magnitude;
};

// Of row m of x with a row of the matrix.
template <typename T, typename M>
Expected expected(const M& matrix, const std::vector<T>& x, int row, int m) {
  Expected sum = {};
  for (int column = 0; column < matrix.k; ++column) {
    const double part = matrix.at(row, column) * double(float(x[size_t(m) * matrix.k + column]));
    sum = {sum.value + part, sum.magnitude + std::abs(part)};
  }
  return sum;
}

// Compares some of the rows of y (rows, n) with what `expect` says of each.
template <typename T, typename Expect>
void compare_with(const char* what, const char* form, const std::vector<T>& y, int n, int k, int rows, Expect expect) {
  double worst = 0;
  for (int row = 0; row < n; row += n > 256 ? 37 : 1)
    for (int m = 0; m < rows; ++m) {
      const Expected right = expect(row, m);
      if (!std::is_same<T, Bf16>::value && std::abs(right.value) > 6e4) continue;  // f16 ends there
      const double rounding = std::abs(right.value) * (std::is_same<T, Bf16>::value ? 1.0 / 256 : 1.0 / 2048);
      const double error = std::abs(double(float(y[size_t(m) * n + row])) - right.value);
      worst = std::max(worst, std::isfinite(error) ? (error - rounding) / right.magnitude : INFINITY);
    }
  if (worst <= TOLERANCE) return;
  std::printf("WRONG: %s%s (%d, %d) with %d rows: %.1e\n", what, form, n, k, rows, worst);
  failed = true;
}

template <typename T, typename M>
void compare(const char* what, const M& matrix, const std::vector<T>& x, const std::vector<T>& y, int rows) {
  compare_with(what, "", y, matrix.n, matrix.k, rows, [&](int row, int m) { return expected(matrix, x, row, m); });
}

// Products of normalized rows, those that are added to others, and those of which one half gates the other.
template <typename T, Mode MODE, int BITS, int GROUP, int M>
void check_fused(const char* what, int n, int k) {
  const Matrix<T, MODE, BITS, GROUP> matrix(n, k);
  const auto x = random_x<T>(M, k), addend = random_x<T>(M, n);
  const auto gains = random_x<T>(1, k);
  auto* w = upload(matrix.words);
  auto* scales = upload(matrix.scales);
  T *biases = upload(matrix.biases), *xs = upload(x), *all_gains = upload(gains), *all_addends = upload(addend);
  std::vector<T> normed(x), y(size_t(M) * n);
  std::vector<double> factors;
  for (int m = 0; m < M; ++m) {
    double sum = 0;
    for (int column = 0; column < k; ++column) {
      T& value = normed[size_t(m) * k + column];
      sum += double(float(value)) * double(float(value));
      value = T(float(value) * float(gains[column]));
    }
    factors.push_back(1 / std::sqrt(sum / k + EPS));
  }
  T* out = upload(y);
  const auto read = [&] { CHECK(cudaMemcpy(y.data(), out, y.size() * sizeof(T), cudaMemcpyDeviceToHost)); };
  const auto of_normed = [&](int row, int m) {
    const Expected plain = expected(matrix, normed, row, m);
    return Expected{plain.value * factors[m], plain.magnitude * factors[m]};
  };
  // By the kernel for one row, if it serves.
  constexpr bool HAS_ROW = MODE == DENSE && M == 1;
  const int threads = GEMV_WARPS * 32;
  product<T, MODE, BITS, GROUP, M, 1, 8, true><<<(n + 15) / 16, 256>>>(w, scales, biases, xs, out, n, k, M, all_gains);
  read();
  compare_with(what, ", normalized", y, n, k, M, of_normed);
  if constexpr (HAS_ROW) {
    one_row<T, true><<<blocks_of(n), threads>>>(w, xs, out, n, k, all_gains);
    read();
    compare_with(what, ", one row normalized", y, n, k, M, of_normed);
  }
  product<T, MODE, BITS, GROUP, M, 1, 8, false, ADDED>
      <<<(n + 15) / 16, 256>>>(w, scales, biases, xs, out, n, k, M, nullptr, all_addends);
  read();
  const auto of_added = [&](int row, int m) {
    const Expected plain = expected(matrix, x, row, m);
    return Expected{plain.value + double(float(addend[size_t(m) * n + row])), plain.magnitude};
  };
  compare_with(what, ", added", y, n, k, M, of_added);
  if constexpr (HAS_ROW) {
    one_row<T, false, ADDED><<<blocks_of(n), threads>>>(w, xs, out, n, k, nullptr, all_addends);
    read();
    compare_with(what, ", one row added", y, n, k, M, of_added);
  }
  const int half = n / 2;
  product<T, MODE, BITS, GROUP, M, 2, 4, true, SWIGLU>
      <<<(half + 15) / 16, 128>>>(w, scales, biases, xs, out, half, k, M, all_gains);
  read();
  const auto of_gated = [&](int row, int m) {
    const Expected gate = of_normed(row, m), value = of_normed(row + half, m);
    const double silu = gate.value / (1 + std::exp(-gate.value));
    return Expected{silu * value.value, std::abs(silu) * value.magnitude + 1.1 * gate.magnitude * std::abs(value.value)};
  };
  compare_with(what, ", gated", y, half, k, M, of_gated);
  if constexpr (HAS_ROW) {
    one_row<T, true, SWIGLU><<<blocks_of(half), threads>>>(w, xs, out, half, k, all_gains);
    read();
    compare_with(what, ", one row gated", y, half, k, M, of_gated);
  }
  const uint32_t order[] = {1, 0};
  auto* indices = upload(std::vector<uint32_t>(order, order + 2));
  const int quarter = n / 4;
  gathered<T, MODE, BITS, GROUP, 2, 4, SWIGLU>
      <<<dim3((quarter + 15) / 16, 2), 128>>>(w, scales, biases, xs, indices, out, quarter, k, 1);
  read();
  y.erase(y.begin(), y.begin() + quarter);
  compare_with(what, ", gathered and gated", y, quarter, k, 1, [&](int row, int) {
    const Expected gate = expected(matrix, x, row, 0), value = expected(matrix, x, row + quarter, 0);
    const double silu = gate.value / (1 + std::exp(-gate.value));
    return Expected{silu * value.value, std::abs(silu) * value.magnitude + 1.1 * gate.magnitude * std::abs(value.value)};
  });
  for (void* buffer : {static_cast<void*>(w), static_cast<void*>(scales), static_cast<void*>(biases), static_cast<void*>(xs),
                       static_cast<void*>(all_gains), static_cast<void*>(all_addends), static_cast<void*>(indices),
                       static_cast<void*>(out)})
    CHECK(cudaFree(buffer));
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
      check_fused<T, MODE, BITS, GROUP, 1>(what, n, k);
      check_fused<T, MODE, BITS, GROUP, 4>(what, n, k);
      check<T, MODE, BITS, GROUP, 1>(what, n, k);
      check<T, MODE, BITS, GROUP, 2>(what, n, k);
      check<T, MODE, BITS, GROUP, 4>(what, n, k);
      check<T, MODE, BITS, GROUP, 8>(what, n, k);
    }
}

// More copies of a matrix than the cache has room for, and what it is multiplied by.
template <Mode MODE, int BITS, int GROUP>
struct Uploaded {
  static constexpr int ROWS = 4;
  const Matrix<Bf16, MODE, BITS, GROUP> matrix;
  std::vector<uint32_t*> w;
  std::vector<Bf16*> scales, biases;
  Bf16 *x, *y;

  Uploaded(int n, int k) : matrix(n, k) {
    const size_t copies = std::max<size_t>(1, std::min<size_t>(12, BYTES_IN_TURNS / matrix.bytes()));
    for (size_t i = 0; i < copies; ++i) {
      w.push_back(upload(matrix.words));
      scales.push_back(upload(matrix.scales));
      biases.push_back(upload(matrix.biases));
    }
    x = upload(random_x<Bf16>(ROWS, k));
    y = upload(std::vector<Bf16>(size_t(ROWS) * n));
  }
  Uploaded(const Uploaded&) = delete;
  ~Uploaded() {
    for (size_t i = 0; i < w.size(); ++i) {
      CHECK(cudaFree(w[i]));
      CHECK(cudaFree(scales[i]));
      CHECK(cudaFree(biases[i]));
    }
    CHECK(cudaFree(x));
    CHECK(cudaFree(y));
  }

  template <int M, int TILES, int WARPS, bool NORMED = false, After AFTER = PLAIN>
  void time() const {
    const int n = matrix.n, k = matrix.k;
    const int outputs = AFTER == SWIGLU ? n / 2 : n, tile = TILES * (AFTER == SWIGLU ? 8 : 16);
    const double each = microseconds(TIMES, [&](cudaStream_t stream, int i) {
      product<Bf16, MODE, BITS, GROUP, M, TILES, WARPS, NORMED, AFTER>
          <<<(outputs + tile - 1) / tile, WARPS * 32, 0, stream>>>(
              w[i % w.size()], scales[i % w.size()], biases[i % w.size()], x, y, outputs, k, M, x, y);
    });
    CHECK(cudaGetLastError());
    std::printf("(%d, %d) of %d bits, %d rows, %d tiles, %d warps%s%s: %.1f us, %.0f GB/s\n", n, k, BITS, M, TILES, WARPS,
                NORMED ? ", normalized" : "", AFTER == ADDED ? ", added" : AFTER == SWIGLU ? ", gated" : "", each,
                matrix.bytes() / each / 1e3);
  }
};

// The same of the kernel for one row.
template <bool NORMED = false, After AFTER = PLAIN>
void time_row(const Uploaded<DENSE, 16, 128>& uploaded) {
  const auto& [matrix, w, scales, biases, x, y] = uploaded;
  const int n = matrix.n, k = matrix.k, outputs = AFTER == SWIGLU ? n / 2 : n;
  const double each = microseconds(TIMES, [&](cudaStream_t stream, int i) {
    one_row<Bf16, NORMED, AFTER>
        <<<blocks_of(outputs), GEMV_WARPS * 32, 0, stream>>>(w[i % w.size()], x, y, outputs, k, x, y);
  });
  CHECK(cudaGetLastError());
  std::printf("(%d, %d) dense, one row%s%s: %.1f us, %.0f GB/s\n", n, k, NORMED ? ", normalized" : "",
              AFTER == ADDED ? ", added" : AFTER == SWIGLU ? ", gated" : "", each, matrix.bytes() / each / 1e3);
}

template <Mode MODE, int BITS, int GROUP>
void time_all(int n, int k) {
  const Uploaded<MODE, BITS, GROUP> uploaded(n, k);
  uploaded.template time<1, 1, 4>();
  uploaded.template time<1, 1, 8>();
  uploaded.template time<1, 2, 4>();
  uploaded.template time<1, 1, 4, true>();
  uploaded.template time<1, 1, 8, true>();
  uploaded.template time<1, 1, 8, false, ADDED>();
  uploaded.template time<1, 2, 4, true, SWIGLU>();
  uploaded.template time<4, 1, 8>();
  if constexpr (MODE == DENSE) {
    time_row(uploaded);
    time_row<true>(uploaded);
    time_row<false, ADDED>(uploaded);
    time_row<true, SWIGLU>(uploaded);
  }
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
  check_all<Bf16, DENSE, 16, 128>("bf16");
  check_all<__half, DENSE, 16, 128>("f16");
  if (failed) return 1;
  std::printf("all numbers agree\n");
  for (auto [n, k] : {std::pair{6144, 4096}, {4096, 4096}, {24576, 4096}, {4096, 12288}, {151936, 4096}, {4096, 1024}, {1024, 2048},
                      {6144, 1024}, {1024, 3072}}) {
    time_all<AFFINE, 4, 64>(n, k);
    time_all<DENSE, 16, 128>(n, k);
  }
}
