// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// allocator.cpp, cuda.cpp and jit.cpp depend on internals of MLX that its headers do not guarantee. libmlx is a shared library
// and may be replaced after the build, so they check its version at run time as well.

#pragma once

#include <cstring>

#include <dlfcn.h>

#include "mlx/version.h"

static_assert(
    MLX_VERSION_NUMERIC == 32002,
    "allocator.cpp, cuda.cpp and jit.cpp depend on internals of MLX 0.32.2; compare them with the sources of this version first");

namespace node_mlx {

#define NODE_MLX_TEXT(number) #number
#define NODE_MLX_VERSION(major, minor, patch) \
  NODE_MLX_TEXT(major) "." NODE_MLX_TEXT(minor) "." NODE_MLX_TEXT(patch)

// Whether this is exactly the version compiled against; development builds have a suffix.
inline bool is_known_version(const char* version) {
  constexpr const char* KNOWN = NODE_MLX_VERSION(MLX_VERSION_MAJOR, MLX_VERSION_MINOR, MLX_VERSION_PATCH);
  return version != nullptr && std::strcmp(version, KNOWN) == 0;
}

// Finds the library that contains an address.
inline bool find_library(const void* address, Dl_info& library) {
  return address != nullptr && dladdr(address, &library) != 0;
}

inline bool find_libmlx(Dl_info& library) {
  return find_library(reinterpret_cast<const void*>(&mlx::core::version), library);
}

inline bool is_in_libmlx(const void* address) {
  Dl_info own, libmlx;
  return find_library(address, own) && find_libmlx(libmlx) && own.dli_fbase == libmlx.dli_fbase;
}

} // namespace node_mlx
