#include <octet/kernels/convolution_algorithm.h>

#include <array>
#include <atomic>

#include "kernels/convolution_winograd.h"
#include "kernels/gemm_block.h"
#include "kernels/kernel_table.h"

namespace octet::kernels {
namespace {

constexpr int kNone = -1;
std::atomic<int> forced_algorithm = kNone;

struct Candidate {
  ConvolutionAlgorithm algorithm;
  int64_t outputs;
};
constexpr Candidate kWinograd[] = {{ConvolutionAlgorithm::winograd_2x2, 2}, {ConvolutionAlgorithm::winograd_4x4, 4}};

double gemm_cost(const ConvolutionGeometry& g, const Spatial& out_size, int64_t batch, int64_t depth) {
  constexpr int64_t kOfASum = 40;   // what it takes to gather its row's activations and to requantize it, in products
  constexpr int64_t kOfAByte = 16;  // what more it takes to gather a byte for a group, as few columns meet it
  const int64_t columns = ceil_div(g.out_channels / g.groups, kColumns) * kColumns;
  const int64_t group_cost = columns * (depth + kOfASum) + (g.groups > 1 ? kOfAByte * depth : 0);
  return static_cast<double>(batch * out_size[0] * out_size[1] * out_size[2] * g.groups * group_cost);
}

}  // namespace

std::string_view name(ConvolutionAlgorithm algorithm) {
  constexpr std::array<std::string_view, 4> kNames{"gemm", "depthwise", "winograd 2x2", "winograd 4x4"};
  return kNames.at(static_cast<size_t>(algorithm));
}

ConvolutionAlgorithm choose_algorithm(const KernelTable& table, const ConvolutionInput& input, const PackedConvolution& weight,
                                      bool affine) {
  const ConvolutionGeometry& g = weight.geometry();
  if (is_depthwise(g)) return ConvolutionAlgorithm::depthwise;
  const Spatial out_size = g.output_size(input.size);
  const int forced = forced_algorithm.load(std::memory_order_acquire);
  ConvolutionAlgorithm cheapest = ConvolutionAlgorithm::gemm;
  const double products = gemm_cost(g, out_size, input.batch, weight.depth());
  double least = products;
  for (const auto& [algorithm, outputs] : kWinograd) {
    if (!has_winograd(table, weight, affine, outputs)) continue;
    if (forced == static_cast<int>(algorithm)) return algorithm;
    const double cost = winograd_cost(table, weight, out_size, input.batch, outputs);
    if (cost >= least) continue;
    least = cost;
    cheapest = algorithm;
  }
  if (forced != kNone) return ConvolutionAlgorithm::gemm;
  // Not asked for before it matters, as clipped weights take memory.
  constexpr double kOfClipped = 0.82;
  const PackedWeight& first_group = weight.layout().phases[0].groups[0];
  const int64_t pixels = input.batch * out_size[0] * out_size[1] * out_size[2];
  if (least > kOfClipped * products && takes_clipped_weight(table, first_group, pixels)) return ConvolutionAlgorithm::gemm;
  return cheapest;
}

ConvolutionAlgorithm convolution_algorithm(const ConvolutionInput& input, const PackedConvolution& weight, bool affine) {
  return choose_algorithm(kernels(), input, weight.layout().joined.value_or(weight), affine);
}

ScopedConvolutionAlgorithm::ScopedConvolutionAlgorithm(ConvolutionAlgorithm algorithm)
    : previous_(forced_algorithm.exchange(static_cast<int>(algorithm))) {}

ScopedConvolutionAlgorithm::~ScopedConvolutionAlgorithm() { forced_algorithm.store(previous_); }

}  // namespace octet::kernels
