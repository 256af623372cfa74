// What the convolutional networks of the zoo have in common.
#pragma once

#include <octet/models/fusible_module.h>
#include <octet/nn/modules.h>
#include <octet/nn/unary_module.h>

#include <torch/nn/cloneable.h>

#include <cstdint>

namespace octet::models {

/// A convolution as it stands before a batch norm: without bias. Its padding keeps the size of an image at stride 1.
nn::Conv2d convolution(int64_t in_channels, int64_t out_channels, int64_t kernel_size, int64_t stride = 1, int64_t groups = 1);

/// A convolution, its batch norm and ReLU: torchvision.ops.Conv2dNormActivation. The children are `0`, `1` and `2`.
class ConvBNReLUImpl : public nn::UnaryModule<nn::Cloneable<ConvBNReLUImpl>>, public FusibleModule {
 public:
  ConvBNReLUImpl(int64_t in_channels, int64_t out_channels, int64_t kernel_size, int64_t stride = 1, int64_t groups = 1);

  void reset() override;
  at::Tensor forward(const at::Tensor& input);
  ModulesToFuse modules_to_fuse() const override { return {{"0", "1", "2"}}; }

 private:
  int64_t in_channels_, out_channels_, kernel_size_, stride_, groups_;
  nn::Conv2d conv_{nullptr};
  nn::BatchNorm2d norm_{nullptr};
  nn::ReLU relu_{nullptr};
};
TORCH_MODULE(ConvBNReLU);

/// Draws the weights of all convolutions anew as torchvision does: normal, by the number of outputs that each input feeds.
void initialize_convolutions(torch::nn::Module& model);

}  // namespace octet::models
