#include <octet/nn/attributes.h>
#include <octet/nn/quantized_embedding.h>
#include <octet/nn/trained_parameters.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/quantized_tensor.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/embedding_renorm.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <ostream>
#include <stdexcept>
#include <vector>

namespace octet::nn::quantized {
namespace {

struct ModeInfo {
  const char* name;
  torch::nn::EmbeddingBagMode mode;
  kernels::BagMode kernel_mode;
};

const std::array kModes{ModeInfo{"sum", torch::kSum, kernels::BagMode::sum},
                        ModeInfo{"mean", torch::kMean, kernels::BagMode::mean},
                        ModeInfo{"max", torch::kMax, kernels::BagMode::max}};

const ModeInfo& mode_info(const torch::nn::EmbeddingBagMode& mode) {
  return *std::ranges::find(kModes, mode.index(), [](const ModeInfo& entry) { return entry.mode.index(); });
}

torch::nn::EmbeddingBagMode mode_from_name(const std::string& name, const std::string& where) {
  const auto* const found = std::ranges::find(kModes, name, &ModeInfo::name);
  check(found != kModes.end(), where, ": the attribute \"mode\" is \"", name, "\", expected sum, mean or max");
  return found->mode;
}

/// An index that is counted from the end if negative. @throws Error if it is out of range
std::optional<int64_t> checked_padding_idx(std::optional<int64_t> padding_idx, int64_t num_embeddings, const std::string& where) {
  if (!padding_idx) return padding_idx;
  check(*padding_idx >= -num_embeddings && *padding_idx < num_embeddings, where, ": got padding_idx ", *padding_idx,
        ", expected ", -num_embeddings, " .. ", num_embeddings - 1);
  return *padding_idx < 0 ? *padding_idx + num_embeddings : *padding_idx;
}

/// Calls what the kernels answer with std::invalid_argument by the module's name.
template <class Call>
void with_path(const Call& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    fail(ModulePathScope::current(), ": ", error.what());
  }
}

/// Indices or offsets as the kernels take them. @throws Error for what are none; `name` is the argument's
at::Tensor as_indices(const at::Tensor& tensor, const char* name) {
  const std::string_view path = ModulePathScope::current();
  check(tensor.defined(), path, ": ", name, " is an undefined tensor");
  check(tensor.device().is_cpu() && !is_quantized(tensor) &&
            (tensor.scalar_type() == at::kLong || tensor.scalar_type() == at::kInt),
        path, ": ", name, " is a ", tensor.scalar_type(), " tensor on ", tensor.device(), ", expected int64 or int32 on the CPU");
  return tensor.to(at::kLong).contiguous();
}

/// The offsets of bags that all have `length` indices.
std::vector<int64_t> regular_offsets(int64_t bags, int64_t length) {
  std::vector<int64_t> offsets(bags);
  for (int64_t i = 0; i < bags; ++i) offsets[i] = i * length;
  return offsets;
}

}  // namespace

template <class Self, class FloatSlot>
std::shared_ptr<Self> EmbeddingModule<Self, FloatSlot>::from_float(const typename FloatSlot::FloatModule& module,
                                                                   const QConfig& qconfig, const std::string& path) {
  Options options = module.options;
  at::Tensor weight = module.weight;
  if (options.max_norm() && weight.defined()) {
    weight = weight.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    at::embedding_renorm_(weight, at::arange(weight.size(0)), *options.max_norm(), options.norm_type());
  }
  auto params = EmbeddingPackedParams::from_float(weight, trained_parameters(module, qconfig).observer, path + ": weight");
  options.max_norm(std::nullopt)
      ._weight({})
      .padding_idx(checked_padding_idx(options.padding_idx(), params.num_embeddings(), path));
  return std::make_shared<Self>(std::move(params), std::move(options));
}

template <class Self, class FloatSlot>
std::shared_ptr<Self> EmbeddingModule<Self, FloatSlot>::from_state(const StateDict& state, const Attributes& attributes,
                                                                   const std::string& path) {
  auto params = EmbeddingPackedParams::from_state(state, attributes, path);
  Options options(params.num_embeddings(), params.embedding_dim());
  options.scale_grad_by_freq(attribute<bool>(attributes, "scale_grad_by_freq", path));
  options.sparse(attribute<bool>(attributes, "sparse", path));
  if (attributes.contains("padding_idx")) {
    options.padding_idx(checked_padding_idx(attribute<int64_t>(attributes, "padding_idx", path), params.num_embeddings(), path));
  }
  if constexpr (requires { options.mode(); }) {
    options.mode(mode_from_name(attribute<std::string>(attributes, "mode", path), path));
    options.include_last_offset(attribute<bool>(attributes, "include_last_offset", path));
  }
  return std::make_shared<Self>(std::move(params), std::move(options));
}

