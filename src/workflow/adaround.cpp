#include <octet/tensor/error.h>
#include <octet/workflow/adaround.h>

#include <workflow/layer_study.h>
#include <workflow/rounding_choice.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/randint.h>
#include <torch/optim/adam.h>
#include <torch/utils.h>

#include <cmath>
#include <vector>

namespace octet {
namespace {

/// What a layer gets in the rounded model and what it is to return, in batches of samples of one shape each.
class Samples {
 public:
  struct Batch {
    at::Tensor input, output;
  };

  /// @param outputs  that belong to the inputs, call by call
  Samples(const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& outputs, const std::string& path) {
    bool same = inputs.size() == outputs.size();
    for (size_t i = 0; same && i < inputs.size(); ++i) same = inputs[i].size(0) == outputs[i].size(0);
    check(same, "adaround: ", path,
          " got other inputs in one run of run_fn than in another; it must run the same data each time");
    for (size_t i = 0; i < inputs.size();) {
      size_t end = i + 1;
      while (end < inputs.size() && is_like(inputs[end], inputs[i]) && is_like(outputs[end], outputs[i])) ++end;
      const auto joined = [&](const auto& calls) { return at::cat(std::vector(calls.begin() + i, calls.begin() + end)); };
      batches_.push_back({joined(inputs), joined(outputs)});
      size_ += batches_.back().input.size(0);
      i = end;
    }
  }

  const std::vector<Batch>& batches() const { return batches_; }

  /// Samples at random, all of the shape of the first.
  Batch draw(int64_t count, const at::Generator& generator) const {
    int64_t first = at::randint(size_, {1}, generator).item<int64_t>();
    size_t batch = 0;
    while (first >= batches_[batch].input.size(0)) first -= batches_[batch++].input.size(0);
    const at::Tensor chosen = at::randint(batches_[batch].input.size(0), {count}, generator);
    return {batches_[batch].input.index_select(0, chosen), batches_[batch].output.index_select(0, chosen)};
  }

 private:
  static bool is_like(const at::Tensor& a, const at::Tensor& b) { return a.sizes().slice(1) == b.sizes().slice(1); }

