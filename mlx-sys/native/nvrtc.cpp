// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// While NVRTC 13.0 compiles, it handles SIGINT and SIGTERM itself. Afterwards it puts back the functions that handled them,
// but not their flags. Node.js's raises the signal again, in order to end the process, and counts on SA_RESETHAND: without it
// the function is called without end, and the process has to be killed. So NVRTC gets another `signal`, which does nothing.

#include <csignal>
#include <cstdint>
#include <cstring>

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

#if defined(__x86_64__)
constexpr uint32_t JUMP_SLOT = R_X86_64_JUMP_SLOT;
#elif defined(__aarch64__)
constexpr uint32_t JUMP_SLOT = R_AARCH64_JUMP_SLOT;
#else
#error "NVRTC runs on x86-64 and arm64 only"
#endif

using Handler = void (*)(int);
using Signal = Handler (*)(int, Handler);

Handler ignore_request(int, Handler) {
  return SIG_DFL;
}

bool is_nvrtc(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return std::strncmp(slash == nullptr ? path : slash + 1, "libnvrtc.so", 11) == 0;
}

// Makes the library call `ignore_request` instead of `signal`; returns whether it calls `signal` at all.
bool replace_signal(const dl_phdr_info& library) {
  const ElfW(Rela)* slots = nullptr;
  const ElfW(Sym)* symbols = nullptr;
  const char* names = nullptr;
  size_t bytes = 0;
  uintptr_t read_only = 0, read_only_end = 0;
  for (size_t i = 0; i < library.dlpi_phnum; i++) {
    uintptr_t segment = library.dlpi_addr + library.dlpi_phdr[i].p_vaddr;
    if (library.dlpi_phdr[i].p_type == PT_GNU_RELRO) {
      read_only = segment;
      read_only_end = segment + library.dlpi_phdr[i].p_memsz;
    }
    if (library.dlpi_phdr[i].p_type != PT_DYNAMIC) {
      continue;
    }
    auto entry = reinterpret_cast<const ElfW(Dyn)*>(segment);
    for (; entry->d_tag != DT_NULL; entry++) {
      // glibc has made addresses of these.
      switch (entry->d_tag) {
        case DT_JMPREL:
          slots = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
          break;
        case DT_PLTRELSZ:
          bytes = entry->d_un.d_val;
          break;
        case DT_SYMTAB:
          symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr);
          break;
        case DT_STRTAB:
          names = reinterpret_cast<const char*>(entry->d_un.d_ptr);
          break;
      }
    }
  }
  if (slots == nullptr || symbols == nullptr || names == nullptr) {
    return false;
  }
  bool is_found = false;
  for (size_t i = 0; i < bytes / sizeof(*slots); i++) {
    bool is_function = ELF64_R_TYPE(slots[i].r_info) == JUMP_SLOT;
    if (!is_function || std::strcmp(names + symbols[ELF64_R_SYM(slots[i].r_info)].st_name, "signal") != 0) {
      continue;
    }
    uintptr_t slot = library.dlpi_addr + slots[i].r_offset;
    uintptr_t page = slot & ~(static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)) - 1);
    auto protect = [&](int access) {
      return mprotect(reinterpret_cast<void*>(page), slot + sizeof(Signal) - page, access) == 0;
    };
    bool is_read_only = slot >= read_only && slot < read_only_end;
    if (!is_read_only || protect(PROT_READ | PROT_WRITE)) {
      *reinterpret_cast<Signal*>(slot) = ignore_request;
      is_found = true;
    }
    if (is_read_only) {
      protect(PROT_READ);
    }
  }
  return is_found;
}

} // namespace

// Returns how many libraries were found and changed. Any number of calls do what one does.
extern "C" int node_mlx_keep_signals() {
  int count = 0;
#if defined(__GLIBC__)
  dl_iterate_phdr(
      [](dl_phdr_info* library, size_t, void* count) {
        *static_cast<int*>(count) += is_nvrtc(library->dlpi_name) && replace_signal(*library);
        return 0;
      },
      &count);
#endif
  return count;
}
