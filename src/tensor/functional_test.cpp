#include <octet/tensor/functional.h>
#include <octet/tensor/lookup_table.h>
#include <octet/tensor/module_path.h>

#include <ATen/core/dispatch/Dispatcher.h>

#include <limits>

#include "test_support.h"

namespace octet {
namespace {

using test::expect_error;
using test::Twins;

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

at::Tensor atens(const std::string& name, torch::jit::Stack arguments) {
  c10::Dispatcher::singleton().findSchemaOrThrow(("quantized::" + name).c_str(), "").callBoxed(&arguments);
  return arguments.at(0).toTensor();
}

// Scale and zero point are ATen's, integers at most one apart, and at least 99.5 % of them equal: ATen rounds after each step.
void expect_almost_twins(const at::Tensor& ours, const at::Tensor& atens, const std::string& what) {
  test::expect_twins(ours, atens, what, 1);
  const auto equal = octet::int_repr(ours).eq(atens.int_repr()).to(torch::kDouble).mean().item<double>();
  EXPECT_GE(equal, 0.995) << what;
}

TEST(Functional, AddsAndMultipliesAsAten) {
  const std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> sizes{
      {{4, 16, 9, 8}, {4, 16, 9, 8}}, {{4, 16, 9, 8}, {4, 16, 1, 1}}, {{300, 7}, {7}}, {{5, 1, 40}, {1, 30, 1}}, {{1000}, {1}}};
  torch::manual_seed(20);
  for (const DType dtype : {quint8, qint8}) {
    for (const auto& [of_a, of_b] : sizes) {
      for (const auto& a_values : test::in_all_layouts(of_a)) {
        for (const auto& b_values : test::in_all_layouts(of_b)) {
          const Twins a(a_values, 0.05, 64, dtype);
          const Twins b(b_values, 0.11, 30, dtype);
          const auto what = c10::str(dtype, " ", a_values.strides(), " and ", b_values.strides());
          for (const bool relu : {false, true}) {
            const std::string suffix = relu ? "_relu" : "";
            const auto sum = quantized_add(a.ours, b.ours, 0.13, 50, relu);
            expect_almost_twins(sum, atens("add" + suffix, {a.atens, b.atens, 0.13, 50}), "add" + suffix + what);
            const auto product = quantized_mul(a.ours, b.ours, 0.4, 60, relu);
            expect_almost_twins(product, atens("mul" + suffix, {a.atens, b.atens, 0.4, 60}), "mul" + suffix + what);
            EXPECT_EQ(sum.strides(), (octet::int_repr(a.ours) + octet::int_repr(b.ours)).strides()) << what;
            EXPECT_EQ(product.strides(), sum.strides()) << what;
          }
        }
      }
    }
  }
}

// The written formula, in ATen's float32 operations, which round each step as it says; a fused multiplication and addition is
// the sum in float64, rounded once.
TEST(Functional, AddsAndMultipliesByTheWrittenFormula) {
  const auto every = torch::arange(256, torch::kByte);
  const auto q = make_per_tensor_quantized(every.view({256, 1}), 0.05, 64);
  const auto r = make_per_tensor_quantized(every, 0.11, 30);
  const auto a = every.view({256, 1}).to(torch::kFloat) - 64;
  const auto b = every.to(torch::kFloat) - 30;
  const float a_scale = 0.05F;
  const float b_scale = 0.11F;
  const auto quantized = [](const at::Tensor& y) { return (y.round() + 50).clamp(0, 255).to(torch::kByte); };
  const float inverse = 1.0F / 0.13F;
  const auto addend = (b * (b_scale * inverse)).to(torch::kDouble);
  const auto sum = (a.to(torch::kDouble) * (a_scale * inverse) + addend).to(torch::kFloat);
  EXPECT_TRUE(octet::int_repr(quantized_add(q, r, 0.13, 50)).equal(quantized(sum)));
  EXPECT_TRUE(octet::int_repr(quantized_mul(q, r, 0.13, 50)).equal(quantized(a * b * (a_scale * b_scale * inverse))));
}

TEST(Functional, BroadcastsOverNoElements) {
  const auto q = quantize_per_tensor(torch::empty({0, 3}), 0.1, 0, quint8);
  EXPECT_EQ(quantized_add(q, quantize_per_tensor(torch::ones({3}), 0.1, 0, quint8), 0.1, 0).sizes(), at::IntArrayRef({0, 3}));
}

TEST(Functional, TakesAtensQParamsWithScalars) {
  const auto every_byte = torch::arange(256, torch::kByte);
  for (const auto& integers : {every_byte, every_byte.view(torch::kChar)}) {
    for (const double value : {0.0, 0.07, 1.0, 5.0, 40.0, -0.3, -3.0, -60.0}) {
      const auto ours = make_per_tensor_quantized(integers, 0.1, 50);
      const auto twin = at::_make_per_tensor_quantized_tensor(integers, 0.1, 50);
      const auto sum = quantized_add_scalar(ours, value);
      test::expect_twins(sum, atens("add_scalar", {twin, at::Scalar(value)}), c10::str("add ", value), 1);
      const auto product = quantized_mul_scalar(ours, value);
      test::expect_twins(product, atens("mul_scalar", {twin, at::Scalar(value)}), c10::str("mul ", value));
      for (const auto& result : {sum, product}) EXPECT_FALSE(octet::int_repr(result).is_alias_of(integers)) << value;
      const auto exact = octet::dequantize(ours) + std::nearbyint(value / 0.1) * 0.1;
      EXPECT_LE((octet::dequantize(sum) - exact).abs().max().item<double>(), octet::q_scale(sum) * 0.5001) << value;
    }
  }
  const auto q = make_per_tensor_quantized(every_byte, 0.1, 50);
  expect_error([&] { quantized_add_scalar(q, std::numeric_limits<double>::infinity()); }, "the value inf is not finite");
  expect_error([&] { quantized_mul_scalar(q, std::numeric_limits<double>::quiet_NaN()); }, "the output's scale is nan");
}

TEST(Functional, JoinsAsAten) {
  torch::manual_seed(21);
  for (const DType dtype : {quint8, qint8}) {
    for (const auto& sizes : std::vector<std::vector<int64_t>>{{2, 3, 4, 5}, {3, 4}}) {
      for (int64_t dim = -1; dim < static_cast<int64_t>(sizes.size()); ++dim) {
        for (const auto& values : test::in_all_layouts(sizes)) {
          // Even zero points: with odd ones ATen's float addition before the rounding puts ties elsewhere.
          const Twins a(values, 0.05, 64, dtype);
          const Twins b(values.flip({0}).contiguous(values.suggest_memory_format()), 0.11, 30, dtype);
          const auto ours = quantized_cat({a.ours, b.ours, a.ours}, dim, 0.11, 30);
          const auto what = c10::str(dtype, " ", values.strides(), " dim ", dim);
          test::expect_twins(ours, atens("cat", {std::vector<at::Tensor>{a.atens, b.atens, a.atens}, dim, 0.11, 30}), what);
          EXPECT_EQ(ours.is_contiguous(kChannelsLast), values.is_contiguous(kChannelsLast)) << what;
        }
      }
    }
  }
}

TEST(Functional, MultipliesMatricesExactly) {
  const std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> sizes{
      {{5, 33}, {33, 17}}, {{2, 3, 5, 33}, {33, 4}}, {{2, 3, 5, 8}, {3, 8, 7}}, {{1, 9}, {6, 9, 2}},
      {{0, 4}, {4, 3}},    {{2, 0}, {0, 3}},         {{2, 300}, {300, 2}}};
  torch::manual_seed(22);
  for (const DType dtype : {quint8, qint8}) {
    for (const auto& [of_a, of_b] : sizes) {
      for (const int64_t b_zero_point : {0, 30, 127}) {
        const Twins a(torch::randn(of_a), 0.03, 64, dtype);
        const Twins b(torch::randn(of_b).transpose(-1, -2).contiguous().transpose(-1, -2), 0.02, b_zero_point, dtype);
        const auto ours = quantized_matmul(a.ours, b.ours, 0.09, 70);
        const auto what = c10::str(dtype, " ", at::IntArrayRef(of_a), " x ", at::IntArrayRef(of_b));
        const auto sums = torch::matmul(octet::int_repr(a.ours).to(torch::kDouble) - 64,
                                        octet::int_repr(b.ours).to(torch::kDouble) - static_cast<double>(b_zero_point));
        const float multiplier = 0.03F * 0.02F * (1.0F / 0.09F);
        const auto [low, high] = std::pair(info(dtype).quant_min, info(dtype).quant_max);
        const auto expected = ((sums.to(torch::kFloat) * multiplier).round() + 70).clamp(low, high);
        EXPECT_TRUE(octet::int_repr(ours).to(torch::kFloat).equal(expected)) << what;
        if (ours.numel() > 0) test::expect_twins(ours, atens("matmul", {a.atens, b.atens, 0.09, 70}), what, 1);
      }
    }
  }
}

TEST(Functional, RequantizesByTheValues) {
  const auto every_byte = torch::arange(256, torch::kByte);
  const auto q = make_per_tensor_quantized(every_byte.view({2, 128}), 0.1, 30);
  const auto per_channel =
      make_per_channel_quantized(every_byte.view({2, 128}), torch::tensor({0.1, 0.2}), torch::tensor({0, 9}), 0);
  const auto signed_bytes = make_per_tensor_quantized(every_byte.view(torch::kChar), 0.07, -3);
  const auto wide = quantize_per_tensor(torch::randn({7}) * 100, 1e-4, 5, qint32);
  for (const auto& tensor : {q, per_channel, signed_bytes, wide}) {
    for (const auto& [dtype, zero_point] : {std::pair{quint8, 200}, std::pair{qint8, -100}, std::pair{qint32, 70000}}) {
      const auto expected = quantize_per_tensor(octet::dequantize(tensor), 0.13, zero_point, dtype);
      const auto ours = requantize(tensor, 0.13, zero_point, dtype);
      EXPECT_EQ(quantizer(ours), quantizer(expected));
      EXPECT_TRUE(octet::int_repr(ours).equal(octet::int_repr(expected))) << dtype;
    }
  }
  expect_error([&] { requantize(torch::ones(2), 1, 0, quint8); }, "requantize: the tensor is not quantized");
  expect_error([&] { requantize(q, 1, 0, quint4x2); }, "requantize: got the dtype quint4x2; expected quint8, qint8 or qint32");
}

TEST(Functional, AppliesFunctionsOfOneNumberByATable) {
  torch::manual_seed(23);
  const auto softplus = [](const at::Tensor& x) { return torch::softplus(x); };
  for (const DType dtype : {quint8, qint8}) {
    for (const auto& values : test::in_all_layouts({2, 3, 4, 5})) {
      const auto q = quantize_per_tensor(values, 0.05, 60, dtype);
      const auto result = quantized_unary(q, softplus, 0.04, 3);
      const auto expected =
          quantize_per_tensor(torch::softplus(octet::dequantize(q).to(torch::kDouble)).to(torch::kFloat), 0.04, 3, dtype);
      EXPECT_TRUE(octet::int_repr(result).equal(octet::int_repr(expected)));
      EXPECT_EQ(result.strides(), q.strides());
    }
  }
  const auto q = quantize_per_tensor(torch::tensor({0.0F, 1.0F}), 0.5, 0, quint8);
  expect_error([&] { quantized_unary(q, [](const auto& x) { return x.log(); }, 1, 0); },
               "the tensor holds values that the function has no finite result for");
  EXPECT_NO_THROW(quantized_unary(q.slice(0, 1), [](const auto& x) { return x.log(); }, 1, 0));
  expect_error([&] { quantized_unary(q, [](const auto& x) { return x.sum(); }, 1, 0); },
               "the function's results have sizes []; expected those of its argument, [256]");
}

TEST(LookupTable, IsMadeOnceForItsQuantizers) {
  int calls = 0;
  const LookupTable table(Quantizer::per_tensor(0.1, 3, quint8), Quantizer::per_tensor(0.2, -5, qint8), [&](const at::Tensor& x) {
    ++calls;
    return -x;
  });
  const auto q = quantize_per_tensor(torch::randn({3, 4}), 0.1, 3, quint8);
  for (int i = 0; i < 3; ++i) {
    const auto expected = quantize_per_tensor(-octet::dequantize(q), 0.2, -5, qint8);
    EXPECT_TRUE(octet::int_repr(table.apply(q)).equal(octet::int_repr(expected)));
  }
  EXPECT_EQ(calls, 1);
  const auto strided = torch::zeros({4, 3, 2}, torch::kChar).select(2, 1).t();
  table.apply_out(q, strided);
  EXPECT_TRUE(strided.equal(octet::int_repr(table.apply(q))));
  expect_error([&] { table.apply(quantize_per_tensor(torch::ones(2), 0.1, 4, quint8)); },
               "LookupTable: the tensor has another dtype, scale or zero point than the table was made for");
  expect_error([&] { table.apply_out(q, torch::zeros({3, 4}, torch::kByte)); },
               "the output is Byte of sizes [3, 4]; expected Char");
  expect_error([&] { LookupTable(Quantizer::per_tensor(1, 0, qint32), table.to(), [](const auto& x) { return x; }); },
               "LookupTable: `from` is qint32 with the scheme per_tensor_affine; expected quint8 or qint8 per tensor");
}

TEST(Functional, NamesTheModuleTheArgumentAndTheWayOut) {
  const ModulePathScope scope("layer1.0.skip_add");
  const auto q = quantize_per_tensor(torch::randn({2, 3}), 0.1, 0, quint8);
  const auto floats = torch::randn({2, 3});
  const auto per_channel = quantize_per_channel(floats, torch::ones(3), torch::zeros(3, torch::kLong), 1, quint8);
  const auto other = quantize_per_tensor(floats, 0.1, 0, qint8);
  expect_error(
      [&] { quantized_add(q, floats, 0.1, 0); },
      "quantized_add in module 'layer1.0.skip_add': `b` is a plain Float tensor of sizes [2, 3]; expected a quantized one. "
      "Quantize it first: with an octet::nn::QuantStub, or by quantize_per_tensor()");
  expect_error([&] { quantized_mul(floats, q, 0.1, 0); }, "quantized_mul in module 'layer1.0.skip_add': `a` is a plain Float");
  expect_error([&] { quantized_add(q, at::Tensor(), 0.1, 0); }, "`b` is undefined");
  expect_error([&] { quantized_add(q, per_channel, 0.1, 0); },
               "`b` is quint8 with the scheme per_channel_affine; expected quint8 or qint8 per tensor. octet::requantize()");
  expect_error([&] { quantized_mul(q, other, 0.1, 0); },
               "`a` is quint8 and `b` is qint8; expected one dtype. octet::requantize()");
  expect_error([&] { quantized_add(q, q, 0, 0); }, "quantized_add in module 'layer1.0.skip_add': the output's scale is 0");
  expect_error([&] { quantized_add(q, q, 0.1, 256); }, "the output's zero_point is 256, which is no quint8");
  expect_error([&] { quantized_add(q, q.t(), 0.1, 0); }, "`a` has sizes [2, 3] and `b` [3, 2], which do not broadcast");
  expect_error([&] { quantized_cat({}, 0, 0.1, 0); }, "there are no tensors to join");
  expect_error([&] { quantized_cat({q, floats}, 0, 0.1, 0); }, "`tensors[1]` is a plain Float tensor");
  expect_error([&] { quantized_cat({q, other}, 0, 0.1, 0); }, "`tensors[1]` is qint8 and the first is quint8");
  expect_error([&] { quantized_cat({q, q.t()}, 0, 0.1, 0); },
               "`tensors[1]` has sizes [3, 2] and the first [2, 3]; they may differ");
  expect_error([&] { quantized_cat({q, q.select(0, 0)}, 0, 0.1, 0); }, "`tensors[1]` has sizes [3] and the first [2, 3]");
  expect_error([&] { quantized_cat({q}, 2, 0.1, 0); }, "`dim` is 2; expected -2 .. 1");
  expect_error([&] { quantized_matmul(q, q, 0.1, 0); },
               "`a` has sizes [2, 3] and `b` [2, 3]; expected [..., m, k] and [..., k, n]");
  const auto batch = q.expand({4, 2, 3});
  expect_error([&] { quantized_matmul(batch, batch.slice(0, 0, 3).transpose(1, 2), 0.1, 0); }, "do not broadcast");
  const auto deep = quantize_per_tensor(torch::zeros({1, 33026}), 0.1, 0, quint8);
  expect_error([&] { quantized_matmul(deep, deep.t(), 0.1, 0); }, "sums over k = 33026 products may not fit int32");
  expect_error([&] { quantized_add_scalar(floats, 1); },
               "quantized_add_scalar in module 'layer1.0.skip_add': `a` is a plain Float");
}

}  // namespace
}  // namespace octet
