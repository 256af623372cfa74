#pragma once

#include <octet/nn/embedding_packed_params.h>
#include <octet/nn/modules.h>

#include <memory>
#include <string>

namespace octet::nn::quantized {

/// What Embedding and EmbeddingBag have in common: a quantized table and the options of the float module.
/// Of these, `padding_idx` of an Embedding, `scale_grad_by_freq` and `sparse` are only carried along, as they speak of gradients.
/// `max_norm` is dealt with once and for all when the table is quantized.
template <class Self, class FloatSlot>
class EmbeddingModule : public FloatSlot::Implementation {
 public:
  using Options = decltype(FloatSlot::options);

  /// Quantizes the table with the weight observer of `qconfig`, float_qparams_weight_only_qconfig say. With `max_norm`, longer
  /// rows are first shortened to it, as the float module does to each row that it looks up; the float module is not changed.
  /// @param path  of the module, for error messages
  /// @throws Error as EmbeddingPackedParams::from_float
  static std::shared_ptr<Self> from_float(const typename FloatSlot::FloatModule& module, const QConfig& qconfig,
                                          const std::string& path);

  /// Rebuilds it from what state_dict() and attributes() gave. @throws Error that names what is missing or wrong
  static std::shared_ptr<Self> from_state(const StateDict& state, const Attributes& attributes, const std::string& path);

  EmbeddingModule(EmbeddingPackedParams params, Options options) : params_(std::move(params)), options_(std::move(options)) {}

  std::string kind() const override { return Self::kKind; }
  StateDict state_dict() const override { return params_.state_dict(); }
  Attributes attributes() const override;
  int64_t weight_bytes() const override { return params_.weight_bytes(); }
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;
  void pretty_print(std::ostream& stream) const override;

  /// EmbeddingPackedParams::weight.
  at::Tensor weight() const { return params_.weight(); }

  /// Those of the float module, without its weight and `max_norm`.
  const Options& options() const { return options_; }

 protected:
  EmbeddingPackedParams params_;
  Options options_;
};

/// Embedding with a table of 8, 4 or 2 bits: torch.ao.nn.quantized.Embedding. A value is fma(q, scale, -zero_point * scale) in
/// float32; torch.ao has the same for 8 bits, but rounds scale and product to half precision for 4.
class EmbeddingImpl : public EmbeddingModule<EmbeddingImpl, nn::EmbeddingImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::Embedding";
  using EmbeddingModule::EmbeddingModule;

  /// @param indices  [...], int64 or int32, on the CPU
  /// @return [..., embedding_dim], float32, without gradient
  /// @throws Error for an index out of range, which names it, its position in the flattened indices and the table's size
  at::Tensor forward(const at::Tensor& indices) override;
};
TORCH_MODULE(Embedding);

/// EmbeddingBag with a table of 8, 4 or 2 bits: torch.ao.nn.quantized.EmbeddingBag, but with all modes of the float module
/// (torch.ao computes the sum whatever the mode) and its `padding_idx`. The arithmetic is that of kernels::embedding_bag.
class EmbeddingBagImpl : public EmbeddingModule<EmbeddingBagImpl, nn::EmbeddingBagImpl> {
 public:
  static constexpr const char* kKind = "octet::nn::quantized::EmbeddingBag";
  using EmbeddingModule::EmbeddingModule;

  /// @param input    [bags, indices of each bag], or [indices] with offsets; int64 or int32, on the CPU
  /// @param offsets  [bags], where in `input` each bag begins, the first at 0; with `include_last_offset` [bags + 1], where the
  ///                 last one ends; int64 or int32
  /// @param per_sample_weights  of the shape of `input`, floating; for mode kSum alone
  /// @return [bags, embedding_dim], float32, without gradient; zeros for empty bags
  /// @throws Error for other shapes and dtypes, indices out of range, offsets that decrease or leave the input
  at::Tensor forward(const at::Tensor& input, const at::Tensor& offsets = {}, const at::Tensor& per_sample_weights = {}) override;
};
TORCH_MODULE(EmbeddingBag);

}  // namespace octet::nn::quantized