  std::vector<Batch> batches_;
  int64_t size_ = 0;
};

/// The samples of a layer: what it returns with the weights that it computes with now is what it is to return.
Samples gather(LayerStudy& study, size_t index, const std::vector<at::Tensor>& rounded) {
  std::vector<StudiedLayer>& layers = study.layers();
  const WeightedModule& module = layers[index].module;
  const auto run = [&](const auto& keep) {
    study.run([&](size_t running, const at::Tensor& input) {
      if (running == index) keep(module.as_batch(input));
    });
  };
  std::vector<at::Tensor> inputs, outputs;
  for (size_t i = 0; i < index; ++i) layers[i].module.compute_with(layers[i].weight, layers[i].bias);
  run([&](const at::Tensor& input) { outputs.push_back(module.forward(input)); });
  for (size_t i = 0; i < index; ++i) layers[i].module.compute_with(rounded[i], layers[i].bias);
  run([&](const at::Tensor& input) { inputs.push_back(input.clone()); });
  return {inputs, outputs, module.path()};
}

/// The mean squared error of a layer's outputs with these values as its weight.
double error_of(StudiedLayer& layer, const at::Tensor& values, const Samples& samples) {
  const torch::NoGradGuard no_grad;
  layer.module.compute_with(layer.as_weight(values), layer.bias);
  double sum = 0;
  int64_t count = 0;
  for (const Samples::Batch& batch : samples.batches()) {
    sum += (layer.module.forward(batch.input) - batch.output).square().sum(at::kDouble).item<double>();
    count += batch.output.numel();
  }
  return sum / static_cast<double>(count);
}

/// The exponent in an iteration after the warm start: half a period of a cosine.
double beta_at(double progress, const AdaRoundOptions& options) {
  return options.beta_end() + 0.5 * (options.beta_start() - options.beta_end()) * (1 + std::cos(progress * M_PI));
}

/// Which weights are to be rounded up.
at::Tensor learn(StudiedLayer& layer, const RoundingChoice& choice, const Samples& samples, double nearest_error,
                 const AdaRoundOptions& options, const std::function<void(int64_t)>& progress) {
  const torch::AutoGradMode with_gradients(true);
  const at::Tensor logits = choice.initial_logits().requires_grad_(true);
  const at::Tensor bias = layer.bias.defined() ? layer.bias.detach() : layer.bias;
  torch::optim::Adam optimizer({logits}, torch::optim::AdamOptions(options.learning_rate()));
  const at::Generator generator = at::detail::createCPUGenerator(options.seed());
  const double warm = options.warm_start() * static_cast<double>(options.iterations());
  for (int64_t i = 0; i < options.iterations(); ++i) {
    const Samples::Batch batch = samples.draw(options.batch_size(), generator);
    const at::Tensor up = rectified_sigmoid(logits);
    layer.module.compute_with(layer.as_weight(choice.between(up)), bias);
    at::Tensor loss = at::mse_loss(layer.module.forward(batch.input), batch.output) / nearest_error;
    if (const double step = static_cast<double>(i); step >= warm) {
      const double beta = beta_at((step - warm) / (static_cast<double>(options.iterations()) - warm), options);
      loss = loss + options.regularization() * (1 - (2 * up - 1).abs().pow(beta)).mean();
    }
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    progress(i + 1);
  }
  return rectified_sigmoid(logits.detach()) >= 0.5;
}

void check_options(const AdaRoundOptions& options) {
  check(options.iterations() > 0 && options.batch_size() > 0, "adaround: got ", options.iterations(),
        " iterations and a batch size of ", options.batch_size(), ", expected positive numbers");
  check(0 <= options.warm_start() && options.warm_start() <= 1, "adaround: got a warm start of ", options.warm_start(),
        ", expected 0 to 1, a part of the iterations");
}

}  // namespace

Report adaround(torch::nn::Module& model, const std::function<void()>& run_fn, const AdaRoundOptions& options) {
  check_options(options);
  LayerStudy study("adaround", model, run_fn);
  std::vector<StudiedLayer>& layers = study.layers();
  std::vector<RoundingChoice> choices;
  for (const StudiedLayer& layer : layers) choices.emplace_back(layer);

  Report report;
  std::vector<at::Tensor> weights, rounded;  // where they change; and what convert() computes with
  for (size_t i = 0; i < layers.size(); ++i) {
    StudiedLayer& layer = layers[i];
    const RoundingChoice& choice = choices[i];
    const auto progress = [&](int64_t iteration) {
      if (!options.progress()) return;
      options.progress()(
          {layer.module.path(), static_cast<int64_t>(i), static_cast<int64_t>(layers.size()), iteration, options.iterations()});
    };
    const Samples samples = gather(study, i, rounded);
    at::Tensor integers = choice.nearest();
    ReportRow row{layer.module.path(), layer.module.type_name(), ModuleStatus::kept,
                  "rounding to nearest is the best that was found"};
    if (const double nearest_error = error_of(layer, choice.dequantized(integers), samples); nearest_error > 0) {
      const at::Tensor learned = choice.choose(learn(layer, choice, samples, nearest_error, options, progress));
      const double error = error_of(layer, choice.dequantized(learned), samples);
      if (error < nearest_error) {
        row.status = ModuleStatus::adjusted;
        row.detail = c10::str((learned != integers).sum().item<int64_t>(), " of ", learned.numel(),
                              " weights rounded the other way; the mean squared error of its outputs is ", error, ", to nearest ",
                              nearest_error);
        integers = learned;
      }
    }
    weights.push_back(row.status == ModuleStatus::adjusted ? choice.float_weight(integers) : at::Tensor());
    rounded.push_back(layer.as_weight(choice.dequantized(integers)));
    layer.module.compute_with(rounded.back(), layer.bias);
    report.add(std::move(row));
  }
  for (size_t i = 0; i < layers.size(); ++i) layers[i].replace_parameters(weights[i], {});
  for (const ReportRow& row : study.others().rows()) report.add(row);
  return report;
}

}  // namespace octet
