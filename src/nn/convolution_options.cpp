#include <octet/nn/attributes.h>
#include <octet/nn/conv_packed_params.h>
#include <octet/tensor/error.h>

#include <c10/util/overloaded.h>
#include <torch/expanding_array.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <variant>

namespace octet::nn::quantized {
namespace {

using kernels::ConvolutionGeometry;
using kernels::Spatial;

/// The numbers of the last D dimensions; `absent` for the others.
template <size_t D>
Spatial spatial(const torch::ExpandingArray<D>& numbers, int64_t absent) {
  Spatial all;
  all.fill(absent);
  std::copy(numbers->begin(), numbers->end(), all.end() - D);
  return all;
}

/// Before and after each of D dimensions.
template <size_t D>
std::vector<int64_t> padding_of(const torch::nn::detail::ConvNdOptions<D>& options) {
  std::vector<int64_t> padding(2 * D, 0);
  std::visit(c10::overloaded([](torch::enumtype::kValid) {},
                             [&](torch::enumtype::kSame) {
                               for (size_t i = 0; i < D; ++i) {
                                 const int64_t total = options.dilation()->at(i) * (options.kernel_size()->at(i) - 1);
                                 padding[2 * i] = total / 2;
                                 padding[2 * i + 1] = total - total / 2;
                               }
                             },
                             [&](const torch::ExpandingArray<D>& both) {
                               for (size_t i = 0; i < D; ++i) padding[2 * i] = padding[2 * i + 1] = both->at(i);
                             }),
             options.padding());
  return padding;
}

constexpr std::array<std::string_view, 4> kPaddingModes{"zeros", "reflect", "replicate", "circular"};

/// The geometry's parts that are lists, under torch.nn's names.
struct ListAttribute {
  const char* name;
  Spatial ConvolutionGeometry::* member;
  int64_t least;
};
constexpr std::array<ListAttribute, 5> kLists{{{"kernel_size", &ConvolutionGeometry::kernel, 1},
                                               {"stride", &ConvolutionGeometry::stride, 1},
                                               {"padding", &ConvolutionGeometry::padding, 0},
                                               {"dilation", &ConvolutionGeometry::dilation, 1},
                                               {"output_padding", &ConvolutionGeometry::output_padding, 0}}};

/// So large that no product of sizes overflows, and beyond any use.
constexpr int64_t kMostChannels = 1 << 24, kMostSteps = 1 << 16;

}  // namespace

template <size_t D>
ConvolutionOptions ConvolutionOptions::from(const torch::nn::detail::ConvNdOptions<D>& options) {
  ConvolutionOptions result;
  result.dimensions = D;
  result.geometry = {.in_channels = options.in_channels(),
                     .out_channels = options.out_channels(),
                     .groups = options.groups(),
                     .kernel = spatial<D>(options.kernel_size(), 1),
                     .stride = spatial<D>(options.stride(), 1),
                     .padding = {0, 0, 0},
                     .dilation = spatial<D>(options.dilation(), 1),
                     .transposed = options.transposed(),
                     .output_padding = spatial<D>(options.output_padding(), 0)};
  result.padding_mode = kPaddingModes.at(options.padding_mode().index());
  const std::vector<int64_t> padding = padding_of<D>(options);
  bool is_even = true;
  for (size_t i = 0; i < D; ++i) is_even = is_even && padding[2 * i] == padding[2 * i + 1];
  if (result.padding_mode == "zeros" && is_even) {
    for (size_t i = 0; i < D; ++i) result.geometry.padding[3 - D + i] = padding[2 * i];
  } else if (std::any_of(padding.begin(), padding.end(), [](int64_t width) { return width != 0; })) {
    result.explicit_padding = padding;
  }
  return result;
}

template ConvolutionOptions ConvolutionOptions::from(const torch::nn::detail::ConvNdOptions<1>&);
template ConvolutionOptions ConvolutionOptions::from(const torch::nn::detail::ConvNdOptions<2>&);
template ConvolutionOptions ConvolutionOptions::from(const torch::nn::detail::ConvNdOptions<3>&);

void ConvolutionOptions::append_to(Attributes& attributes) const {
  attributes["in_channels"] = geometry.in_channels;
  attributes["out_channels"] = geometry.out_channels;
  attributes["groups"] = geometry.groups;
  attributes["transposed"] = geometry.transposed;
  for (const ListAttribute& list : kLists) {
    const Spatial& numbers = geometry.*list.member;
    attributes[list.name] = std::vector<int64_t>(numbers.end() - dimensions, numbers.end());
  }
  attributes["explicit_padding"] = explicit_padding;
  attributes["padding_mode"] = padding_mode;
}

ConvolutionOptions ConvolutionOptions::from(const Attributes& attributes, const std::string& where) {
  ConvolutionOptions options;
  const auto number = [&](const char* name, int64_t least, int64_t most) {
    const auto value = attribute<int64_t>(attributes, name, where);
    check(least <= value && value <= most, where, ": the attribute \"", name, "\" is ", value, ", expected ", least, " .. ", most);
    return value;
  };
  ConvolutionGeometry& geometry = options.geometry;
  geometry.in_channels = number("in_channels", 1, kMostChannels);
  geometry.out_channels = number("out_channels", 1, kMostChannels);
  geometry.groups = number("groups", 1, kMostChannels);
  check(geometry.in_channels % geometry.groups == 0 && geometry.out_channels % geometry.groups == 0, where, ": ", geometry.groups,
        " groups do not divide ", geometry.in_channels, " and ", geometry.out_channels, " channels");
  geometry.transposed = attribute<bool>(attributes, "transposed", where);
  options.dimensions = static_cast<int64_t>(attribute<std::vector<int64_t>>(attributes, "kernel_size", where).size());
  check(1 <= options.dimensions && options.dimensions <= 3, where, ": \"kernel_size\" has ", options.dimensions,
        " numbers, expected 1 to 3");
  const auto numbers = [&](const char* name, size_t count, int64_t least) {
    const auto& list = attribute<std::vector<int64_t>>(attributes, name, where);
    check(list.size() == count && std::all_of(list.begin(), list.end(), [&](int64_t n) { return least <= n && n <= kMostSteps; }),
          where, ": the attribute \"", name, "\" is [", c10::Join(", ", list), "], expected ", count, " numbers of ", least, " .. ",
          kMostSteps);
    return list;
  };
  for (const ListAttribute& list : kLists) {
    const auto values = numbers(list.name, options.dimensions, list.least);
    std::copy(values.begin(), values.end(), (geometry.*list.member).end() - options.dimensions);
  }
  if (!attribute<std::vector<int64_t>>(attributes, "explicit_padding", where).empty()) {
    options.explicit_padding = numbers("explicit_padding", 2 * options.dimensions, 0);
  }
  options.padding_mode = attribute<std::string>(attributes, "padding_mode", where);
  check(std::find(kPaddingModes.begin(), kPaddingModes.end(), options.padding_mode) != kPaddingModes.end(), where,
        ": unknown padding_mode \"", options.padding_mode, "\"; known: ", c10::Join(", ", kPaddingModes));
  return options;
}

}  // namespace octet::nn::quantized
