#include <octet/nn/conv_packed_params.h>
#include <octet/nn/verbose.h>
#include <octet/observe/default_qconfigs.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/quantize.h>
#include <octet/tensor/quantized_tensor.h>

#include <gtest/gtest.h>
#include <support/errors.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace octet {
namespace {

using nn::OutputQParams;
using nn::quantized::ConvolutionOptions;
using nn::quantized::ConvPackedParams;
using test::error_text;

const QConfig kPerTensor = default_qconfig;
const QConfig kPerChannel = default_per_channel_qconfig;

/// The value of a result channel by the formula of docs/arithmetic.md, from a sum that is exact.
at::Tensor requantized(const at::Tensor& sums, const at::Tensor& scales, double in_scale, const at::Tensor& bias,
                       const OutputQParams& output, bool relu) {
  const float inverse = 1.0f / static_cast<float>(output.scale);
  const at::Tensor rows = sums.movedim(1, 0).reshape({sums.size(1), -1}).contiguous();
  at::Tensor out = torch::empty_like(rows, at::kLong);
  for (int64_t c = 0; c < rows.size(0); ++c) {
    const float scale = scales[scales.numel() > 1 ? c : 0].item<float>();
    const float multiplier = static_cast<float>(in_scale) * scale * inverse;
    const float offset = bias.defined() ? bias[c].item<float>() * inverse : 0.0f;
    const double* const sum = rows[c].const_data_ptr<double>();
    int64_t* const q = out[c].data_ptr<int64_t>();
    for (int64_t i = 0; i < rows.size(1); ++i) {
      const double y = std::nearbyint(std::fma(static_cast<float>(sum[i]), multiplier, offset)) + static_cast<double>(output.zero_point);
      const double low = static_cast<double>(relu ? std::max(output.zero_point, output.quant_min) : output.quant_min);
      q[i] = static_cast<int64_t>(std::clamp(y, low, static_cast<double>(output.quant_max)));
    }
  }
  std::vector<int64_t> sizes = sums.movedim(1, 0).sizes().vec();
  return out.reshape(sizes).movedim(0, 1);
}

/// Exact sums: convolutions of ATen in double on integers that are centered at their zero point.
at::Tensor sums_of(const at::Tensor& centered, const at::Tensor& weight, const ConvolutionOptions& options) {
  const auto last = [&](const kernels::Spatial& all) { return std::vector<int64_t>(all.end() - options.dimensions, all.end()); };
  const auto& g = options.geometry;
  return at::convolution(centered, weight.to(at::kDouble), {}, last(g.stride), last(g.padding), last(g.dilation), g.transposed,
                         last(g.output_padding), g.groups);
}

at::Tensor centered(const at::Tensor& quantized) {
  return octet::int_repr(quantized).to(at::kDouble) - static_cast<double>(octet::q_zero_point(quantized));
}

struct Case {
  std::string name;
  ConvolutionOptions options;
  std::vector<int64_t> weight;
  std::vector<int64_t> input;
};

template <size_t D>
Case make_case(torch::nn::detail::ConvNdOptions<D> options, std::vector<int64_t> sizes) {
  const int64_t first = options.transposed() ? options.in_channels() : options.out_channels();
  const int64_t second = (options.transposed() ? options.out_channels() : options.in_channels()) / options.groups();
  std::vector<int64_t> weight{first, second}, input{2, options.in_channels()};
  weight.insert(weight.end(), options.kernel_size()->begin(), options.kernel_size()->end());
  input.insert(input.end(), sizes.begin(), sizes.end());
  return {c10::str(D, "d groups ", options.groups(), " stride ", options.stride(), " dilation ", options.dilation(), " transposed ",
                   options.transposed(), " kernel ", options.kernel_size(), " output_padding ", options.output_padding(), " in ",
                   options.in_channels(), " out ", options.out_channels()),
          ConvolutionOptions::from(options), weight, input};
}

std::vector<Case> cases() {
  using One = torch::nn::detail::ConvNdOptions<1>;
  using Two = torch::nn::detail::ConvNdOptions<2>;
  using Three = torch::nn::detail::ConvNdOptions<3>;
  std::vector<Case> all;
  for (const bool transposed : {false, true}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t padding : {0, 1, 2}) {
        for (const int64_t dilation : {1, 2}) {
          for (const auto& [in, out, groups] : {std::array<int64_t, 3>{3, 5, 1}, {4, 6, 2}, {5, 5, 5}, {3, 6, 3}}) {
            const auto with = [&](auto options) {
              options.stride(stride).padding(padding).dilation(dilation).groups(groups).transposed(transposed);
              if (transposed) options.output_padding(std::min(stride, dilation) - 1);
              return options;
            };
            all.push_back(make_case<1>(with(One(in, out, 3)), {9}));
            all.push_back(make_case<2>(with(Two(in, out, {3, 2})), {7, 8}));
            if (stride < 3 && dilation == 1) all.push_back(make_case<3>(with(Three(in, out, {2, 3, 1})), {5, 6, 7}));
          }
        }
      }
    }
  }
  return all;
}

