#include "classification.h"

#include "result_table.h"
#include "timing.h"

#include <fmt/format.h>
#include <torch/torch.h>

namespace demo {

std::vector<Classification> classify(const std::vector<Scorer>& scorers, const Inputs& images) {
  const torch::NoGradGuard no_grad;
  const auto count = static_cast<size_t>(images.size);
  std::vector<std::vector<torch::Tensor>> scores(scorers.size(), std::vector<torch::Tensor>(count));
  torch::Tensor image;
  const auto times = time_in_turns(
      fmt::format("{} images", count), scorers.size(), count,
      [&](size_t form, size_t item) { scores[form][item] = scorers[form](image); },
      [&](size_t item) { image = images.get(static_cast<int64_t>(item)); });

  std::vector<Classification> results(scorers.size());
  for (size_t form = 0; form < scorers.size(); ++form) {
    Classification& result = results[form];
    result.ms_per_image = times[form];
    for (size_t item = 0; item < count; ++item) {
      result.classes.push_back(scores[form][item].argmax().item<int64_t>());
      result.agreement.add(scores.front()[item], scores[form][item]);
    }
  }
  return results;
}

std::string format_layers(const std::vector<LayerSqnr>& layers) {
  std::vector<std::vector<std::string>> lines{{"module", "class", "SQNR"}};
  for (const LayerSqnr& layer : layers) lines.push_back({layer.path, layer.type, fmt::format("{:.1f} dB", layer.db)});
  return align(lines);
}

void show_layers(const std::string& variant, const std::vector<LayerSqnr>& layers) {
  fmt::print("\nLayer by layer ({}):\n\n{}", variant, format_layers(layers));
}

void show_forms(const ResultTable& table) {
  fmt::print("\nOne image at a time, threads: {}; fp32 with its batch norms folded\n\n{}", at::get_num_threads(), table.format());
}

}  // namespace demo
