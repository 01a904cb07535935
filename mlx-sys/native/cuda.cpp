// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// CUDA keeps the last error of each thread until `cudaGetLastError` takes it away. MLX 0.32.2 only looks at it, whenever it
// waits, so one failed allocation makes everything fail that comes after. CUDA's runtime is inside libmlx, which does not
// export that function.

#include "guard.h"
#include "symbols.h"

// Returns whether CUDA was called. Does nothing for another version.
extern "C" bool node_mlx_forget_cuda_error(const char* version) {
  if (!node_mlx::is_known_version(version)) {
    return false;
  }
  static auto get_last_error = node_mlx::find_in_libmlx<int (*)()>("cudaGetLastError");
  if (get_last_error == nullptr) {
    return false;
  }
  get_last_error();
  return true;
}
