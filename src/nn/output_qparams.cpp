#include <octet/nn/attributes.h>
#include <octet/nn/output_qparams.h>
#include <octet/nn/slot.h>
#include <octet/observe/fake_quantize.h>
#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>
#include <octet/tensor/quantizer.h>

#include <ATen/ops/scalar_tensor.h>

#include <cmath>
#include <ostream>

namespace octet::nn {
namespace {

OutputQParams checked(const OutputQParams& qparams, const std::string& path) {
  const DTypeInfo& dtype = info(qparams.dtype);
  check(qparams.dtype == quint8 || qparams.dtype == qint8, path, ": got activations of dtype ", qparams.dtype,
        ", expected quint8 or qint8");
  check(dtype.quant_min <= qparams.quant_min && qparams.quant_min < qparams.quant_max && qparams.quant_max <= dtype.quant_max,
        path, ": got an activation range of ", qparams.quant_min, " .. ", qparams.quant_max, ", expected one within ",
        dtype.quant_min, " .. ", dtype.quant_max, " for ", qparams.dtype);
  try {
    qparams.quantizer();
  } catch (const Error& error) {
    fail(path, ": the output's qparams: ", error.what());
  }
  return qparams;
}

bool is_halved(int64_t quant_min, int64_t quant_max, const DTypeInfo& dtype) {
  return quant_max - quant_min == (dtype.quant_max - dtype.quant_min) / 2;
}

}  // namespace

OutputQParams OutputQParams::from(const ObserverBase& observer, const std::string& path) {
  check(info(observer.dtype()).is_quantized && !observer.is_dynamic() && !is_per_channel(observer.qscheme()), path,
        ": got the activation observer ", observer.describe(),
        ", expected one of per-tensor qparams that are known before the model runs");
  check(
      observer.is_calibrated(), path, ": its observer ", observer.name(),
      " has seen no tensor, so there is no scale to convert with; run the prepared model on calibration data that reaches this ",
      "module, or give the module a null qconfig to keep it in float");
  const QParams found = observer.calculate_qparams();
  const DTypeInfo& dtype = info(observer.dtype());
  OutputQParams qparams{found.scale.item<double>(), found.zero_point.item<int64_t>(), observer.dtype(), dtype.quant_min,
                        dtype.quant_max};
  const bool was_trained_with = dynamic_cast<const FakeQuantizeBase*>(&observer) != nullptr;
  if (was_trained_with || !is_halved(observer.quant_min(), observer.quant_max(), dtype)) {
    qparams.quant_min = observer.quant_min();
    qparams.quant_max = observer.quant_max();
  }
  return checked(qparams, path);
}

OutputQParams OutputQParams::from(const torch::nn::Module& module, const std::string& path) {
  const SlotBase* const slot = as_slot(module);
  const auto observer = slot ? slot->activation_post_process() : nullptr;
  check(observer != nullptr, path, ": has no activation_post_process to take the output's scale from; call prepare() with a ",
        "qconfig for it and calibrate before convert()");
  return from(*observer, path);
}

void OutputQParams::append_to(StateDict& state) const {
  state.insert("scale", at::scalar_tensor(scale, at::kFloat));
  state.insert("zero_point", at::scalar_tensor(zero_point, at::kLong));
}

void OutputQParams::append_to(Attributes& attributes) const {
  attributes["dtype"] = std::string(info(dtype).name);
  attributes["quant_min"] = quant_min;
  attributes["quant_max"] = quant_max;
}

StateDict OutputQParams::state_dict() const {
  StateDict state;
  append_to(state);
  return state;
}

Attributes OutputQParams::attributes() const {
  Attributes attributes;
  append_to(attributes);
  return attributes;
}

OutputQParams OutputQParams::from(const StateDict& state, const Attributes& attributes, const std::string& path) {
  const auto scalar = [&](const char* name, at::ScalarType dtype) {
    const at::Tensor* const found = state.find(name);
    check(found != nullptr, path, ": the tensor \"", name, "\" is missing");
    check(found->numel() == 1 && found->scalar_type() == dtype, path, ": \"", name, "\" is a ", found->scalar_type(),
          " tensor of shape ", found->sizes(), ", expected one element of ", dtype);
    return *found;
  };
  return checked({scalar("scale", at::kFloat).item<double>(), scalar("zero_point", at::kLong).item<int64_t>(),
                  dtype_from_name(attribute<std::string>(attributes, "dtype", path)),
                  attribute<int64_t>(attributes, "quant_min", path), attribute<int64_t>(attributes, "quant_max", path)},
                 path);
}

std::ostream& operator<<(std::ostream& stream, const OutputQParams& qparams) {
  stream << "scale=" << qparams.scale << ", zero_point=" << qparams.zero_point;
  if (qparams.dtype != quint8) stream << ", dtype=" << qparams.dtype;
  return stream;
}

at::Tensor clamp_to_range(at::Tensor quantized, const OutputQParams& output) {
  const DTypeInfo& dtype = info(output.dtype);
  if (output.quant_min != dtype.quant_min || output.quant_max != dtype.quant_max) {
    octet::int_repr(quantized).clamp_(output.quant_min, output.quant_max);
  }
  return quantized;
}

at::Tensor quantize_activation(const at::Tensor& values, const OutputQParams& output) {
  return clamp_to_range(quantize_per_tensor(values, output.scale, output.zero_point, output.dtype), output);
}

void check_quantized_activation(const at::Tensor& tensor, const char* what) {
  const std::string_view path = ModulePathScope::current();
  check(tensor.defined(), path, ": got an undefined tensor for ", what);
  check(is_quantized(tensor), path, ": got a ", tensor.scalar_type(), " tensor for ", what,
        ", but this module was converted to integers; put an octet::nn::QuantStub before it (and prepare, calibrate and convert "
        "again), or keep the module in float with a null qconfig");
  const Quantizer& own = quantizer(tensor);
  check(!own.is_per_channel() && (own.dtype == quint8 || own.dtype == qint8), path, ": got a tensor of ", own.dtype,
        " with the scheme ", own.qscheme, " for ", what, ", expected quint8 or qint8 per tensor");
}

}  // namespace octet::nn
