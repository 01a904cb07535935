// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Where memory runs out, MLX's allocator for the CPU gives a null pointer, and the operation that asked writes there.
// With this the operation fails, as it does on GPUs, and the process lives. MLX takes no other allocator, so the one
// that it has gets another table of virtual functions, which the Itanium ABI lays out in the order of declaration.

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "guard.h"
#include "mlx/allocator.h"

using mlx::core::allocator::Allocator;
using mlx::core::allocator::Buffer;

namespace {

// Before the functions: the offset to the whole object, and the type.
constexpr size_t HEAD = 2;
// malloc, free, size, make_buffer, release, two destructors.
constexpr size_t FUNCTIONS = 7;

using Malloc = Buffer (*)(Allocator*, size_t);

void* table[HEAD + FUNCTIONS];
Malloc original = nullptr;

Buffer checked_malloc(Allocator* self, size_t size) {
  Buffer buffer = original(self, size);
  if (buffer.ptr() == nullptr && size > 0) {
    throw std::runtime_error("[malloc] Unable to allocate " + std::to_string(size) + " bytes.");
  }
  return buffer;
}

} // namespace

extern "C" const char* node_mlx_version() {
  return mlx::core::version();
}

// Whether `head` starts a vtable of the expected layout: offset 0, then a type and functions that are in libmlx.
extern "C" bool node_mlx_is_allocator_table(void* const* head) {
  return head[0] == nullptr && std::all_of(head + 1, head + HEAD + FUNCTIONS, node_mlx::is_in_libmlx);
}

// Returns whether allocations are checked now. Changes nothing for another version or an unexpected vtable.
extern "C" bool node_mlx_check_allocations(const char* version) {
  if (!node_mlx::is_known_version(version)) {
    return false;
  }
  if (original != nullptr) {
    return true;
  }
  void**& functions = *reinterpret_cast<void***>(&mlx::core::allocator::allocator());
  if (!node_mlx_is_allocator_table(functions - HEAD)) {
    return false;
  }
  std::copy_n(functions - HEAD, HEAD + FUNCTIONS, table);
  original = reinterpret_cast<Malloc>(table[HEAD]);
  table[HEAD] = reinterpret_cast<void*>(checked_malloc);
  functions = table + HEAD;
  return true;
}
