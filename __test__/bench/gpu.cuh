// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// What the programs that check and time kernels on an NVIDIA GPU share.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define CHECK(call)                                                        \
  do {                                                                     \
    if (cudaError_t error = (call); error != cudaSuccess) {                \
      std::printf("%s, line %d\n", cudaGetErrorString(error), __LINE__);   \
      std::exit(1);                                                        \
    }                                                                      \
  } while (0)

// Whether a number was wrong.
inline bool failed = false;

template <typename T>
T* upload(const std::vector<T>& values) {
  T* copy;
  CHECK(cudaMalloc(&copy, values.size() * sizeof(T)));
  CHECK(cudaMemcpy(copy, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return copy;
}

// How long each of some launches takes, in the best of four rounds. launch: (stream, index)
template <typename Launch>
double microseconds(int times, Launch launch) {
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t program;
  CHECK(cudaStreamCreate(&stream));
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  for (int i = 0; i < times; ++i) launch(stream, i);
  CHECK(cudaStreamEndCapture(stream, &graph));
  CHECK(cudaGraphInstantiate(&program, graph, 0));
  cudaEvent_t start, end;
  CHECK(cudaEventCreate(&start));
  CHECK(cudaEventCreate(&end));
  float best = INFINITY;
  for (int round = 0; round < 4; ++round) {
    float milliseconds;
    CHECK(cudaEventRecord(start, stream));
    CHECK(cudaGraphLaunch(program, stream));
    CHECK(cudaEventRecord(end, stream));
    CHECK(cudaEventSynchronize(end));
    CHECK(cudaEventElapsedTime(&milliseconds, start, end));
    best = std::min(best, milliseconds);
  }
  CHECK(cudaEventDestroy(start));
  CHECK(cudaEventDestroy(end));
  CHECK(cudaGraphExecDestroy(program));
  CHECK(cudaGraphDestroy(graph));
  CHECK(cudaStreamDestroy(stream));
  return best * 1000 / times;
}
