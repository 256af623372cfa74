// What bias correction and AdaRound have in common: they change the layers of a prepared model one after the other by what flows
// through them.
#pragma once

#include <octet/observe/qconfig.h>
#include <octet/workflow/report.h>

#include <workflow/weighted_module.h>

#include <nn/quantized_weight.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace octet {

/// The values of integers, which may be those of `weight` or others with its qparams. [out, in / groups, kernel]
at::Tensor dequantize(const at::Tensor& integers, const nn::QuantizedWeight& weight);

/// A Linear or a convolution whose weight convert() will quantize.
struct StudiedLayer {
  WeightedModule module;
  QConfig qconfig;
  at::Tensor weight, bias;  ///< its own, whatever it computes with in the meantime

  /// The values of a weight in one layout for all modules, [out, in / groups, kernel], on the CPU; and back.
  at::Tensor values_of(const at::Tensor& of_weight) const;
  at::Tensor as_weight(const at::Tensor& values) const;

  /// What convert() makes of such values.
  nn::QuantizedWeight quantize(const at::Tensor& values) const;

  /// Gives it new parameters of its own; undefined ones leave theirs.
  void replace_parameters(const at::Tensor& new_weight, const at::Tensor& new_bias);
};

/// A prepared and calibrated model under study: what its layers get as their input, while they compute with the weights that the
/// caller gives them (StudiedLayer::module.compute_with). Observers are away meanwhile and see nothing of it. The destructor puts
/// them and the layers' own parameters back.
class LayerStudy {
 public:
  /// Runs the model once, to learn in which order its layers run.
  /// @param workflow  its name, for errors
  /// @throws Error for a model in training mode, not prepared or not calibrated, and where no layer is reached
  LayerStudy(std::string_view workflow, torch::nn::Module& model, const std::function<void()>& run_fn);
  LayerStudy(const LayerStudy&) = delete;
  ~LayerStudy();

  /// Those that run, in this order.
  std::vector<StudiedLayer>& layers() { return layers_; }

  /// Runs the model without gradients. `see` gets the input of each call of each layer, in their order.
  void run(const std::function<void(size_t layer, const at::Tensor& input)>& see) const;

  /// Rows that say why the other Linears and convolutions are left alone.
  const Report& others() const { return others_; }

 private:
  void restore();

  std::vector<StudiedLayer> layers_;
  std::vector<std::pair<nn::SlotBase*, std::shared_ptr<ObserverBase>>> observers_;
  std::function<void()> run_fn_;
  Report others_;
};

}  // namespace octet
