// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What is still to be computed.

#include <string_view>
#include <unordered_set>
#include <vector>

#include "mlx/c/array.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"
#include "mlx/c/vector.h"
#include "mlx/mlx.h"
#include "mlx/primitives.h"

using namespace mlx::core;

// The arrays that the primitive of that name will compute, among those and what they are computed from.
extern "C" int node_mlx_pending(mlx_vector_array* res, const mlx_vector_array arrays, const char* primitive) {
  try {
    std::vector<array> found;
    std::vector<array> queue = mlx_vector_array_get_(arrays);
    std::unordered_set<std::uintptr_t> seen;
    while (!queue.empty()) {
      array a = std::move(queue.back());
      queue.pop_back();
      if (!a.has_primitive() || a.status() != array::Status::unscheduled || !seen.insert(a.id()).second) {
        continue;
      }
      queue.insert(queue.end(), a.inputs().begin(), a.inputs().end());
      if (std::string_view(a.primitive().name()) == primitive) {
        found.push_back(std::move(a));
      }
    }
    mlx_vector_array_set_(*res, std::move(found));
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return 1;
  }
}
