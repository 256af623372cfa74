#include <octet/tensor/error.h>
#include <octet/workflow/bias_correction.h>

#include <workflow/layer_study.h>

#include <vector>

namespace octet {
namespace {

/// The mean of each channel over many outputs, in double.
class ChannelMeans {
 public:
  void add(const at::Tensor& channels) {
    const at::Tensor sum = channels.sum(1, /*keepdim=*/false, at::kDouble);
    sum_ = count_ > 0 ? sum_ + sum : sum;
    count_ += channels.size(1);
  }
  at::Tensor value() const { return sum_ / static_cast<double>(count_); }

 private:
  at::Tensor sum_;
  int64_t count_ = 0;
};

}  // namespace

Report bias_correction(torch::nn::Module& model, const std::function<void()>& run_fn) {
  LayerStudy study("bias_correction", model, run_fn);
  std::vector<StudiedLayer>& layers = study.layers();
  std::vector<ChannelMeans> expected(layers.size());
  const auto observe = [&](size_t layer, const at::Tensor& input, ChannelMeans& means) {
    means.add(layers[layer].module.channels_as_rows(layers[layer].module.linear(input)));
  };
  study.run([&](size_t layer, const at::Tensor& input) { observe(layer, input, expected[layer]); });

  std::vector<at::Tensor> quantized, corrected;
  for (StudiedLayer& layer : layers) {
    const nn::QuantizedWeight weight = layer.quantize(layer.values_of(layer.weight));
    quantized.push_back(layer.as_weight(dequantize(weight.integers, weight)));
    layer.module.compute_with(quantized.back(), layer.bias);
  }
  Report report;
  for (size_t i = 0; i < layers.size(); ++i) {
    StudiedLayer& layer = layers[i];
    ChannelMeans means;
    study.run([&](size_t running, const at::Tensor& input) {
      if (running == i) observe(i, input, means);
    });
    const at::Tensor correction = expected[i].value() - means.value();
    check(correction.isfinite().all().item<bool>(), "bias_correction: ", layer.module.path(),
          ": the means of its outputs are not finite; look for NaN or infinite values in what run_fn runs");
    corrected.push_back((layer.bias.defined() ? layer.bias.detach() + correction : correction).to(layer.weight));
    layer.module.compute_with(quantized[i], corrected[i]);
    report.add({layer.module.path(), layer.module.type_name(), ModuleStatus::adjusted,
                c10::str("bias moved by up to ", correction.abs().max().item<float>())});
  }
  for (size_t i = 0; i < layers.size(); ++i) layers[i].replace_parameters({}, corrected[i]);
  for (const ReportRow& row : study.others().rows()) report.add(row);
  return report;
}

}  // namespace octet
