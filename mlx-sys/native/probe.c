// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// A Node addon without MLX, which asks NVIDIA's driver whether the GPU works: it exports the problem, or an empty text.
// MLX's build for CUDA takes all memory from the GPU, so without one it does not even compute on the CPU; and a process
// that has loaded it cannot load the build for the CPU any more.

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

enum { OLDEST_CUDA = 13000, NO_DEVICE = 100 };

static const char* find_problem(void) {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == NULL) {
    return dlerror();
  }
  int (*get_version)(int*) = dlsym(driver, "cuDriverGetVersion");
  int (*init)(unsigned) = dlsym(driver, "cuInit");
  int (*count)(int*) = dlsym(driver, "cuDeviceGetCount");
  int (*explain)(int, const char**) = dlsym(driver, "cuGetErrorString");
  if (get_version == NULL || init == NULL || count == NULL || explain == NULL) {
    return "libcuda.so.1 is not NVIDIA's";
  }
  int version = 0;
  if (get_version(&version) == 0 && version < OLDEST_CUDA) {
    return "it is too old for CUDA 13";
  }
  int status = init(0);
  int gpus = 0;
  if (status == 0) {
    status = count(&gpus);
  }
  if (status == 0 && gpus > 0) {
    return "";
  }
  const char* text = NULL;
  explain(status == 0 ? NO_DEVICE : status, &text);
  return text != NULL ? text : "unknown error";
}

// Of Node-API, whose headers one function does not need. SIZE_MAX stands for the text's own length. Weak, because it is
// in the program that loads this library.
__attribute__((weak)) int napi_create_string_utf8(void* env, const char* text, size_t length, void** result);

void* napi_register_module_v1(void* env, void* exports) {
  void* problem = exports;
  napi_create_string_utf8(env, find_problem(), SIZE_MAX, &problem);
  return problem;
}
