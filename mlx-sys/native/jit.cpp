// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// MLX compiles a CUDA kernel that is not its own in each process, which takes seconds: it looks for it on disk, but does not
// leave it there. It does if its function for kernels is asked with another argument, before the kernel runs.

#include <cstring>
#include <exception>
#include <functional>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "guard.h"
#include "mlx/c/array.h"
#include "mlx/c/private/mlx.h"
#include "mlx/fast_primitives.h"
#include "mlx/mlx.h"
#include "symbols.h"

using mlx::core::array;
using mlx::core::fast::CustomKernel;

namespace {

// mlx/backend/cuda/device.h and jit_module.h
struct Device;
struct Module;
using Build = std::function<std::tuple<bool, std::string, std::vector<std::string>>()>;
using FindDevice = Device& (*)(mlx::core::Device);
using FindModule = Module& (*)(Device&, const std::string& name, const Build&, bool keep);

} // namespace

// Compiles the kernel that is to compute `a`, if it is not on disk, and leaves it there. Returns whether it did; MLX will
// compile it if not.
extern "C" bool node_mlx_keep_kernel(mlx_array a, const char* version) try {
  if (!node_mlx::is_known_version(version)) {
    return false;
  }
  static auto device = node_mlx::find_in_libmlx<FindDevice>("_ZN3mlx4core2cu6deviceENS0_6DeviceE");
  static auto module = node_mlx::find_in_libmlx<FindModule>(
      "_ZN3mlx4core2cu14get_jit_moduleERNS1_6DeviceERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
      "RKSt8functionIFSt5tupleIJbS9_St6vectorIS9_SaIS9_EEEEvEEb");
  const array& computed = mlx_array_get_(a);
  if (device == nullptr || module == nullptr || !computed.has_primitive()) {
    return false;
  }
  auto primitive = computed.primitive_ptr();
  // Its class has no type information in every libmlx.
  if (std::strcmp(primitive->name(), "CustomKernel") != 0) {
    return false;
  }
  // Names as in CustomKernel::eval_gpu.
  auto state = static_cast<const CustomKernel&>(*primitive).state();
  const std::string &name = std::get<0>(state), &source = std::get<1>(state);
  std::ostringstream unique;
  unique << name << '_' << std::hex << std::hash<std::string>{}(source);
  module(
      device(primitive->stream().device),
      unique.str(),
      [&] { return std::make_tuple(false, source, std::vector{"mlx::core::cu::" + name}); },
      true);
  return true;
} catch (const std::exception&) {
  return false;
}