TEST(ConvPackedParams, GivesTheExactSumsByTheFormulaForAllOptions) {
  torch::manual_seed(3);
  const OutputQParams outputs[] = {{0.071, 93, quint8, 0, 255}, {0.05, -11, qint8, -128, 127}};
  int64_t number = 0;
  for (const Case& one : cases()) {
    for (const QConfig* qconfig : {&kPerTensor, &kPerChannel}) {
      const OutputQParams& output = outputs[number % 2];
      const bool relu = number % 3 == 0;
      const at::Tensor bias = number % 4 == 0 ? at::Tensor() : torch::randn(one.options.geometry.out_channels);
      const DType dtype = number % 5 < 3 ? quint8 : qint8;
      ++number;
      const auto params = ConvPackedParams::from_float(torch::randn(one.weight), bias, one.options, *qconfig, "conv");
      const at::Tensor input = quantize_per_tensor(torch::randn(one.input) * 2, 0.03, dtype == quint8 ? 121 : 3, dtype);
      nn::StateDict state;
      params.append_to(state);
      const at::Tensor sums = sums_of(centered(input), state["weight"], one.options);
      const at::Tensor expected = requantized(sums, state["weight_scale"], 0.03, bias, output, relu);
      const at::Tensor result = params.apply(input, output, relu);
      ASSERT_TRUE(octet::int_repr(result).to(at::kLong).equal(expected)) << one.name << " relu " << relu << " dtype " << dtype;
      EXPECT_EQ(octet::q_scale(result), output.scale);
      EXPECT_EQ(octet::q_zero_point(result), output.zero_point);
    }
  }
}

TEST(ConvPackedParams, SaysWhatItDoesIfAsked) {
  const auto options = ConvolutionOptions::from(torch::nn::detail::ConvNdOptions<2>(3, 5, 3).padding(1).stride(2));
  const auto params = ConvPackedParams::from_float(torch::randn({5, 3, 3, 3}), {}, options, kPerChannel, "conv");
  const at::Tensor input = quantize_per_tensor(torch::randn({1, 3, 8, 6}), 0.03, 121, quint8);
  const auto said = [&] {
    const ModulePathScope scope("layer1.conv2");
    testing::internal::CaptureStderr();
    params.apply(input, {0.071, 93, quint8, 0, 255}, /*relu=*/false);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said(), "");
  nn::set_verbose(true);
  const std::string line = said();
  nn::set_verbose(false);
  EXPECT_EQ(line.find("octet: layer1.conv2: convolution by gemm on "), 0) << line;
  EXPECT_NE(line.find(", [1, 3, 8, 6] -> [1, 5, 4, 3], "), std::string::npos) << line;
  EXPECT_EQ(line.substr(line.size() - 4), " ms\n") << line;
  EXPECT_EQ(said(), "");
}

