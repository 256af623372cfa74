#include <octet/kernels/gemm.h>
#include <octet/kernels/quantize.h>
#include <octet/nn/attributes.h>
#include <octet/nn/linear_packed_params.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/parallel.h>
#include <octet/tensor/qparams.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <ATen/ops/clamp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace octet::nn::quantized {
namespace {

constexpr double kHalfMax = 65504;

void check_float_matrix(const at::Tensor& weight, const at::Tensor& bias, const std::string& where) {
  check(weight.defined() && weight.dim() == 2 && weight.is_floating_point(), where, ": got ",
        weight.defined() ? c10::str("a ", weight.scalar_type(), " tensor of shape ", weight.sizes()) : "no tensor",
        ", expected a floating point weight of shape [out_features, in_features]");
  check(weight.device().is_cpu(), where, ": got a weight on ", weight.device(),
        ", but the int8 engine runs on the CPU; move the model there with to(torch::kCPU) first");
  check(at::isfinite(weight).all().item<bool>(), where, ": the weight holds NaN or infinite values, which have no place on an ",
        "integer scale; mend the model first");
  check(!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0) && bias.is_floating_point()), where,
        ": got a bias of shape ", bias.defined() ? bias.sizes() : at::IntArrayRef(), ", expected [", weight.size(0), "]");
}

at::Tensor float_bias(const at::Tensor& bias) {
  return bias.defined() ? bias.detach().to(at::kFloat).contiguous().clone() : at::Tensor();
}

LinearPackedParams::ActivationQParams checked(const LinearPackedParams::ActivationQParams& qparams, const std::string& where) {
  check(qparams.quant_min >= 0 && qparams.quant_max <= 255 && qparams.quant_min < qparams.quant_max, where,
        ": got an activation range of ", qparams.quant_min, " .. ", qparams.quant_max, ", expected one within 0 .. 255");
  return qparams;
}

}  // namespace

LinearPackedParams::LinearPackedParams(std::variant<Int8Weight, HalfWeight> weight, const at::Tensor& bias)
    : weight_(std::move(weight)), bias_(float_bias(bias)) {}

LinearPackedParams LinearPackedParams::from_float(const at::Tensor& weight, const at::Tensor& bias, const QConfig& qconfig,
                                                  const std::string& where) {
  check_float_matrix(weight, bias, where);
  check(static_cast<bool>(qconfig.weight), where, ": the qconfig ", qconfig,
        " observes no weight; use default_dynamic_qconfig or one like it");
  const at::Tensor values = weight.detach().to(at::kFloat).contiguous();
  switch (qconfig.weight.dtype()) {
    case qint8: {
      const auto observer = qconfig.weight();
      observer->forward(values);
      const QParams qparams = observer->calculate_qparams();
      const at::Tensor quantized =
          is_per_channel(observer->qscheme())
              ? quantize_per_channel(values, qparams.scale, qparams.zero_point, observer->ch_axis(), qint8)
              : quantize_per_tensor(values, qparams.scale.item<double>(), qparams.zero_point.item<int64_t>(), qint8);
      check(!is_per_channel(observer->qscheme()) || observer->ch_axis() == 0, where, ": got a weight observer for channel axis ",
            observer->ch_axis(), ", expected 0, the output channels");
      return from_integers(octet::int_repr(quantized), qparams.scale, qparams.zero_point, bias, where);
    }
    case float16:
      return {HalfWeight{at::clamp(values, -kHalfMax, kHalfMax).to(at::kHalf)}, bias};
    default:
      fail(where, ": got a weight observer of dtype ", qconfig.weight.dtype(), ", expected qint8 or float16");
  }
}

