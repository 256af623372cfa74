// How near a quantized classifier comes to the float one.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}

namespace demo {

/// Signal to quantization noise, over any number of pairs of tensors.
class Sqnr {
 public:
  /// @param reference, other  of the same shape; quantized ones count as what they stand for
  void add(const torch::Tensor& reference, const torch::Tensor& other);

  /// 10 log10(sum of reference^2 / sum of (reference - other)^2); infinite where there is no noise.
  double db() const;

 private:
  double signal_ = 0, noise_ = 0;
};

/// How the scores that a classifier gives to images compare with those of another.
class Agreement {
 public:
  /// @param reference, other  scores of one image, [1, classes]
  void add(const torch::Tensor& reference, const torch::Tensor& other);

  double top1() const { return share(top1_); }  ///< share of images for which both have the same class first
  double top5() const {
    return share(top5_);
  }  ///< share of images for which the first of the reference is in the other's first five
  double sqnr_db() const { return sqnr_.db(); }

 private:
  double share(int64_t count) const { return static_cast<double>(count) / static_cast<double>(images_); }

  int64_t images_ = 0, top1_ = 0, top5_ = 0;
  Sqnr sqnr_;
};

/// One module of a network, and the SQNR of its output.
struct LayerSqnr {
  std::string path;
  std::string type;  ///< "ConvReLU2d"
  double db;
};

/// Compares the outputs of each slot of two forms of one network, which hooks record. Modules that became part of others are
/// left out.
/// @param run  calls forward of both, with the same input
std::vector<LayerSqnr> layer_sqnr(torch::nn::Module& reference, torch::nn::Module& other, const std::function<void()>& run);

}  // namespace demo
