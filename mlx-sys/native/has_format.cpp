// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Compiles where the C++ library has <format>.

#include <format>