LinearPackedParams LinearPackedParams::from_integers(const at::Tensor& integers, const at::Tensor& scale,
                                                     const at::Tensor& zero_point, const at::Tensor& bias,
                                                     const std::string& where) {
  const int64_t n = integers.size(0), k = integers.size(1);
  check(k <= kernels::PackedWeight::kMaxDepth, where, ": got in_features = ", k, ", but sums over more than ",
        kernels::PackedWeight::kMaxDepth, " products may overflow int32; keep this module in float with a null qconfig");
  const at::Tensor scales = scale.to(at::kDouble).contiguous();
  const at::Tensor zero_points = zero_point.to(at::kLong).contiguous();
  Int8Weight weight{kernels::PackedWeight(integers.contiguous().const_data_ptr<int8_t>(), n, k), {}, {}};
  const double* const s = scales.const_data_ptr<double>();
  weight.scale.assign(s, s + scales.numel());
  const int64_t* const z = zero_points.const_data_ptr<int64_t>();
  if (std::any_of(z, z + zero_points.numel(), [](int64_t zero) { return zero != 0; })) {
    check(k <= kernels::PackedWeight::kMaxAffineDepth, where, ": got in_features = ", k,
          " and weights with zero points, but sums "
          "over more than ",
          kernels::PackedWeight::kMaxAffineDepth, " such products may overflow int32; use a symmetric weight observer");
    weight.zero_point.assign(z, z + zero_points.numel());
  }
  return {std::move(weight), bias};
}

LinearPackedParams LinearPackedParams::from_state_dict(const StateDict& state, const std::string& weight_name,
                                                       const std::string& bias_name, const std::string& where) {
  const auto tensor = [&](const std::string& name) {
    const at::Tensor* const found = state.find(name);
    check(found != nullptr, where, ": the tensor \"", name, "\" is missing");
    return *found;
  };
  const at::Tensor weight = tensor(weight_name);
  check(weight.dim() == 2 && (weight.scalar_type() == at::kChar || weight.scalar_type() == at::kHalf), where, ": \"", weight_name,
        "\" is a ", weight.scalar_type(), " tensor of shape ", weight.sizes(), ", expected int8 or half and two dimensions");
  const at::Tensor* const found_bias = state.find(bias_name);
  const at::Tensor bias = found_bias ? *found_bias : at::Tensor();
  check(!bias.defined() || (bias.scalar_type() == at::kFloat && bias.sizes() == weight.sizes().slice(0, 1)), where, ": \"",
        bias_name, "\" is a ", bias.defined() ? bias.scalar_type() : at::kFloat, " tensor of shape ",
        bias.defined() ? bias.sizes() : at::IntArrayRef(), ", expected float32 of shape [", weight.size(0), "]");
  if (weight.scalar_type() == at::kHalf) return {HalfWeight{weight.contiguous()}, bias};

  const at::Tensor scale = tensor(weight_name + "_scale"), zero_point = tensor(weight_name + "_zero_point");
  for (const auto& [name, values, dtype] : {std::tuple{"_scale", scale, at::kFloat}, {"_zero_point", zero_point, at::kInt}}) {
    check(values.scalar_type() == dtype && values.dim() == 1 && (values.numel() == 1 || values.numel() == weight.size(0)) &&
              values.numel() == scale.numel(),
          where, ": \"", weight_name, name, "\" is a ", values.scalar_type(), " tensor of shape ", values.sizes(), ", expected ",
          dtype, " of shape [1] or [", weight.size(0), "]");
  }
  check((scale > 0).logical_and(at::isfinite(scale)).all().item<bool>(), where, ": \"", weight_name,
        "_scale\" holds values that are not positive and finite");
  check((zero_point >= -128).logical_and(zero_point <= 127).all().item<bool>(), where, ": \"", weight_name,
        "_zero_point\" holds values outside of -128 .. 127");
  return from_integers(weight, scale, zero_point, bias, where);
}

int64_t LinearPackedParams::in_features() const {
  const auto* const int8 = std::get_if<Int8Weight>(&weight_);
  return int8 ? int8->packed.k() : std::get<HalfWeight>(weight_).values.size(1);
}

int64_t LinearPackedParams::out_features() const {
  const auto* const int8 = std::get_if<Int8Weight>(&weight_);
  return int8 ? int8->packed.n() : std::get<HalfWeight>(weight_).values.size(0);
}

DType LinearPackedParams::dtype() const { return std::holds_alternative<Int8Weight>(weight_) ? qint8 : float16; }

QScheme LinearPackedParams::qscheme() const {
  const auto* const int8 = std::get_if<Int8Weight>(&weight_);
  const bool symmetric = !int8 || int8->zero_point.empty();
  if (!int8 || int8->scale.size() == 1) return symmetric ? per_tensor_symmetric : per_tensor_affine;
  return symmetric ? per_channel_symmetric : per_channel_affine;
}

