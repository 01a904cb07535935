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

// An input: elements in the order of its strides, of which the last is 1.
struct node_mlx_input {
  const void* data;
  const int32_t* shape;
  const int64_t* strides;
  size_t ndim;
};

// Writes `output`, row by row.
using node_mlx_kernel = void (*)(void* state, const node_mlx_input* inputs, size_t count, float* output, size_t size);
using node_mlx_free = void (*)(void* state);
}

namespace {

// What a kernel reads. MLX keeps the buffers of inputs and outputs until the tasks of an evaluation are done.
struct Input {
  const char* data;
  std::vector<int32_t> shape;
  std::vector<int64_t> strides;
  size_t itemsize;
  bool contiguous;

  explicit Input(const array& a)
      : data(a.data<char>()),
        shape(a.shape().begin(), a.shape().end()),
        strides(a.strides().begin(), a.strides().end()),
        itemsize(a.itemsize()),
        contiguous(a.flags().row_contiguous) {}

  // Whether each row's elements follow each other, and no axis is read backwards.
  bool has_rows() const {
    return (shape.empty() || shape.back() == 1 || strides.back() == 1) &&
        std::all_of(strides.begin(), strides.end(), [](int64_t stride) { return stride >= 0; });
  }

  // Copies the elements row by row, and refers to the copy.
  void make_contiguous(std::vector<char>& copy) {
    size_t size = 1;
    for (auto length : shape) {
      size *= length;
    }
    copy.resize(size * itemsize);
    std::vector<int32_t> index(shape.size(), 0);
    for (size_t i = 0; i < size; i++) {
      int64_t at = 0;
      for (size_t axis = 0; axis < shape.size(); axis++) {
        at += index[axis] * strides[axis];
      }
      std::memcpy(copy.data() + i * itemsize, data + at * static_cast<int64_t>(itemsize), itemsize);
      for (size_t axis = shape.size(); axis-- > 0 && ++index[axis] == shape[axis];) {
        index[axis] = 0;
      }
    }
    int64_t stride = 1;
    for (size_t axis = shape.size(); axis-- > 0;) {
      strides[axis] = stride;
      stride *= shape[axis];
    }
    data = copy.data();
  }
};

class Kernel : public UnaryPrimitive {
 public:
  Kernel(Stream stream, node_mlx_kernel kernel, std::shared_ptr<void> state, bool strided)
      : UnaryPrimitive(stream), kernel_(kernel), state_(std::move(state)), strided_(strided) {}

  void eval_cpu(const std::vector<array>& arrays, array& out) override {
    out.set_data(allocator::malloc(out.nbytes()));
    std::vector<Input> inputs(arrays.begin(), arrays.end());
    cpu::get_command_encoder(stream()).dispatch([kernel = kernel_,
                                                 state = state_,
                                                 strided = strided_,
                                                 inputs = std::move(inputs),
                                                 output = out.data<float>(),
                                                 size = out.size()]() mutable {
      std::vector<std::vector<char>> copies(inputs.size());
      std::vector<node_mlx_input> views;
      for (size_t i = 0; i < inputs.size(); i++) {
        auto& input = inputs[i];
        if (!input.contiguous && !(strided && input.has_rows())) {
          input.make_contiguous(copies[i]);
        }
        views.push_back({input.data, input.shape.data(), input.strides.data(), input.shape.size()});
      }
      kernel(state.get(), views.data(), views.size(), output, size);
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
    for (size_t i = 0; i < count; i++) {
      arrays.push_back(mlx_array_get_(inputs[i]));
    }
    auto primitive = std::make_shared<Kernel>(mlx_stream_get_(stream), kernel, std::move(owned), strided);
    mlx_array_set_(*res, array(Shape(shape, shape + ndim), float32, std::move(primitive), std::move(arrays)));
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return 1;
  }
}
