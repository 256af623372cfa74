#pragma once

#include <octet/kernels/gemm.h>
#include <octet/kernels/half.h>
#include <octet/kernels/packed_int4_weight.h>
#include <octet/kernels/packed_weight.h>
#include <octet/nn/implementation.h>
#include <octet/nn/output_qparams.h>
#include <octet/nn/weight_observer.h>

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace octet::nn {
struct QuantizedWeight;
}

namespace octet::nn::quantized {

/// The weight and the bias of one linear map, `y = x Wᵀ + b`, ready for the engine: torch.ao's LinearPackedParams.
/// Linear has one, a recurrent cell two, an LSTM two for each layer and direction. Immutable; copies share the storage, and
/// any number of threads may use it at once.
class LinearPackedParams {
 public:
  /// Quantizes a float weight as its observer asks: qint8, per tensor or per channel (axis 0); quint4x2 in groups of 32, 64 or
  /// 128 inputs, as PerGroupMinMaxObserver cuts them; or float16, whose values beyond ±65504 are clamped, as torch.ao does.
  /// @param weight  [out_features, in_features], floating
  /// @param bias    [out_features], or undefined
  /// @param where   what error messages call the weight: "encoder.fc: weight"
  /// @throws Error for other dtypes and shapes, for NaN and infinities, for an observer of another dtype, or none
  static LinearPackedParams from_float(const at::Tensor& weight, const at::Tensor& bias, const WeightObserver& observer,
                                       const std::string& where);

  /// The inverse of append_to. @throws Error that names what is missing or of a wrong shape, dtype or value
  static LinearPackedParams from_state_dict(const StateDict& state, const std::string& weight_name, const std::string& bias_name,
                                            const std::string& where);

  int64_t in_features() const;
  int64_t out_features() const;
  DType dtype() const;      ///< qint8, quint4x2 or float16
  QScheme qscheme() const;  ///< of the integers; in groups per_channel_affine, or _symmetric where all zero points are 8
  /// How many inputs share a scale, 0 if it has no groups. Where one group holds all inputs, the smallest size that does.
  int64_t group_size() const;
  int64_t weight_bytes() const;

  /// The weight: a quantized tensor (qint8), halves, or the floats that the integers of a weight in groups stand for, as no
  /// quantized tensor has groups. Unpacked anew with each call.
  at::Tensor weight() const;
  const at::Tensor& bias() const { return bias_; }  ///< float32, or undefined

  /// Adds `<weight_name>` (int8 or half), for qint8 `<weight_name>_scale` (float32, [1] or [out_features]) and
  /// `<weight_name>_zero_point` (int32, alike), and `<bias_name>` if there is a bias. Of 4-bit integers two share a byte of
  /// `<weight_name>` (uint8), the first in its low bits; `<weight_name>_scale` and `<weight_name>_zero_point` (uint8) are
  /// [out_features, groups], and `<weight_name>_shape` (int64, [2]) says how many integers there are.
  void append_to(StateDict& state, const std::string& weight_name, const std::string& bias_name) const;

  /// How the activations are quantized, anew for every call.
  struct ActivationQParams {
    bool per_row = false;  ///< one scale and zero point for each row, so that rows do not depend on each other
    int64_t quant_min = 0;
    int64_t quant_max = 255;

    bool operator==(const ActivationQParams&) const = default;

    /// What the activation observer of a qconfig asks for.
    /// @throws Error for a dtype other than quint8 and a range beyond it, and for any beside a weight in groups
    static ActivationQParams from(const QConfig& qconfig, const std::string& where);

    /// To and from the attributes `per_row`, `quant_min` and `quant_max` of a module. @throws Error as nn::attribute
    void append_to(Attributes& attributes) const;
    static ActivationQParams from(const Attributes& attributes, const std::string& where);
  };

  /// Memory for what apply() computes on the way. To be kept where it is called again and again, as at each step of a recurrent
  /// network, which then allocates nothing. Not for several threads at once.
  class Scratch {
   public:
    /// From now on all calls get the same rows, x: calls that quantize them alike share the integers.
    void keep_rows() { keeps_rows = true; }

   private:
    friend LinearPackedParams;
    std::vector<kernels::MinMax> ranges;
    std::vector<float> scale;
    std::vector<int32_t> zero_point, row_sums;
    at::Tensor quantized;
    bool keeps_rows = false;
    std::optional<ActivationQParams> quantized_by;  // what is in `quantized`
  };

  /// `out = x Wᵀ + b`, and relu if asked for. qint8: quantizes the rows (scale and zero point by choose_dynamic_qparams),
  /// sums exactly in int32, and leaves through the one float formula of docs/arithmetic.md. quint4x2: the same, but each row in
  /// 16 bits, whatever `activation` says, and each group's sum exact.
  /// @param x    [rows][in_features], contiguous
  /// @param out  [rows][out_features], contiguous
  /// @throws Error for NaN and infinities in x; they have no place on an integer scale
  void apply(const float* x, int64_t rows, const ActivationQParams& activation, bool relu, float* out, Scratch& scratch) const;
  void apply(const float* x, int64_t rows, const ActivationQParams& activation, bool relu, float* out) const;

  /// The same on a quantized input, of int8 weights: `x Wᵀ + b`, and relu if asked for, requantized.
  /// @param input  quint8 or qint8 per tensor, [..., in_features]
  /// @return [..., out_features]
  /// @throws Error, which names the module that runs, for other inputs
  at::Tensor apply(const at::Tensor& input, const OutputQParams& output, bool relu) const;

  /// The same as float32, neither requantized nor rounded beyond the float formula.
  at::Tensor apply_to_float(const at::Tensor& input) const;

 private:
  struct Int8Weight {
    int64_t n() const { return packed.n(); }
    int64_t k() const { return packed.k(); }
    int64_t bytes() const;

    kernels::PackedWeight packed;
    std::vector<float> scale;         // [1] or [out_features]
    std::vector<int32_t> zero_point;  // alike; empty when all are zero
  };
  struct HalfWeight {
    int64_t n() const { return values.size(0); }
    int64_t k() const { return values.size(1); }
    int64_t bytes() const { return static_cast<int64_t>(values.nbytes()); }

    at::Tensor values;  // [out_features, in_features], half, contiguous
  };
  using Weight = std::variant<Int8Weight, HalfWeight, kernels::PackedInt4Weight>;

  LinearPackedParams(Weight weight, const at::Tensor& bias);
  static LinearPackedParams from_integers(const QuantizedWeight& weight, const at::Tensor& bias, const std::string& where);
  const float* bias_data() const;
  /// Quantizes rows for the product with this int8 weight, or any of as many in_features.
  void quantize(const float* x, int64_t rows, const ActivationQParams& activation, Scratch& scratch) const;
  kernels::WeightQParams qparams() const;

  /// Calls `run` with the rows of a quantized input, as the kernels take them.
  void with_quantized_rows(const at::Tensor& input, const std::function<void(const kernels::QuantizedActivations&)>& run) const;

  Weight weight_;
  at::Tensor bias_;
};

}  // namespace octet::nn::quantized