int64_t LinearPackedParams::weight_bytes() const {
  const int64_t bias_bytes = bias_.defined() ? static_cast<int64_t>(bias_.nbytes()) : 0;
  if (const auto* const int8 = std::get_if<Int8Weight>(&weight_)) {
    return int8->packed.bytes() + static_cast<int64_t>(int8->scale.size() * sizeof(float)) +
           static_cast<int64_t>(int8->zero_point.size() * sizeof(int32_t)) + bias_bytes;
  }
  return static_cast<int64_t>(std::get<HalfWeight>(weight_).values.nbytes()) + bias_bytes;
}

at::Tensor LinearPackedParams::weight() const {
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
    state.insert(weight_name + "_scale", at::tensor(int8->scale));
    state.insert(weight_name + "_zero_point",
                 at::tensor(int8->zero_point.empty() ? std::vector<int32_t>(int8->scale.size()) : int8->zero_point));
  } else {
    state.insert(weight_name, at::Tensor(std::get<HalfWeight>(weight_).values));
  }
  if (bias_.defined()) state.insert(bias_name, at::Tensor(bias_));
}

LinearPackedParams::ActivationQParams LinearPackedParams::ActivationQParams::from(const ObserverFactory& activation,
                                                                                  const std::string& where) {
  if (!activation || !info(activation.dtype()).is_quantized) return {};
  const QuantizationTarget& target = activation.target();
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
  const int64_t n = out_features(), k = in_features();
  const kernels::Epilogue epilogue{bias_data(), relu};
  if (const auto* const half = std::get_if<HalfWeight>(&weight_)) {
    const auto* const bits = reinterpret_cast<const kernels::half_bits*>(half->values.const_data_ptr<at::Half>());
    kernels::half_gemm({x, k}, rows, {bits, k}, n, k, epilogue, {out, n}, parallel_for);
    return;
  }
  const auto& int8 = std::get<Int8Weight>(weight_);
  const int64_t ranges = activation.per_row ? rows : 1;
  std::vector<kernels::MinMax> range(ranges);
  if (activation.per_row) {
    kernels::min_max_rows({x, k}, rows, k, range.data(), parallel_for);
  } else {
    range[0] = kernels::min_max(x, rows * k, parallel_for);
  }
  std::vector<float> scale(ranges);
  std::vector<int32_t> zero_point(ranges);
  for (int64_t i = 0; i < ranges; ++i) {
    // An empty range (no input features) quantizes nothing; any qparams do.
    const float min = std::min(range[i].min, 0.0f), max = std::max(range[i].max, 0.0f);
    check(!range[i].has_nan && std::isfinite(min) && std::isfinite(max), ModulePathScope::current(), ": the input ",
          activation.per_row ? c10::str("(row ", i, ") ") : "",
          "holds NaN or infinite values, which have no place on an integer ",
          "scale; look for the layer before it that made them");
    const TensorQParams qparams = choose_dynamic_qparams(min, max, activation.quant_min, activation.quant_max);
    scale[i] = static_cast<float>(qparams.scale);
    zero_point[i] = static_cast<int32_t>(qparams.zero_point);
  }

  const int64_t stride = int8.packed.padded_k();
  const at::Tensor quantized = at::empty({rows, stride}, at::kByte);
  std::vector<int32_t> row_sums(int8.zero_point.empty() ? 0 : rows);
  const kernels::Matrix<uint8_t> q{quantized.data_ptr<uint8_t>(), stride};
  kernels::quantize_rows({x, k}, rows, k,
                         {scale.data(), zero_point.data(), activation.per_row, static_cast<int32_t>(activation.quant_min),
                          static_cast<int32_t>(activation.quant_max)},
                         q, row_sums.empty() ? nullptr : row_sums.data(), parallel_for);
  kernels::gemm(
      {{q.data, stride}, rows, scale.data(), zero_point.data(), activation.per_row, row_sums.empty() ? nullptr : row_sums.data()},
      int8.packed, {int8.scale.data(), int8.scale.size() > 1, int8.zero_point.empty() ? nullptr : int8.zero_point.data()},
      epilogue, {out, n}, parallel_for);
}

}  // namespace octet::nn::quantized
