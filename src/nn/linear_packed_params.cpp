#include <octet/kernels/gemm.h>
#include <octet/kernels/int4_gemm.h>
#include <octet/kernels/quantize.h>
#include <octet/nn/attributes.h>
#include <octet/nn/linear_packed_params.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/qparams.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <nn/int4_weight.h>
#include <nn/quantized_weight.h>
#include <tensor/integers.h>

#include <ATen/ops/clamp.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

namespace octet::nn::quantized {
namespace {

constexpr double kHalfMax = 65504;

LinearPackedParams::ActivationQParams checked(const LinearPackedParams::ActivationQParams& qparams, const std::string& where) {
  check(qparams.quant_min >= 0 && qparams.quant_max <= 255 && qparams.quant_min < qparams.quant_max, where,
        ": got an activation range of ", qparams.quant_min, " .. ", qparams.quant_max, ", expected one within 0 .. 255");
  return qparams;
}

/// Widened to hold zero. @param row  -1: of the whole input. @throws Error unless the values were finite
kernels::MinMax checked_range(const kernels::MinMax& range, int64_t row) {
  // An empty range (no input features) quantizes nothing; any qparams do.
  const float min = std::min(range.min, 0.0f), max = std::max(range.max, 0.0f);
  if (!range.has_nan && std::isfinite(min) && std::isfinite(max)) [[likely]]
    return {min, max, false};
  fail(ModulePathScope::current(), ": the input ", row >= 0 ? c10::str("(row ", row, ") ") : "",
       "holds NaN or infinite values, which have no place on an integer scale; look for the layer before it that made them");
}

}  // namespace

LinearPackedParams::LinearPackedParams(Weight weight, const at::Tensor& bias)
    : weight_(std::move(weight)), bias_(float_bias(bias)) {}

LinearPackedParams LinearPackedParams::from_float(const at::Tensor& weight, const at::Tensor& bias,
                                                  const WeightObserver& observer, const std::string& where) {
  check(weight.defined() && weight.dim() == 2, where, ": got ",
        weight.defined() ? c10::str("a ", weight.scalar_type(), " tensor of shape ", weight.sizes()) : "no tensor",
        ", expected a floating point weight of shape [out_features, in_features]");
  check_float_weight(weight, bias, weight.size(0), where);
  if (observer && observer.dtype() == float16) {
    const at::Tensor values = weight.detach().to(at::kFloat).contiguous();
    return {HalfWeight{at::clamp(values, -kHalfMax, kHalfMax).to(at::kHalf)}, bias};
  }
  if (observer.target().group_size > 0) return {quantize_int4_weight(weight, observer, where), bias};
  check(!observer || observer.dtype() == qint8, where, ": got a weight observer of dtype ", observer.dtype(),
        ", expected qint8 or float16, or groups in quint4x2 as int4_weight_only_qconfig() has them");
  return from_integers(quantize_weight(weight, observer, where), bias, where);
}

LinearPackedParams LinearPackedParams::from_integers(const QuantizedWeight& weight, const at::Tensor& bias,
                                                     const std::string& where) {
  const int64_t n = weight.integers.size(0), k = weight.integers.size(1);
  check(k <= kernels::PackedWeight::kMaxDepth, where, ": got in_features = ", k, ", but sums over more than ",
        kernels::PackedWeight::kMaxDepth, " products may overflow int32; keep this module in float with a null qconfig");
  check(weight.zero_point.empty() || k <= kernels::PackedWeight::kMaxAffineDepth, where, ": got in_features = ", k,
        " and weights with zero points, but sums over more than ", kernels::PackedWeight::kMaxAffineDepth,
        " such products may overflow int32; use a symmetric weight observer");
  return {Int8Weight{kernels::PackedWeight(weight.integers.const_data_ptr<int8_t>(), n, k), weight.scale, weight.zero_point},
          bias};
}

LinearPackedParams LinearPackedParams::from_state_dict(const StateDict& state, const std::string& weight_name,
                                                       const std::string& bias_name, const std::string& where) {
  const at::Tensor* const weight = state.find(weight_name);
  check(weight != nullptr, where, ": the tensor \"", weight_name, "\" is missing");
  const at::ScalarType dtype = weight->scalar_type();
  check(weight->dim() == 2 && (dtype == at::kChar || dtype == at::kHalf || dtype == at::kByte), where, ": \"", weight_name,
        "\" is a ", dtype, " tensor of shape ", weight->sizes(),
        ", expected int8 or half, or uint8 with 4-bit integers, and two dimensions");
  const int64_t channels = weight->size(0);
  const at::Tensor bias = bias_from(state, bias_name, channels, where);
  if (dtype == at::kHalf) return {HalfWeight{weight->contiguous()}, bias};
  if (dtype == at::kByte) return {int4_weight_from(state, weight_name, where), bias};
  return from_integers(quantized_weight_from(*weight, channels, state, weight_name, where), bias, where);
}

int64_t LinearPackedParams::in_features() const {
  return std::visit([](const auto& weight) { return weight.k(); }, weight_);
}

int64_t LinearPackedParams::out_features() const {
  return std::visit([](const auto& weight) { return weight.n(); }, weight_);
}

DType LinearPackedParams::dtype() const {
  if (std::holds_alternative<HalfWeight>(weight_)) return float16;
  return std::holds_alternative<Int8Weight>(weight_) ? qint8 : quint4x2;
}

QScheme LinearPackedParams::qscheme() const {
  if (const auto* const int4 = std::get_if<kernels::PackedInt4Weight>(&weight_)) {
    return int4->symmetric() ? per_channel_symmetric : per_channel_affine;
  }
  const auto* const int8 = std::get_if<Int8Weight>(&weight_);
  const bool symmetric = !int8 || int8->zero_point.empty();
  if (!int8 || int8->scale.size() == 1) return symmetric ? per_tensor_symmetric : per_tensor_affine;
  return symmetric ? per_channel_symmetric : per_channel_affine;
}

int64_t LinearPackedParams::group_size() const {
  const auto* const int4 = std::get_if<kernels::PackedInt4Weight>(&weight_);
  return int4 ? int4->group_size() : 0;
}

int64_t LinearPackedParams::Int8Weight::bytes() const {
  return packed.bytes() + static_cast<int64_t>(scale.size() * sizeof(float) + zero_point.size() * sizeof(int32_t));
}

int64_t LinearPackedParams::weight_bytes() const {
  const int64_t bias_bytes = bias_.defined() ? static_cast<int64_t>(bias_.nbytes()) : 0;
  return std::visit([](const auto& weight) { return weight.bytes(); }, weight_) + bias_bytes;
}

at::Tensor LinearPackedParams::weight() const {
  if (const auto* const int4 = std::get_if<kernels::PackedInt4Weight>(&weight_)) return dequantize(*int4);
  StateDict state;
  append_to(state, "weight", "bias");
  if (dtype() == float16) return state["weight"];
  const at::Tensor &scale = state["weight_scale"], &zero_point = state["weight_zero_point"];
  return is_per_channel(qscheme()) ? make_per_channel_quantized(state["weight"], scale, zero_point, 0)
                                   : make_per_tensor_quantized(state["weight"], scale.item<double>(), zero_point.item<int64_t>());
}

void LinearPackedParams::append_to(StateDict& state, const std::string& weight_name, const std::string& bias_name) const {
  if (const auto* const int8 = std::get_if<Int8Weight>(&weight_)) {
    at::Tensor integers = at::empty({out_features(), in_features()}, at::kChar);
    int8->packed.unpack(integers.data_ptr<int8_t>());
    state.insert(weight_name, std::move(integers));
    append_qparams(state, weight_name, int8->scale, int8->zero_point);
  } else if (const auto* const int4 = std::get_if<kernels::PackedInt4Weight>(&weight_)) {
    append_int4_weight(state, weight_name, *int4);
  } else {
    state.insert(weight_name, at::Tensor(std::get<HalfWeight>(weight_).values));
  }
  if (bias_.defined()) state.insert(bias_name, at::Tensor(bias_));
}

LinearPackedParams::ActivationQParams LinearPackedParams::ActivationQParams::from(const QConfig& qconfig,
                                                                                  const std::string& where) {
  const QuantizationTarget& target = qconfig.activation.target();
  if (!info(target.dtype).is_quantized) return {};
  check(qconfig.weight.target().group_size == 0, where, ": got an activation observer of dtype ", target.dtype,
        " beside a weight in groups, whose activations stay floats; use default_placeholder_observer, as "
        "int4_weight_only_qconfig() does");
  check(target.dtype == quint8, where, ": got an activation observer of dtype ", target.dtype,
        ", expected quint8, as default_dynamic_quant_observer has it");
  return checked({target.per_row, target.quant_min, target.quant_max}, where);
}

LinearPackedParams::ActivationQParams LinearPackedParams::ActivationQParams::from(const Attributes& attributes,
                                                                                  const std::string& where) {
  return checked({attribute<bool>(attributes, "per_row", where), attribute<int64_t>(attributes, "quant_min", where),
                  attribute<int64_t>(attributes, "quant_max", where)},
                 where);
}

void LinearPackedParams::ActivationQParams::append_to(Attributes& attributes) const {
  attributes["per_row"] = per_row;
  attributes["quant_min"] = quant_min;
  attributes["quant_max"] = quant_max;
}

const float* LinearPackedParams::bias_data() const { return bias_.defined() ? bias_.const_data_ptr<float>() : nullptr; }

void LinearPackedParams::apply(const float* x, int64_t rows, const ActivationQParams& activation, bool relu, float* out) const {
  Scratch scratch;
  apply(x, rows, activation, relu, out, scratch);
}

void LinearPackedParams::apply(const float* x, int64_t rows, const ActivationQParams& activation, bool relu, float* out,
                               Scratch& scratch) const {
  const int64_t n = out_features(), k = in_features();
  const kernels::Epilogue epilogue{bias_data(), relu};
  if (const auto* const half = std::get_if<HalfWeight>(&weight_)) {
    const auto* const bits = reinterpret_cast<const kernels::half_bits*>(half->values.const_data_ptr<at::Half>());
    kernels::half_gemm({x, k}, rows, {bits, k}, n, k, epilogue, {out, n}, parallel_for);
    return;
  }
  if (const auto* const int4 = std::get_if<kernels::PackedInt4Weight>(&weight_)) {
    scratch.ranges.resize(rows);
    kernels::min_max_rows({x, k}, rows, k, scratch.ranges.data(), parallel_for);
    for (int64_t i = 0; i < rows; ++i) scratch.ranges[i] = checked_range(scratch.ranges[i], i);
    kernels::int4_gemm({x, k}, scratch.ranges.data(), rows, *int4, epilogue, {out, n}, parallel_for);
    return;
  }
  if (!scratch.keeps_rows || scratch.quantized_by != activation) quantize(x, rows, activation, scratch);
  const auto& int8 = std::get<Int8Weight>(weight_);
  kernels::gemm({{scratch.quantized.const_data_ptr<uint8_t>(), int8.packed.row_stride()},
                 rows,
                 scratch.scale.data(),
                 scratch.zero_point.data(),
                 activation.per_row,
                 scratch.row_sums.data()},
                int8.packed, qparams(), epilogue, {out, n}, parallel_for);
}

void LinearPackedParams::quantize(const float* x, int64_t rows, const ActivationQParams& activation, Scratch& scratch) const {
  const int64_t k = in_features(), ranges = activation.per_row ? rows : 1;
  const int64_t stride = std::get<Int8Weight>(weight_).packed.row_stride();
  scratch.quantized_by.reset();
  scratch.ranges.resize(ranges);
  scratch.scale.resize(ranges);
  scratch.zero_point.resize(ranges);
  scratch.row_sums.resize(rows);
  if (!scratch.quantized.defined() || scratch.quantized.numel() < rows * stride) {
    scratch.quantized = at::empty({rows * stride}, at::kByte);
  }

  if (activation.per_row) {
    kernels::min_max_rows({x, k}, rows, k, scratch.ranges.data(), parallel_for);
  } else {
    scratch.ranges[0] = kernels::min_max(x, rows * k, parallel_for);
  }
  for (int64_t i = 0; i < ranges; ++i) {
    const auto [min, max, has_nan] = checked_range(scratch.ranges[i], activation.per_row ? i : -1);
    const TensorQParams qparams = choose_dynamic_qparams(min, max, activation.quant_min, activation.quant_max);
    scratch.scale[i] = static_cast<float>(qparams.scale);
    scratch.zero_point[i] = static_cast<int32_t>(qparams.zero_point);
  }

  kernels::quantize_rows({x, k}, rows, k,
                         {scratch.scale.data(), scratch.zero_point.data(), activation.per_row,
                          static_cast<int32_t>(activation.quant_min), static_cast<int32_t>(activation.quant_max)},
                         {scratch.quantized.data_ptr<uint8_t>(), stride}, scratch.row_sums.data(), parallel_for);
  scratch.quantized_by = activation;
}

at::Tensor LinearPackedParams::apply(const at::Tensor& input, const OutputQParams& output, bool relu) const {
  const Int8Weight& int8 = std::get<Int8Weight>(weight_);
  std::vector<int64_t> sizes = input.sizes().vec();
  sizes.back() = out_features();
  const at::Tensor out = at::empty(sizes, at::TensorOptions(info(output.dtype).storage));
  with_quantized_rows(input, [&](const kernels::QuantizedActivations& activations) {
    with_byte_type(output.dtype, [&]<class T>() {
      kernels::gemm(activations, int8.packed, qparams(), {bias_data(), relu}, output.affine(),
                    kernels::Matrix<T>{out.data_ptr<T>(), out_features()}, parallel_for);
    });
  });
  return make_per_tensor_quantized(out, output.scale, output.zero_point);
}

at::Tensor LinearPackedParams::apply_to_float(const at::Tensor& input) const {
  std::vector<int64_t> sizes = input.sizes().vec();
  sizes.back() = out_features();
  const at::Tensor out = at::empty(sizes, at::kFloat);
  with_quantized_rows(input, [&](const kernels::QuantizedActivations& activations) {
    kernels::gemm(activations, std::get<Int8Weight>(weight_).packed, qparams(), {bias_data()},
                  {out.data_ptr<float>(), out_features()}, parallel_for);
  });
  return out;
}

kernels::WeightQParams LinearPackedParams::qparams() const {
  const Int8Weight& int8 = std::get<Int8Weight>(weight_);
  return {int8.scale.data(), int8.scale.size() > 1, int8.zero_point.empty() ? nullptr : int8.zero_point.data()};
}

void LinearPackedParams::with_quantized_rows(const at::Tensor& input,
                                             const std::function<void(const kernels::QuantizedActivations&)>& run) const {
  check_quantized_activation(input, "the input");
  check(input.dim() > 0 && input.size(-1) == in_features(), ModulePathScope::current(), ": got an input of shape ", input.sizes(),
        ", expected [..., ", in_features(), "]");
  const auto [integers, offset] = stored_as(octet::int_repr(input), at::kByte);
  const int64_t k = in_features(), stride = kernels::PackedWeight::padded(k);
  at::Tensor rows = integers.reshape({-1, k}).contiguous();
  if (stride != k) rows = at::constant_pad_nd(rows, {0, stride - k});
  const auto scale = static_cast<float>(octet::q_scale(input));
  const auto zero_point = static_cast<int32_t>(octet::q_zero_point(input)) + offset;
  run({{rows.const_data_ptr<uint8_t>(), stride}, rows.size(0), &scale, &zero_point});
}

}  // namespace octet::nn::quantized
