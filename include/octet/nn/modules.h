#pragma once

#include <octet/nn/activation.h>
#include <octet/nn/float_functional.h>
#include <octet/nn/multihead_attention.h>
#include <octet/nn/slot.h>
#include <octet/nn/stubs.h>

#include <torch/nn.h>

/// octet::nn is torch::nn with slots in place of every module that a workflow swaps. `namespace nn = octet::nn;` instead of
/// `namespace nn = torch::nn;` is the one edit that a model needs.
namespace octet::nn {

using namespace torch::nn;

// One slot class and its holder for each torch class. TORCH_MODULE makes the holder `Name` for `NameImpl`.
using LinearImpl = Slot<torch::nn::LinearImpl>;
TORCH_MODULE(Linear);

using Conv1dImpl = Slot<torch::nn::Conv1dImpl>;
TORCH_MODULE(Conv1d);
using Conv2dImpl = Slot<torch::nn::Conv2dImpl>;
TORCH_MODULE(Conv2d);
using Conv3dImpl = Slot<torch::nn::Conv3dImpl>;
TORCH_MODULE(Conv3d);
using ConvTranspose1dImpl = Slot<torch::nn::ConvTranspose1dImpl>;
TORCH_MODULE(ConvTranspose1d);
using ConvTranspose2dImpl = Slot<torch::nn::ConvTranspose2dImpl>;
TORCH_MODULE(ConvTranspose2d);
using ConvTranspose3dImpl = Slot<torch::nn::ConvTranspose3dImpl>;
TORCH_MODULE(ConvTranspose3d);

using BatchNorm1dImpl = Slot<torch::nn::BatchNorm1dImpl>;
TORCH_MODULE(BatchNorm1d);
using BatchNorm2dImpl = Slot<torch::nn::BatchNorm2dImpl>;
TORCH_MODULE(BatchNorm2d);
using BatchNorm3dImpl = Slot<torch::nn::BatchNorm3dImpl>;
TORCH_MODULE(BatchNorm3d);
using InstanceNorm1dImpl = Slot<torch::nn::InstanceNorm1dImpl>;
TORCH_MODULE(InstanceNorm1d);
using InstanceNorm2dImpl = Slot<torch::nn::InstanceNorm2dImpl>;
TORCH_MODULE(InstanceNorm2d);
using InstanceNorm3dImpl = Slot<torch::nn::InstanceNorm3dImpl>;
TORCH_MODULE(InstanceNorm3d);
using LayerNormImpl = Slot<torch::nn::LayerNormImpl>;
TORCH_MODULE(LayerNorm);
using GroupNormImpl = Slot<torch::nn::GroupNormImpl>;
TORCH_MODULE(GroupNorm);

using EmbeddingImpl = Slot<torch::nn::EmbeddingImpl>;
class Embedding : public torch::nn::ModuleHolder<EmbeddingImpl> {
 public:
  using torch::nn::ModuleHolder<EmbeddingImpl>::ModuleHolder;
  using Impl = EmbeddingImpl;

  /// As torch::nn::Embedding::from_pretrained.
  static Embedding from_pretrained(const at::Tensor& embeddings, const EmbeddingFromPretrainedOptions& options = {}) {
    return std::make_shared<EmbeddingImpl>(*torch::nn::Embedding::from_pretrained(embeddings, options));
  }
};
using EmbeddingBagImpl = Slot<torch::nn::EmbeddingBagImpl>;
class EmbeddingBag : public torch::nn::ModuleHolder<EmbeddingBagImpl> {
 public:
  using torch::nn::ModuleHolder<EmbeddingBagImpl>::ModuleHolder;
  using Impl = EmbeddingBagImpl;

  /// As torch::nn::EmbeddingBag::from_pretrained.
  static EmbeddingBag from_pretrained(const at::Tensor& embeddings, const EmbeddingBagFromPretrainedOptions& options = {}) {
    return std::make_shared<EmbeddingBagImpl>(*torch::nn::EmbeddingBag::from_pretrained(embeddings, options));
  }
};

using RNNImpl = RecurrentSlot<torch::nn::RNNImpl>;
TORCH_MODULE(RNN);
using LSTMImpl = RecurrentSlot<torch::nn::LSTMImpl>;
TORCH_MODULE(LSTM);
using GRUImpl = RecurrentSlot<torch::nn::GRUImpl>;
TORCH_MODULE(GRU);
using RNNCellImpl = Slot<torch::nn::RNNCellImpl>;
TORCH_MODULE(RNNCell);
using LSTMCellImpl = Slot<torch::nn::LSTMCellImpl>;
TORCH_MODULE(LSTMCell);
using GRUCellImpl = Slot<torch::nn::GRUCellImpl>;
TORCH_MODULE(GRUCell);

using ReLUImpl = Slot<torch::nn::ReLUImpl>;
TORCH_MODULE(ReLU);
using ReLU6Impl = Slot<torch::nn::ReLU6Impl>;
TORCH_MODULE(ReLU6);
using ELUImpl = Slot<torch::nn::ELUImpl>;
TORCH_MODULE(ELU);
using LeakyReLUImpl = Slot<torch::nn::LeakyReLUImpl>;
TORCH_MODULE(LeakyReLU);
using PReLUImpl = Slot<torch::nn::PReLUImpl>;
TORCH_MODULE(PReLU);
using HardswishImpl = Slot<detail::HardswishImpl>;
TORCH_MODULE(Hardswish);
using SigmoidImpl = Slot<torch::nn::SigmoidImpl>;
TORCH_MODULE(Sigmoid);
using TanhImpl = Slot<torch::nn::TanhImpl>;
TORCH_MODULE(Tanh);
using SoftmaxImpl = Slot<torch::nn::SoftmaxImpl>;
TORCH_MODULE(Softmax);
using HardsigmoidImpl = Slot<detail::HardsigmoidImpl>;
TORCH_MODULE(Hardsigmoid);
using SiLUImpl = Slot<torch::nn::SiLUImpl>;
TORCH_MODULE(SiLU);
using GELUImpl = Slot<torch::nn::GELUImpl>;
TORCH_MODULE(GELU);
using DropoutImpl = Slot<torch::nn::DropoutImpl>;
TORCH_MODULE(Dropout);

}  // namespace octet::nn
