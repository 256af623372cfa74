#pragma once

#include <octet/observe/qconfig_mapping.h>
#include <octet/tensor/dtype.h>
#include <octet/workflow/clone_model.h>
#include <octet/workflow/mappings.h>
#include <octet/workflow/report.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace octet {

/// Which modules quantize_dynamic quantizes, and how.
class QConfigSpec {
 public:
  /// A class of modules, or the path of one.
  using Choice = std::variant<ModuleType, std::string>;

  /// What suits the dtype: Linear, LinearReLU, LSTM, GRU, LSTMCell, GRUCell and RNNCell for qint8 and float16, Embedding and
  /// EmbeddingBag for quint8, quint4x2 and quint2x4.
  QConfigSpec() = default;

  /// These classes and paths, with the default qconfig of the dtype:
  /// `{octet::ModuleType::of<nn::Linear>(), std::string("decoder.cell")}`.
  QConfigSpec(std::initializer_list<Choice> choices) : choices_(choices) {}  // NOLINT: implicit, as a set in Python
  explicit QConfigSpec(std::vector<Choice> choices) : choices_(std::move(choices)) {}

  /// A qconfig for each class, path or pattern; null keeps float. The dtype then comes from these qconfigs.
  QConfigSpec(QConfigMapping mapping) : mapping_(std::move(mapping)) {}  // NOLINT: implicit, as a dict in Python

  /// The rules that it stands for. @throws Error for a dtype that dynamic quantization does not know
  QConfigMapping resolve(DType dtype) const;

 private:
  std::optional<std::vector<Choice>> choices_;
  std::optional<QConfigMapping> mapping_;
};

/// Post-training dynamic quantization: swaps the modules that `qconfig_spec` chooses for ones with quantized weights, whose
/// activations are quantized anew with each call. torch.ao.quantization.quantize_dynamic, in place.
///
/// Slots (octet::nn::Linear, ...) are swapped wherever they are, modules of torch::nn where they sit in a Sequential; in a
/// typed member those cannot be, and the report says so. The model goes to eval mode. Everything is built before anything is
/// swapped, so an error leaves the model as it was.
///
/// Weights of 4 bits: `quantize_dynamic(model, octet::QConfigMapping(octet::int4_weight_only_qconfig()))`.
///
/// @param dtype    qint8 or float16, or quint8, quint4x2, quint2x4 for embeddings
/// @param mapping  which class takes the place of which
/// @return a row for each module: quantized, kept, or not swappable, and why
/// @throws Error for weights that cannot be quantized (NaN, unsupported options), with the module's path; for a rule that names
///         a path which the model does not have
Report quantize_dynamic(torch::nn::Module& model, const QConfigSpec& qconfig_spec = {}, DType dtype = qint8,
                        const ModuleMappings& mapping = default_dynamic_quant_module_mappings());

/// The same for a shared_ptr to a model or a module holder (`Net`).
/// @param inplace  false: the model stays as it is and a quantized clone is returned; true: the model itself is
/// @param report   where the report goes, if it is wanted
template <class Model>
  requires ModelPointer<Model>
Model quantize_dynamic(const Model& model, const QConfigSpec& qconfig_spec = {}, DType dtype = qint8,
                       const ModuleMappings& mapping = default_dynamic_quant_module_mappings(), bool inplace = false,
                       Report* report = nullptr) {
  return detail::on_model_or_clone(model, inplace, report,
                                   [&](Model& result) { return quantize_dynamic(*result, qconfig_spec, dtype, mapping); });
}

}  // namespace octet
