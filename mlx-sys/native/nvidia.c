// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Stands in for NCCL (-DNCCL) and cuFFT (-DCUFFT), with which the CUDA build of MLX is linked: 0.5 GB for work that spans
// several machines, and for Fourier transforms, which no model uses. Every call fails, and MLX reports that.

#define FAIL(name, status) \
  int name(void) { return status; }

#ifdef NCCL
enum { SYSTEM_ERROR = 2 };
FAIL(ncclAllGather, SYSTEM_ERROR)
FAIL(ncclAllReduce, SYSTEM_ERROR)
FAIL(ncclCommCount, SYSTEM_ERROR)
FAIL(ncclCommInitRank, SYSTEM_ERROR)
FAIL(ncclCommSplit, SYSTEM_ERROR)
FAIL(ncclCommUserRank, SYSTEM_ERROR)
FAIL(ncclGetUniqueId, SYSTEM_ERROR)
FAIL(ncclReduceScatter, SYSTEM_ERROR)
const char* ncclGetErrorString(int status) {
  return "NCCL is not installed";
}
#endif

#ifdef CUFFT
enum { NOT_SUPPORTED = 16 };
FAIL(cufftCreate, NOT_SUPPORTED)
FAIL(cufftDestroy, NOT_SUPPORTED)
FAIL(cufftSetAutoAllocation, NOT_SUPPORTED)
FAIL(cufftSetStream, NOT_SUPPORTED)
FAIL(cufftSetWorkArea, NOT_SUPPORTED)
FAIL(cufftXtExec, NOT_SUPPORTED)
FAIL(cufftXtMakePlanMany, NOT_SUPPORTED)
#endif
