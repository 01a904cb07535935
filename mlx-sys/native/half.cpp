// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Off Arm, mlx-c leaves out its half-precision accessors; mlx-rs links them everywhere. Here they hand out bits.

#include <bit>
#include <cstdint>

#include "mlx/c/array.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"

namespace {

template <typename T>
int item_bits(uint16_t* res, mlx_array arr) {
  try {
    *res = std::bit_cast<uint16_t>(mlx_array_get_(arr).item<T>());
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return 1;
  }
}

template <typename T>
const uint16_t* data_bits(mlx_array arr) {
  try {
    return reinterpret_cast<const uint16_t*>(mlx_array_get_(arr).data<T>());
  } catch (std::exception& e) {
    mlx_error(e.what());
    return nullptr;
  }
}

} // namespace

extern "C" {

int mlx_array_item_float16(uint16_t* res, mlx_array arr) {
  return item_bits<mlx::core::float16_t>(res, arr);
}
int mlx_array_item_bfloat16(uint16_t* res, mlx_array arr) {
  return item_bits<mlx::core::bfloat16_t>(res, arr);
}
const uint16_t* mlx_array_data_float16(mlx_array arr) {
  return data_bits<mlx::core::float16_t>(arr);
}
const uint16_t* mlx_array_data_bfloat16(mlx_array arr) {
  return data_bits<mlx::core::bfloat16_t>(arr);
}
}
