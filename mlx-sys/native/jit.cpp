// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// MLX compiles a CUDA kernel that is not its own in each process, which takes seconds: it looks for it on disk, but does not
// leave it there. It does so if `get_jit_module` is called with `use_disk_cache` before the kernel runs.

#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <system_error>
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
using FindModule = Module& (*)(Device&, const std::string& name, const Build&, bool use_disk_cache);

// Whether MLX has left a whole kernel: it writes the code and then the kernel's name, without looking whether that worked.
bool is_whole(std::filesystem::path code, const std::string& kernel) {
  std::error_code error;
  bool has_code = std::filesystem::file_size(code, error) > 0 && !error;
  std::ifstream names(code.replace_extension(".txt"));
  std::string line;
  return has_code && std::getline(names, line) && !names.eof() && line.rfind(kernel + '\t', 0) == 0;
}

} // namespace

// Loads the kernel that is to compute `a` from MLX's folder for kernels; compiles it and leaves it there first, if it is not.
// Returns whether it is loaded; MLX compiles it otherwise.
extern "C" bool node_mlx_keep_kernel(mlx_array a, const char* folder, const char* version) try {
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
  std::string kernel = "mlx::core::cu::" + name;
  std::ostringstream unique;
  unique << name << '_' << std::hex << std::hash<std::string>{}(source);
  auto load = [&] {
    module(
        device(primitive->stream().device),
        unique.str(),
        [&] { return std::make_tuple(false, source, std::vector{kernel}); },
        true);
  };
  std::error_code ignored;
  auto code = std::filesystem::path(folder) / (unique.str() + ".ptx");
  if (!is_whole(code, kernel)) {
    std::filesystem::remove(code, ignored);
  }
  try {
    load();
  } catch (const std::exception&) {
    // Not all of the code is there.
    std::filesystem::remove(code, ignored);
    load();
  }
  return true;
} catch (const std::exception&) {
  return false;
}