TEST(ConvPackedParams, QuantizesTransposedWeightsPerOutputChannelWithGroupsToo) {
  // Two groups of two inputs and two outputs; the largest weight of each output channel is known.
  const at::Tensor weight = torch::tensor({1.f, 2.f, -0.5f, 1.f, 4.f, 8.f, 2.f, 16.f}).reshape({4, 2, 1});
  const auto options = ConvolutionOptions::from(torch::nn::detail::ConvNdOptions<1>(4, 4, 1).groups(2).transposed(true));
  const auto params = ConvPackedParams::from_float(weight, {}, options, kPerChannel, "up");
  nn::StateDict state;
  params.append_to(state);
  EXPECT_TRUE(at::allclose(state["weight_scale"], torch::tensor({1.f, 2.f, 4.f, 16.f}) / 127.5));
  // 127.5 steps are more than the dtype has; 63.75 round to 64.
  EXPECT_TRUE(state["weight"].equal(torch::tensor({127, 127, -64, 64, 127, 64, 64, 127}, at::kChar).reshape({4, 2, 1})));
}

TEST(ConvPackedParams, PadsInAllModesLikeTorchPadsNumbers) {
  torch::manual_seed(4);
  const OutputQParams output{0.1, 128, quint8, 0, 255};
  const std::pair<torch::nn::detail::conv_padding_mode_t, torch::nn::functional::PadFuncOptions::mode_t> modes[] = {
      {torch::kReflect, torch::kReflect}, {torch::kReplicate, torch::kReplicate}, {torch::kCircular, torch::kCircular}};
  for (const auto& [mode, pad_mode] : modes) {
    const auto module_options = torch::nn::detail::ConvNdOptions<2>(3, 4, {3, 2}).padding({2, 1}).stride(2).padding_mode(mode);
    const auto options = ConvolutionOptions::from(module_options);
    const auto params = ConvPackedParams::from_float(torch::randn({4, 3, 3, 2}), {}, options, kPerChannel, "conv");
    const at::Tensor input = quantize_per_tensor(torch::randn({2, 3, 6, 5}), 0.03, 121, quint8);
    nn::StateDict state;
    params.append_to(state);
    namespace F = torch::nn::functional;
    const at::Tensor padded = F::pad(centered(input), F::PadFuncOptions({1, 1, 2, 2}).mode(pad_mode));
    const at::Tensor expected = requantized(sums_of(padded, state["weight"], options), state["weight_scale"], 0.03, {}, output, false);
    EXPECT_TRUE(octet::int_repr(params.apply(input, output, false)).to(at::kLong).equal(expected)) << options.padding_mode;
    EXPECT_NE(error_text([&] { params.apply(quantize_per_tensor(torch::randn({1, 3, 1, 1}), 0.03, 121, quint8), output, false); })
                  .find(options.padding_mode == "replicate" ? "no error" : "along a dimension that is padded by"),
              std::string::npos)
        << options.padding_mode;
  }
}

TEST(ConvPackedParams, PadsSameAsTorchDoesWithOneMoreBehindWhereTheKernelIsEven) {
  torch::manual_seed(5);
  const OutputQParams output{0.1, 128, quint8, 0, 255};
  const auto options = ConvolutionOptions::from(torch::nn::detail::ConvNdOptions<2>(3, 4, {4, 3}).padding(torch::kSame));
  const auto params = ConvPackedParams::from_float(torch::randn({4, 3, 4, 3}), {}, options, kPerTensor, "conv");
  const at::Tensor input = quantize_per_tensor(torch::randn({2, 3, 6, 5}), 0.03, 121, quint8);
  nn::StateDict state;
  params.append_to(state);
  const at::Tensor sums = at::conv2d(centered(input), state["weight"].to(at::kDouble), {}, 1, "same");
  const at::Tensor expected = requantized(sums, state["weight_scale"], 0.03, {}, output, false);
  EXPECT_TRUE(octet::int_repr(params.apply(input, output, false)).to(at::kLong).equal(expected));
}

