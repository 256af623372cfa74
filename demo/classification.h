// Forms of a classifier, side by side.
#pragma once

#include "comparison.h"
#include "inputs.h"
#include "result_table.h"
#include "static_quantization.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace demo {

/// What one form of a classifier did with a list of images.
struct Classification {
  std::vector<int64_t> classes;  ///< that with the highest score, for each image
  Agreement agreement;           ///< with the first form
  double ms_per_image = 0;
};

/// Gives the scores of one form of a classifier for an image, [1, classes].
using Scorer = std::function<torch::Tensor(const torch::Tensor& image)>;

/// Lets all forms of a classifier classify the images, in turns.
/// @param images  one each: [1, channels, height, width]
std::vector<Classification> classify(const std::vector<Scorer>& scorers, const Inputs& images);

template <class Model>
std::vector<Classification> classify(const std::vector<Form<Model>>& forms, const Inputs& images) {
  std::vector<Scorer> scorers;
  for (const auto& form : forms) {
    scorers.push_back([net = form.net](const torch::Tensor& image) mutable { return net->forward(image); });
  }
  return classify(scorers, images);
}

/// A line for each module: its path, its class, and the SQNR of its output.
std::string format_layers(const std::vector<LayerSqnr>& layers);
void show_layers(const std::string& variant, const std::vector<LayerSqnr>& layers);

/// Prints what was measured of the forms.
void show_forms(const ResultTable& table);

/// Prints the SQNR of each module of the second form, against the first, which is float.
template <class Model>
void show_layers(std::vector<Form<Model>>& forms, const torch::Tensor& images) {
  const torch::NoGradGuard no_grad;
  show_layers(forms[1].variant, layer_sqnr(*forms[0].net, *forms[1].net, [&] {
                forms[0].net->forward(images);
                forms[1].net->forward(images);
              }));
}

}  // namespace demo
