// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Where memory runs out, MLX's allocator for the CPU gives a null pointer, and the operation that asked writes there.
// With this the operation fails, as it does on GPUs, and the process lives. MLX takes no other allocator, so the one
// that it has gets another table of virtual functions, which the Itanium ABI lays out in the order of declaration.

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

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

extern "C" void node_mlx_check_allocations() {
  if (original != nullptr) {
    return;
  }
  void**& functions = *reinterpret_cast<void***>(&mlx::core::allocator::allocator());
  std::copy_n(functions - HEAD, HEAD + FUNCTIONS, table);
  original = reinterpret_cast<Malloc>(table[HEAD]);
  table[HEAD] = reinterpret_cast<void*>(checked_malloc);
  functions = table + HEAD;
}