TEST(ConvPackedParams, TakesAnyLayoutAndGivesChannelsLast) {
  torch::manual_seed(6);
  const OutputQParams output{0.1, 128, quint8, 0, 255};
  const auto options = ConvolutionOptions::from(torch::nn::detail::ConvNdOptions<2>(8, 16, 3).padding(1));
  const auto params = ConvPackedParams::from_float(torch::randn({16, 8, 3, 3}), torch::randn(16), options, kPerChannel, "conv");
  const at::Tensor values = torch::randn({2, 8, 6, 5});
  const at::Tensor input = quantize_per_tensor(values, 0.03, 121, quint8);
  const at::Tensor expected = params.apply(input, output, true);
  EXPECT_TRUE(expected.is_contiguous(at::MemoryFormat::ChannelsLast));
  const at::Tensor last = quantize_per_tensor(values.contiguous(at::MemoryFormat::ChannelsLast), 0.03, 121, quint8);
  const at::Tensor transposed = quantize_per_tensor(values.transpose(2, 3).contiguous(), 0.03, 121, quint8).transpose(2, 3);
  for (const at::Tensor& other : {last, transposed}) EXPECT_TRUE(octet::int_repr(params.apply(other, output, true)).equal(octet::int_repr(expected)));
  const at::Tensor one = params.apply(input[1], output, true);
  EXPECT_TRUE(octet::int_repr(one).equal(octet::int_repr(expected)[1]));
  EXPECT_EQ(params.apply(quantize_per_tensor(torch::empty({0, 8, 6, 5}), 0.03, 121, quint8), output, true).sizes(),
            (std::vector<int64_t>{0, 16, 6, 5}));
}

TEST(ConvPackedParams, AddsAResidualBeforeTheRelu) {
  torch::manual_seed(7);
  const OutputQParams output{0.11, 40, quint8, 0, 255};
  const auto options = ConvolutionOptions::from(torch::nn::detail::ConvNdOptions<2>(3, 4, 1));
  const auto params = ConvPackedParams::from_float(torch::randn({4, 3, 1, 1}), {}, options, kPerTensor, "conv");
  const at::Tensor input = quantize_per_tensor(torch::randn({2, 3, 6, 5}), 0.03, 121, quint8);
  const at::Tensor residual = quantize_per_tensor(torch::randn({2, 4, 6, 5}) * 3, 0.05, 100, quint8);
  nn::StateDict state;
  params.append_to(state);
  const at::Tensor sums = sums_of(centered(input), state["weight"], options);
  const float inverse = 1.0f / 0.11f;
  const float multiplier = 0.03f * state["weight_scale"].item<float>() * inverse, residual_multiplier = 0.05f * inverse;
  const at::Tensor result = params.apply(input, output, true, &residual);
  const at::Tensor added = centered(residual).contiguous(), flat = sums.contiguous();
  const at::Tensor q = octet::int_repr(result).to(at::kLong).contiguous();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    const float sum = static_cast<float>(flat.const_data_ptr<double>()[i]);
    const float y = std::fma(static_cast<float>(added.const_data_ptr<double>()[i]), residual_multiplier, std::fma(sum, multiplier, 0.0f));
    ASSERT_EQ(q.const_data_ptr<int64_t>()[i], std::clamp<int64_t>(std::lrint(y) + 40, 40, 255)) << i;
  }
  EXPECT_NE(error_text([&] {
              const at::Tensor other = residual.slice(3, 0, 4);
              params.apply(input, output, true, &other);
            }).find("got a residual of shape [2, 4, 6, 4], expected [2, 4, 6, 5]"),
            std::string::npos);
}