template <class Self, class FloatSlot>
Attributes EmbeddingModule<Self, FloatSlot>::attributes() const {
  Attributes attributes{{"scale_grad_by_freq", options_.scale_grad_by_freq()}, {"sparse", options_.sparse()}};
  params_.append_to(attributes);
  if (options_.padding_idx()) attributes["padding_idx"] = *options_.padding_idx();
  if constexpr (requires { options_.mode(); }) {
    attributes["mode"] = std::string(mode_info(options_.mode()).name);
    attributes["include_last_offset"] = options_.include_last_offset();
  }
  return attributes;
}

template <class Self, class FloatSlot>
std::shared_ptr<torch::nn::Module> EmbeddingModule<Self, FloatSlot>::clone(const std::optional<torch::Device>& device) const {
  auto copy = std::make_shared<Self>(static_cast<const Self&>(*this));
  if (device) copy->to(*device);
  return copy;
}

template <class Self, class FloatSlot>
void EmbeddingModule<Self, FloatSlot>::pretty_print(std::ostream& stream) const {
  stream << kind() << "(num_embeddings=" << params_.num_embeddings() << ", embedding_dim=" << params_.embedding_dim()
         << ", dtype=" << params_.dtype() << ", qscheme=" << per_channel_affine_float_qparams;
  if constexpr (requires { options_.mode(); }) stream << ", mode=" << mode_info(options_.mode()).name;
  stream << ")";
}

template class EmbeddingModule<EmbeddingImpl, nn::EmbeddingImpl>;
template class EmbeddingModule<EmbeddingBagImpl, nn::EmbeddingBagImpl>;

at::Tensor EmbeddingImpl::forward(const at::Tensor& indices) {
  const at::Tensor rows = as_indices(indices, "indices");
  std::vector<int64_t> sizes = rows.sizes().vec();
  sizes.push_back(params_.embedding_dim());
  at::Tensor out = at::empty(sizes, at::kFloat);
  with_path([&] {
    kernels::embedding(params_.table(), rows.const_data_ptr<int64_t>(), rows.numel(),
                       {out.mutable_data_ptr<float>(), params_.embedding_dim()}, parallel_for);
  });
  return out;
}

at::Tensor EmbeddingBagImpl::forward(const at::Tensor& input, const at::Tensor& offsets, const at::Tensor& per_sample_weights) {
  const std::string_view path = ModulePathScope::current();
  const at::Tensor indices = as_indices(input, "input");
  check(indices.dim() == 2 ? !offsets.defined() : indices.dim() == 1 && offsets.defined() && offsets.dim() == 1, path,
        ": got an input of shape ", indices.sizes(), " and ",
        offsets.defined() ? c10::str("offsets of shape ", offsets.sizes()) : "no offsets",
        ", expected [bags, length] without offsets or [indices] with offsets of shape [bags]");
  kernels::Bags bags{.indices = indices.const_data_ptr<int64_t>(),
                     .index_count = indices.numel(),
                     .padding_idx = options_.padding_idx().value_or(-1)};

  at::Tensor starts;  // what `bags` points to
  std::vector<int64_t> regular_starts;
  if (indices.dim() == 2) {
    regular_starts = regular_offsets(indices.size(0), indices.size(1));
    bags.offsets = regular_starts.data();
    bags.count = indices.size(0);
  } else {
    starts = as_indices(offsets, "offsets");
    bags.offsets = starts.const_data_ptr<int64_t>();
    bags.count = starts.numel();
    if (options_.include_last_offset()) {
      check(bags.count > 0, path, ": got no offsets, expected one more than bags, as include_last_offset asks for");
      const int64_t end = bags.offsets[--bags.count];
      check(end >= 0 && end <= bags.index_count, path, ": the last offset is ", end, ", expected 0 .. ", bags.index_count,
            ", the number of indices");
      bags.index_count = end;
    }
  }

  at::Tensor weights;
  if (per_sample_weights.defined()) {
    check(std::holds_alternative<torch::enumtype::kSum>(options_.mode()), path, ": got per_sample_weights with mode ",
          mode_info(options_.mode()).name, ", but they go with sum alone");
    check(per_sample_weights.sizes() == input.sizes() && per_sample_weights.is_floating_point() &&
              !is_quantized(per_sample_weights) && per_sample_weights.device().is_cpu(),
          path, ": got ", per_sample_weights.scalar_type(), " per_sample_weights of shape ", per_sample_weights.sizes(),
          ", expected floating ones of the input's shape ", input.sizes(), " on the CPU");
    weights = per_sample_weights.detach().to(at::kFloat).contiguous();
    bags.per_sample_weights = weights.const_data_ptr<float>();
  }

  at::Tensor out = at::empty({bags.count, params_.embedding_dim()}, at::kFloat);
  with_path([&] {
    kernels::embedding_bag(params_.table(), bags, mode_info(options_.mode()).kernel_mode,
                           {out.mutable_data_ptr<float>(), params_.embedding_dim()}, parallel_for);
  });
  return out;
}

}  // namespace octet::nn::quantized
