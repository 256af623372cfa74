#include <octet/tensor/error.h>

#include <workflow/rounding_choice.h>

#include <ATen/ops/clamp.h>
#include <ATen/ops/logit.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/where.h>

#include <tuple>
#include <utility>
#include <vector>

namespace octet {
namespace {

/// The lowest and the highest of the numbers that share a scale.
std::pair<at::Tensor, at::Tensor> ends(const at::Tensor& numbers, bool per_channel) {
  const std::vector<int64_t> dims = per_channel ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{0, 1, 2};
  return {numbers.amin(dims, /*keepdim=*/true), numbers.amax(dims, /*keepdim=*/true)};
}

}  // namespace

at::Tensor rectified_sigmoid(const at::Tensor& logits) { return at::clamp(1.2 * logits.sigmoid() - 0.1, 0, 1); }

RoundingChoice::RoundingChoice(const StudiedLayer& layer)
    : layer_(layer), values_(layer.values_of(layer.weight)), qparams_(layer.quantize(values_)) {
  const bool per_channel = qparams_.is_per_channel();
  nearest_ = qparams_.integers.to(at::kFloat);
  std::tie(lowest_, highest_) = ends(values_, per_channel);
  is_end_ = (values_ == lowest_).logical_or(values_ == highest_);

  const auto [lowest, highest] = ends(nearest_, per_channel);
  const at::Tensor below = at::where(values_ < dequantized(nearest_), nearest_ - 1, nearest_);
  below_ = at::where(is_end_, nearest_, at::maximum(below, lowest));
  above_ = at::where(is_end_, nearest_, at::minimum(below + 1, highest));
  float_weight(nearest_);
}

at::Tensor RoundingChoice::initial_logits() const {
  const at::Tensor start = dequantized(below_);
  const at::Tensor above = ((values_ - start) / (dequantized(below_ + 1) - start)).clamp(0, 1);
  return at::logit((above + 0.1) / 1.2);
}

at::Tensor RoundingChoice::between(const at::Tensor& up) const { return dequantized(below_ + up * (above_ - below_)); }

at::Tensor RoundingChoice::choose(const at::Tensor& up) const { return at::where(up, above_, below_); }

at::Tensor RoundingChoice::float_weight(const at::Tensor& integers) const {
  const at::Tensor within = at::minimum(at::maximum(dequantized(integers), lowest_), highest_);
  const at::Tensor weight = layer_.as_weight(at::where(is_end_, values_, within));
  const nn::QuantizedWeight found = layer_.quantize(layer_.values_of(weight));
  check(found.scale == qparams_.scale && found.zero_point == qparams_.zero_point && found.integers.to(at::kFloat).equal(integers),
        layer_.module.path(), ": the weight observer ", layer_.qconfig.weight.describe(), " finds other integers in the rounded ",
        weight.scalar_type(), " weights than were chosen, so that convert() would undo the choice; use a MinMaxObserver or a ",
        "PerChannelMinMaxObserver for weights of 32 bits");
  return weight;
}

}  // namespace octet