TEST(ConvPackedParams, ComesBackFromItsStateAndRefusesABadOne) {
  torch::manual_seed(8);
  const OutputQParams output{0.1, 128, quint8, 0, 255};
  const auto options = ConvolutionOptions::from(
      torch::nn::detail::ConvNdOptions<2>(4, 6, {3, 2}).groups(2).transposed(true).stride({2, 1}).padding({1, 0}).output_padding({1, 0}));
  const auto params = ConvPackedParams::from_float(torch::randn({4, 3, 3, 2}), torch::randn(6), options, kPerChannel, "up");
  nn::StateDict state;
  nn::Attributes attributes;
  params.append_to(state);
  params.append_to(attributes);
  const auto again = ConvPackedParams::from_state(state, attributes, "up");
  const at::Tensor input = quantize_per_tensor(torch::randn({1, 4, 5, 5}), 0.03, 121, quint8);
  EXPECT_TRUE(octet::int_repr(again.apply(input, output, false)).equal(octet::int_repr(params.apply(input, output, false))));
  EXPECT_EQ(again.weight_bytes(), params.weight_bytes());

  const auto refuses = [&](const std::string& name, const std::variant<bool, int64_t, double, std::string, std::vector<int64_t>>& value,
                           const std::string& text) {
    nn::Attributes changed = attributes;
    changed[name] = value;
    EXPECT_NE(error_text([&] { ConvPackedParams::from_state(state, changed, "up"); }).find(text), std::string::npos)
        << name << ": " << error_text([&] { ConvPackedParams::from_state(state, changed, "up"); });
  };
  refuses("groups", int64_t{0}, "\"groups\" is 0");
  refuses("groups", int64_t{3}, "3 groups do not divide 4 and 6 channels");
  refuses("stride", std::vector<int64_t>{0, 1}, "\"stride\" is [0, 1]");
  refuses("stride", std::vector<int64_t>{1}, "\"stride\" is [1]");
  refuses("stride", std::string("2"), "\"stride\" has the wrong type");
  refuses("kernel_size", std::vector<int64_t>{3, 2, 1, 1}, "has 4 numbers");
  refuses("kernel_size", std::vector<int64_t>{3, 3}, "\"weight\" is a Char tensor of shape [4, 3, 3, 2]");
  refuses("in_channels", std::numeric_limits<int64_t>::max(), "\"in_channels\" is");
  refuses("padding_mode", std::string("mirror"), "unknown padding_mode \"mirror\"");
  state["weight_scale"] = torch::tensor({1.f, 1.f, 0.f, 1.f, 1.f, 1.f});
  EXPECT_NE(error_text([&] { ConvPackedParams::from_state(state, attributes, "up"); }).find("not positive and finite"), std::string::npos);
}

TEST(ConvPackedParams, NamesWhatIsWrongWithAWeightOrAnInput) {
  const auto options = ConvolutionOptions::from(torch::nn::detail::ConvNdOptions<2>(2, 2, 3));
  const auto from = [&](const at::Tensor& weight, const QConfig& qconfig) {
    return error_text([&] { ConvPackedParams::from_float(weight, {}, options, qconfig, "net.conv: weight"); });
  };
  EXPECT_NE(from(torch::randn({2, 2, 3, 2}), kPerTensor).find("net.conv: weight: got a weight of shape [2, 2, 3, 2], expected [2, 2, 3, 3]"),
            std::string::npos);
  EXPECT_NE(from(torch::full({2, 2, 3, 3}, NAN), kPerTensor).find("NaN or infinite"), std::string::npos);
  EXPECT_NE(from(torch::randn({2, 2, 3, 3}), QConfig{}).find("observes no weight"), std::string::npos);
  EXPECT_NE(from(torch::randn({2, 2, 3, 3}), float_qparams_weight_only_qconfig).find("expected qint8"), std::string::npos);

  const auto params = ConvPackedParams::from_float(torch::randn({2, 2, 3, 3}), {}, options, kPerTensor, "conv");
  const OutputQParams output;
  const auto apply = [&](const at::Tensor& input) { return error_text([&] { params.apply(input, output, false); }); };
  EXPECT_NE(apply(torch::randn({1, 2, 5, 5})).find("octet::nn::QuantStub"), std::string::npos);
  EXPECT_NE(apply(quantize_per_tensor(torch::randn({1, 3, 5, 5}), 0.1, 0, quint8)).find("expected [batch, 2] and 2 sizes"), std::string::npos);
  EXPECT_NE(apply(quantize_per_tensor(torch::randn({1, 2, 2, 5}), 0.1, 0, quint8)).find("does not fit"), std::string::npos);
  EXPECT_NE(apply(quantize_per_tensor(torch::randn({1, 2, 5, 5}), 0.1, 0, qint32)).find("expected quint8 or qint8"), std::string::npos);
}

}  // namespace
}  // namespace octet
