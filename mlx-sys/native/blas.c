// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Stands in for the reference BLAS and LAPACK of MLX's Linux CPU wheel and hands every call to OpenBLAS, whose
// symbols carry the prefix scipy_. Each function is one jump, so prototypes do not matter. The list is what libmlx
// imports; docs/decisions/mlx-sys.md has the figures.

#if defined(__x86_64__)
#define JUMP(to) "jmp " to "@PLT\n"
#elif defined(__aarch64__)
#define JUMP(to) "b " to "\n"
#endif

#define FORWARD(name)                                   \
  __asm__(".text\n.globl " #name "\n.type " #name       \
          ", %function\n" #name ":\n" JUMP("scipy_" #name) \
          ".size " #name ", . - " #name "\n");

#ifdef BLAS
FORWARD(cblas_sgemm)
FORWARD(cblas_dgemm)
FORWARD(cblas_cgemm)
#endif

#ifdef LAPACK
FORWARD(sgetrf_) FORWARD(dgetrf_)
FORWARD(sgetri_) FORWARD(dgetri_)
FORWARD(sgeqrf_) FORWARD(dgeqrf_)
FORWARD(sorgqr_) FORWARD(dorgqr_)
FORWARD(spotrf_) FORWARD(dpotrf_)
FORWARD(strtri_) FORWARD(dtrtri_)
FORWARD(sgeev_) FORWARD(dgeev_) FORWARD(cgeev_)
FORWARD(sgesdd_) FORWARD(dgesdd_) FORWARD(cgesdd_)
FORWARD(ssyevd_) FORWARD(dsyevd_) FORWARD(cheevd_)
#endif

__asm__(".section .note.GNU-stack,\"\",%progbits");
