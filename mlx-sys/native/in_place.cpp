// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

// Writing into an array where it lies. MLX's SliceUpdate does so if nobody else holds the array's memory. While a GPU is still
// computing a pass, MLX holds whatever that reads: SliceUpdate copies a whole cache for each token, if the GPU is slower than
// the program.

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "mlx/c/array.h"
#include "mlx/c/error.h"
#include "mlx/c/private/mlx.h"
#include "mlx/mlx.h"
#include "mlx/primitives.h"

using namespace mlx::core;

namespace {

// An operation whose output takes the memory of its first input, as if nobody else held it.
class InPlace : public UnaryPrimitive {
 public:
  explicit InPlace(std::shared_ptr<Primitive> update) : UnaryPrimitive(update->stream()), update_(std::move(update)) {}

  void eval_cpu(const std::vector<array>& inputs, array& out) override {
    eval(inputs, out, [this](const auto& inputs, auto& outputs) { update_->eval_cpu(inputs, outputs); });
  }

  void eval_gpu(const std::vector<array>& inputs, array& out) override {
    eval(inputs, out, [this](const auto& inputs, auto& outputs) { update_->eval_gpu(inputs, outputs); });
  }

  const char* name() const override {
    return update_->name();
  }

 private:
  template <typename Eval>
  static void eval(const std::vector<array>& inputs, array& out, Eval eval) {
    const array& written = inputs.front();
    std::vector<array> outputs{out};
    if (written.offset() != 0) {
      eval(inputs, outputs);
      return;
    }
    // Memory that nobody else holds, and that is freed with `written`.
    std::vector<array> others;
    others.reserve(inputs.size());
    others.emplace_back(written.shape(), written.dtype(), nullptr, std::vector<array>{});
    others.front().set_data(
        written.buffer(), written.data_size(), written.strides(), written.flags(), [](allocator::Buffer) {});
    others.insert(others.end(), inputs.begin() + 1, inputs.end());
    eval(others, outputs);
    if (out.buffer().ptr() == written.buffer().ptr()) {
      out.copy_shared_buffer(written);
    }
  }

  std::shared_ptr<Primitive> update_;
};

} // namespace

// What SliceUpdate is to make of its first input, in the memory of that input.
extern "C" int node_mlx_in_place(mlx_array* res, mlx_array updated) {
  try {
    const array& a = mlx_array_get_(updated);
    auto update = a.has_primitive() ? a.primitive_ptr() : nullptr;
    // If all is replaced, MLX takes what replaces it.
    if (update == nullptr || std::strcmp(update->name(), "SliceUpdate") != 0) {
      mlx_array_set_(*res, a);
      return 0;
    }
    auto primitive = std::make_shared<InPlace>(std::move(update));
    mlx_array_set_(*res, array(a.shape(), a.dtype(), std::move(primitive), a.inputs()));
    return 0;
  } catch (std::exception& e) {
    mlx_error(e.what());
    return 1;
  }
}
