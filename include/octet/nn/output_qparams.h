#pragma once

#include <octet/kernels/quantize.h>
#include <octet/nn/implementation.h>
#include <octet/observe/observer.h>
#include <octet/tensor/dtype.h>
#include <octet/tensor/qparams.h>
#include <octet/tensor/quantizer.h>

#include <string>

namespace octet::nn {

/// How a statically quantized module quantizes its output: the `scale` and `zero_point` of torch.ao's quantized modules, with
/// the dtype and the range of integers.
struct OutputQParams {
  double scale = 1;
  int64_t zero_point = 0;
  DType dtype = quint8;  ///< quint8 or qint8
  int64_t quant_min = 0;
  int64_t quant_max = 255;

  /// What an observer found. The integers range over all of the dtype also where the observer halved the range
  /// (`reduce_range`), as in torch.ao: values beyond what was calibrated then still have a place. A range of the user's own is
  /// kept, and that of a fake quantizer, whose clamping the model was trained with.
  /// @param path  of the module, for error messages
  /// @throws Error for an observer that has seen nothing, that is per channel or dynamic, or of a dtype other than quint8 and
  ///         qint8
  static OutputQParams from(const ObserverBase& observer, const std::string& path);

  /// The same of the slot that `module` is: of its `activation_post_process`. @throws Error also if there is none
  static OutputQParams from(const torch::nn::Module& module, const std::string& path);

  /// To and from the tensors `scale` (float32) and `zero_point` (int64), both without dimensions, and the attributes `dtype`,
  /// `quant_min` and `quant_max`. @throws Error for what is missing, of another type, or can't be
  void append_to(StateDict& state) const;
  void append_to(Attributes& attributes) const;
  static OutputQParams from(const StateDict& state, const Attributes& attributes, const std::string& path);

  /// The same alone, for what has no other state.
  StateDict state_dict() const;
  Attributes attributes() const;

  Quantizer quantizer() const { return Quantizer::per_tensor(scale, zero_point, dtype); }

  /// As the kernels take them.
  kernels::AffineQParams affine() const {
    return {static_cast<float>(scale), static_cast<int32_t>(zero_point), static_cast<int32_t>(quant_min),
            static_cast<int32_t>(quant_max)};
  }

  /// For printing: "scale=0.05, zero_point=3".
  friend std::ostream& operator<<(std::ostream& stream, const OutputQParams& qparams);
};

/// A quantized tensor whose integers are clamped, in place, where these qparams have a narrower range than the dtype.
at::Tensor clamp_to_range(at::Tensor quantized, const OutputQParams& output);

/// @param values  float32
/// @return quantized with these qparams, in the memory format of the values
at::Tensor quantize_activation(const at::Tensor& values, const OutputQParams& output);

/// @param what  "the input"
/// @throws Error, which names the module that runs and the way out, unless the tensor is quantized per tensor as quint8 or qint8
void check_quantized_activation(const at::Tensor& tensor, const char* what);

}  // namespace octet::nn
