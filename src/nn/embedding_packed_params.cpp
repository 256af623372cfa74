#include <octet/nn/attributes.h>
#include <octet/nn/embedding_packed_params.h>
#include <octet/tensor/error.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <nn/sub_byte_rows.h>

#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <array>
#include <tuple>

namespace octet::nn::quantized {
namespace {

constexpr std::array kTableTypes{quint8, quint4x2, quint2x4};

bool is_table_type(DType dtype) { return std::ranges::find(kTableTypes, dtype) != kTableTypes.end(); }

}  // namespace

EmbeddingPackedParams::EmbeddingPackedParams(at::Tensor packed, at::Tensor scale, at::Tensor zero_point, int64_t embedding_dim,
                                             DType dtype)
    : packed_(std::move(packed)),
      scale_(std::move(scale)),
      zero_point_(std::move(zero_point)),
      bias_((zero_point_ * scale_).neg_()),
      embedding_dim_(embedding_dim),
      dtype_(dtype) {}

EmbeddingPackedParams EmbeddingPackedParams::from_float(const at::Tensor& weight, const WeightObserver& observer,
                                                        const std::string& where) {
  const QuantizationTarget& target = observer.target();
  check(target.qscheme == per_channel_affine_float_qparams && is_table_type(target.dtype) && target.ch_axis == 0, where, ": ",
        observer, " quantizes to ", target.dtype, ", ", target.qscheme,
        ", but an embedding needs a scale and zero point, both floats, for each row, in quint8, quint4x2 or quint2x4; use "
        "float_qparams_weight_only_qconfig or its siblings _4bit and _2bit");
  check(weight.defined() && weight.dim() == 2 && weight.is_floating_point(), where, ": got ",
        weight.defined() ? c10::str("a ", weight.scalar_type(), " tensor of shape ", weight.sizes()) : "no tensor",
        ", expected a floating point weight of shape [num_embeddings, embedding_dim]");
  check(weight.device().is_cpu(), where, ": got a weight on ", weight.device(),
        ", but the int8 engine runs on the CPU; move the model there with to(torch::kCPU) first");
  check(at::isfinite(weight).all().item<bool>(), where,
        ": the weight holds NaN or infinite values, which have no place on an integer scale; mend the model first");

  const at::Tensor values = weight.detach().to(at::kFloat).contiguous();
  const QParams qparams = observer.qparams_for(values, where);
  check(at::isfinite(qparams.scale).all().item<bool>(), where,
        ": a row's values lie so far apart that float32 cannot hold their range");
  const at::Tensor quantized = quantize_per_channel(values, qparams.scale, qparams.zero_point, 0, target.dtype);
  const int bits = info(target.dtype).bits;
  const at::Tensor integers =
      unpack_rows(octet::int_repr(quantized).reshape({1, -1}), values.numel(), bits).reshape(values.sizes());
  return {pack_rows(integers.clamp(target.quant_min, target.quant_max), bits), qparams.scale.to(at::kFloat).contiguous(),
          qparams.zero_point.to(at::kFloat).contiguous(), values.size(1), target.dtype};
}

EmbeddingPackedParams EmbeddingPackedParams::from_state(const StateDict& state, const Attributes& attributes,
                                                        const std::string& where) {
  const auto rows = attribute<int64_t>(attributes, "num_embeddings", where);
  const auto embedding_dim = attribute<int64_t>(attributes, "embedding_dim", where);
  const DType dtype = dtype_from_name(attribute<std::string>(attributes, "dtype", where));
  check(is_table_type(dtype), where, ": the attribute \"dtype\" is ", dtype, ", expected quint8, quint4x2 or quint2x4");
  check(rows >= 0 && embedding_dim >= 0, where, ": the attributes say ", rows, " embeddings of dimension ", embedding_dim);
  const auto tensor = [&](const std::string& name, at::ScalarType type, at::IntArrayRef shape) {
    const at::Tensor* const found = state.find(name);
    check(found != nullptr, where, ": the tensor \"", name, "\" is missing");
    check(found->scalar_type() == type && found->sizes() == shape, where, ": \"", name, "\" is a ", found->scalar_type(),
          " tensor of shape ", found->sizes(), ", expected ", type, " of shape ", shape);
    return found->contiguous();
  };
  at::Tensor packed = tensor("weight", at::kByte, {rows, kernels::EmbeddingTable::row_bytes(embedding_dim, info(dtype).bits)});
  at::Tensor scale = tensor("weight_scale", at::kFloat, {rows}), zero_point = tensor("weight_zero_point", at::kFloat, {rows});
  check((scale > 0).logical_and(at::isfinite(scale)).all().item<bool>(), where,
        ": \"weight_scale\" holds values that are not positive and finite");
  check(at::isfinite(zero_point * scale).all().item<bool>(), where, ": \"weight_zero_point\" holds values that are not finite");
  return {std::move(packed), std::move(scale), std::move(zero_point), embedding_dim, dtype};
}

int64_t EmbeddingPackedParams::weight_bytes() const {
  return static_cast<int64_t>(packed_.nbytes() + scale_.nbytes() + zero_point_.nbytes() + bias_.nbytes());
}

at::Tensor EmbeddingPackedParams::weight() const {
  const int bits = info(dtype_).bits;
  const at::Tensor integers =
      bits == 8 ? packed_ : pack_rows(unpack_rows(packed_, embedding_dim_, bits).reshape({1, -1}), bits).flatten();
  return make_quantized(integers, Quantizer::per_channel(scale_, zero_point_, 0, dtype_),
                        at::IntArrayRef{num_embeddings(), embedding_dim_});
}

StateDict EmbeddingPackedParams::state_dict() const {
  StateDict state;
  for (const auto& [name, tensor] :
       {std::tuple{"weight", packed_}, {"weight_scale", scale_}, {"weight_zero_point", zero_point_}}) {
    state.insert(name, at::Tensor(tensor));
  }
  return state;
}

void EmbeddingPackedParams::append_to(Attributes& attributes) const {
  attributes["num_embeddings"] = num_embeddings();
  attributes["embedding_dim"] = embedding_dim_;
  attributes["dtype"] = std::string(info(dtype_).name);
}

kernels::EmbeddingTable EmbeddingPackedParams::table() const {
  return {{packed_.const_data_ptr<uint8_t>(), packed_.size(1)},
          num_embeddings(),
          embedding_dim_,
          info(dtype_).bits,
          scale_.const_data_ptr<float>(),
          bias_.const_data_ptr<float>()};
}

}  // namespace octet::nn::quantized
