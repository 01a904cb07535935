// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Operations on the CPU whose kernels are the caller's.

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "mlx/backend/cpu/encoder.h"
#include "mlx/c/array.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"
#include "mlx/mlx.h"
#include "mlx/primitives.h"

using namespace mlx::core;

extern "C" {

// More axes than any input has.
constexpr size_t NODE_MLX_MAX_AXES = 8;

// An input: elements in the order of its strides, of which the last is 1. Shape and strides are in place, as vectors would
// be most of what an operation allocates.
struct node_mlx_input {
  const void* data;
  size_t ndim;
  int32_t shape[NODE_MLX_MAX_AXES];
  int64_t strides[NODE_MLX_MAX_AXES];
  size_t itemsize;
  // Whether it has to be copied row by row first.
  bool scattered;
};

// Writes `output`, row by row.
using node_mlx_kernel = void (*)(void* state, const node_mlx_input* inputs, size_t count, float* output, size_t size);
using node_mlx_free = void (*)(void* state);
}

namespace {

// Whether each row's elements follow each other, and no axis is read backwards.
bool has_rows(const array& a) {
  const auto& strides = a.strides();
  return (a.ndim() == 0 || a.shape().back() == 1 || strides.back() == 1) &&
      std::all_of(strides.begin(), strides.end(), [](int64_t stride) { return stride >= 0; });
}

// What a kernel reads. MLX keeps the buffers of inputs and outputs until the tasks of an evaluation are done.
node_mlx_input view(const array& a, bool strided) {
  node_mlx_input input{a.data<char>(), a.ndim(), {}, {}, a.itemsize(), false};
  std::copy(a.shape().begin(), a.shape().end(), input.shape);
  std::copy(a.strides().begin(), a.strides().end(), input.strides);
  input.scattered = !a.flags().row_contiguous && !(strided && has_rows(a));
  return input;
}

// Copies the elements row by row, and refers to the copy.
void make_contiguous(node_mlx_input& input, std::vector<char>& copy) {
  size_t size = 1;
  for (size_t axis = 0; axis < input.ndim; axis++) {
    size *= input.shape[axis];
  }
  copy.resize(size * input.itemsize);
  auto data = static_cast<const char*>(input.data);
  int32_t index[NODE_MLX_MAX_AXES] = {};
  for (size_t i = 0; i < size; i++) {
    int64_t at = 0;
    for (size_t axis = 0; axis < input.ndim; axis++) {
      at += index[axis] * input.strides[axis];
    }
    std::memcpy(copy.data() + i * input.itemsize, data + at * static_cast<int64_t>(input.itemsize), input.itemsize);
    for (size_t axis = input.ndim; axis-- > 0 && ++index[axis] == input.shape[axis];) {
      index[axis] = 0;
    }
  }
  int64_t stride = 1;
  for (size_t axis = input.ndim; axis-- > 0;) {
    input.strides[axis] = stride;
    stride *= input.shape[axis];
  }
  input.data = copy.data();
}

class Kernel : public UnaryPrimitive {
 public:
  Kernel(Stream stream, node_mlx_kernel kernel, std::shared_ptr<void> state, bool strided)
      : UnaryPrimitive(stream), kernel_(kernel), state_(std::move(state)), strided_(strided) {}

  void eval_cpu(const std::vector<array>& arrays, array& out) override {
    out.set_data(allocator::malloc(out.nbytes()));
    std::vector<node_mlx_input> inputs;
    inputs.reserve(arrays.size());
    for (const auto& input : arrays) {
      inputs.push_back(view(input, strided_));
    }
    cpu::get_command_encoder(stream()).dispatch([kernel = kernel_,
                                                 state = state_,
                                                 inputs = std::move(inputs),
                                                 output = out.data<float>(),
                                                 size = out.size()]() mutable {
      std::vector<std::vector<char>> copies;
      for (auto& input : inputs) {
        if (input.scattered) {
          // A vector that is moved keeps its elements where they are.
          make_contiguous(input, copies.emplace_back());
        }
      }
      kernel(state.get(), inputs.data(), inputs.size(), output, size);
    });
  }

  void eval_gpu(const std::vector<array>&, array&) override {
    throw std::runtime_error("[Kernel] runs on the CPU only");
  }

  const char* name() const override {
    return "Kernel";
  }

 private:
  node_mlx_kernel kernel_;
  std::shared_ptr<void> state_;
  bool strided_;
};

} // namespace

// An f32 array of the given shape, which the kernel computes. Takes `state`, also where it fails. Inputs that are not
// contiguous are copied, unless the kernel knows strides.
extern "C" int node_mlx_run_kernel(
    mlx_array* res,
    node_mlx_kernel kernel,
    void* state,
    node_mlx_free free_state,
    bool strided,
    const mlx_array* inputs,
    size_t count,
    const int* shape,
    size_t ndim,
    mlx_stream stream) {
  try {
    std::shared_ptr<void> owned(state, free_state);
    std::vector<array> arrays;
    arrays.reserve(count);
    for (size_t i = 0; i < count; i++) {
      arrays.push_back(mlx_array_get_(inputs[i]));
      if (arrays.back().ndim() > NODE_MLX_MAX_AXES) {
        throw std::invalid_argument("[Kernel] an input has too many axes");
      }
    }
    auto primitive = std::make_shared<Kernel>(mlx_stream_get_(stream), kernel, std::move(owned), strided);
    mlx_array_set_(*res, array(Shape(shape, shape + ndim), float32, std::move(primitive), std::move(arrays)));
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return 1;
  }
}
