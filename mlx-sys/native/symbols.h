// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Functions of libmlx that it does not export: its symbol table tells where they are.

#pragma once

#include <cstddef>
#include <cstring>
#include <exception>
#include <fstream>
#include <vector>

#include <elf.h>

#include "guard.h"

namespace node_mlx {

template <typename T>
std::vector<T> read_from(std::ifstream& file, size_t offset, size_t bytes) {
  std::vector<T> items(bytes / sizeof(T));
  file.seekg(offset);
  file.read(reinterpret_cast<char*>(items.data()), items.size() * sizeof(T));
  return items;
}

// The address of `name` in the library at `path`, relative to where it is loaded; 0 if its symbols have been stripped.
inline size_t find_local(const char* path, const char* name) {
  std::ifstream file(path, std::ios::binary);
  file.exceptions(std::ios::failbit);
  auto header = read_from<Elf64_Ehdr>(file, 0, sizeof(Elf64_Ehdr)).front();
  auto sections = read_from<Elf64_Shdr>(file, header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr));
  for (const auto& section : sections) {
    if (section.sh_type != SHT_SYMTAB) {
      continue;
    }
    const auto& strings = sections.at(section.sh_link);
    auto names = read_from<char>(file, strings.sh_offset, strings.sh_size);
    for (const auto& symbol : read_from<Elf64_Sym>(file, section.sh_offset, section.sh_size)) {
      if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && std::strcmp(&names.at(symbol.st_name), name) == 0) {
        return symbol.st_value;
      }
    }
  }
  return 0;
}

// The function of libmlx with this (mangled) name; null if libmlx has none, was not built for CUDA, or has been stripped.
template <typename F>
F find_in_libmlx(const char* name) try {
  Dl_info library;
  if (!find_libmlx(library)) {
    return nullptr;
  }
  size_t offset = find_local(library.dli_fname, name);
  void* found = static_cast<char*>(library.dli_fbase) + offset;
  return offset != 0 && is_in_libmlx(found) ? reinterpret_cast<F>(found) : nullptr;
} catch (const std::exception&) {
  return nullptr;
}

} // namespace node_mlx
