// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// CUDA keeps the last error of each thread until `cudaGetLastError` takes it away. MLX 0.32.2 only looks at it, whenever it
// waits, so one failed allocation makes everything fail that comes after. CUDA's runtime is inside libmlx, which does not
// export that function, but its symbol table tells where it is.

#include <cstddef>
#include <cstring>
#include <exception>
#include <fstream>
#include <vector>

#include <elf.h>

#include "guard.h"

namespace {

using GetLastError = int (*)();

template <typename T>
std::vector<T> read(std::ifstream& file, size_t offset, size_t bytes) {
  std::vector<T> items(bytes / sizeof(T));
  file.seekg(offset);
  file.read(reinterpret_cast<char*>(items.data()), items.size() * sizeof(T));
  return items;
}

// The address of `name` in the library at `path`, relative to where it is loaded; 0 if its symbols have been stripped.
size_t find_local(const char* path, const char* name) {
  std::ifstream file(path, std::ios::binary);
  file.exceptions(std::ios::failbit);
  auto header = read<Elf64_Ehdr>(file, 0, sizeof(Elf64_Ehdr)).front();
  auto sections = read<Elf64_Shdr>(file, header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr));
  for (const auto& section : sections) {
    if (section.sh_type != SHT_SYMTAB) {
      continue;
    }
    const auto& strings = sections.at(section.sh_link);
    auto names = read<char>(file, strings.sh_offset, strings.sh_size);
    for (const auto& symbol : read<Elf64_Sym>(file, section.sh_offset, section.sh_size)) {
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && std::strcmp(&names.at(symbol.st_name), name) == 0) {
        return symbol.st_value;
      }
    }
  }
  return 0;
}

// Null if libmlx was not built for CUDA, or if its symbols have been stripped.
GetLastError find_get_last_error() try {
  Dl_info library;
  if (!node_mlx::find_libmlx(library)) {
    return nullptr;
  }
  size_t offset = find_local(library.dli_fname, "cudaGetLastError");
  void* found = static_cast<char*>(library.dli_fbase) + offset;
  return offset != 0 && node_mlx::is_in_libmlx(found) ? reinterpret_cast<GetLastError>(found) : nullptr;
} catch (const std::exception&) {
  return nullptr;
}

} // namespace

// Returns whether CUDA was called. Does nothing for another version.
extern "C" bool node_mlx_forget_cuda_error(const char* version) {
  if (!node_mlx::is_known_version(version)) {
    return false;
  }
  static GetLastError get_last_error = find_get_last_error();
  if (get_last_error == nullptr) {
    return false;
  }
  get_last_error();
  return true;
}
