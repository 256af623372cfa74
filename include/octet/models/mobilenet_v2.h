#pragma once

#include <octet/models/fusible_module.h>
#include <octet/nn/modules.h>
#include <octet/nn/stubs.h>

#include <torch/arg.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

namespace octet::models {

class MobileNetV2Options {
 public:
  TORCH_ARG(int64_t, num_classes) = 1000;
  /// Scales the number of channels of every layer.
  TORCH_ARG(double, width_mult) = 1.0;
  /// Numbers of channels are rounded to multiples of it.
  TORCH_ARG(int64_t, round_nearest) = 8;
  /// Of the dropout before the last layer.
  TORCH_ARG(double, dropout) = 0.2;
};

/// MobileNetV2, ready to be quantized: torchvision.models.quantization.mobilenet_v2, with its state-dict names, its
/// initialization, and ReLU in place of ReLU6.
class MobileNetV2Impl : public nn::Cloneable<MobileNetV2Impl> {
 public:
  explicit MobileNetV2Impl(const MobileNetV2Options& options = {});

  void reset() override;

  /// @param images  [batch, 3, height, width]
  /// @return one score for each class, [batch, num_classes]
  at::Tensor forward(const at::Tensor& images);

  /// Fuses all convolutions with the batch norms and ReLUs behind them, in place. @throws Error as models::fuse_model()
  Report fuse_model() { return models::fuse_model(*this); }

  MobileNetV2Options options;
  nn::Sequential features{nullptr}, classifier{nullptr};
  nn::QuantStub quant{nullptr};
  nn::DeQuantStub dequant{nullptr};
};
TORCH_MODULE(MobileNetV2);

}  // namespace octet::models
