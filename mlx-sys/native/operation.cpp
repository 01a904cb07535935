// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Operations that are applied many times: what computes an array, without the array.

#include <memory>
#include <vector>

#include "mlx/c/array.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"
#include "mlx/mlx.h"
#include "mlx/primitives.h"

using namespace mlx::core;

namespace {

using Operation = std::shared_ptr<Primitive>;

} // namespace

extern "C" {

// What is to compute `a`; null if nothing is.
void* node_mlx_operation_of(mlx_array a) {
  const array& computed = mlx_array_get_(a);
  return computed.has_primitive() ? new Operation(computed.primitive_ptr()) : nullptr;
}

void node_mlx_operation_free(void* operation) {
  delete static_cast<Operation*>(operation);
}

// Sets `count` arrays to what the operation makes of other inputs. `shape`: the shapes of the arrays, one after the other, of
// `ndim` axes each.
int node_mlx_operation_apply(
    mlx_array* res,
    size_t count,
    const int* shape,
    const size_t* ndim,
    const mlx_dtype* dtype,
    void* operation,
    const mlx_array* inputs,
    size_t input_count) {
  try {
    std::vector<array> arrays;
    arrays.reserve(input_count);
    for (size_t i = 0; i < input_count; i++) {
      arrays.push_back(mlx_array_get_(inputs[i]));
    }
    std::vector<Shape> shapes;
    std::vector<Dtype> dtypes;
    for (size_t i = 0; i < count; shape += ndim[i], i++) {
      shapes.emplace_back(shape, shape + ndim[i]);
      dtypes.push_back(mlx_dtype_to_cpp(dtype[i]));
    }
    auto results = array::make_arrays(std::move(shapes), dtypes, *static_cast<Operation*>(operation), arrays);
    for (size_t i = 0; i < count; i++) {
      mlx_array_set_(res[i], std::move(results[i]));
    }
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return 1;
  }
}
}
