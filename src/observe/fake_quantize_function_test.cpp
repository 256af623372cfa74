#include <observe/fake_quantize_function.h>

#include <octet/tensor/module_path.h>

#include <observe/observer_test_support.h>

namespace octet {
namespace {

using test::Dict;
using test::error_of;
using test::identical;

QuantizationTarget target_of(const Dict& answer) {
  const int64_t axis = answer.at("axis").toInt();
  const bool float_zero_point = answer.at("zero_point").toTensor().is_floating_point();
  return {.qscheme = axis < 0           ? per_tensor_affine
                     : float_zero_point ? per_channel_affine_float_qparams
                                        : per_channel_affine,
          .quant_min = answer.at("quant_min").toInt(),
          .quant_max = answer.at("quant_max").toInt(),
          .ch_axis = axis};
}

// torch's layouts of results that are not dense differ in places; where x is dense, ours is x's.
bool same_layout(const at::Tensor& actual, const at::Tensor& x) {
  return actual.is_non_overlapping_and_dense() && (!x.is_non_overlapping_and_dense() || actual.strides() == x.strides());
}

void expect_as_torch(const Dict& answer, at::Device device) {
  const at::Tensor x = answer.at("x").toTensor().to(device).requires_grad_();
  const at::Tensor y = fake_quantize(x, answer.at("scale").toTensor().to(device), answer.at("zero_point").toTensor().to(device),
                                     target_of(answer));
  ASSERT_TRUE(identical(y.detach().cpu(), answer.at("y").toTensor()));
  ASSERT_EQ(y.scalar_type(), x.scalar_type());
  ASSERT_TRUE(same_layout(y, x));
  y.backward(answer.at("gradient").toTensor().to(device));
  ASSERT_TRUE(x.grad().cpu().equal(answer.at("x_gradient").toTensor()));  // where torch has -0 there is +0
  ASSERT_EQ(x.grad().scalar_type(), x.scalar_type());
}

void expect_all_as_torch(at::Device device) {
  const auto oracle = test::load_oracle("observe/fake_quantize_function");
  const auto cases = oracle.at("cases").toListRef();
  ASSERT_GT(cases.size(), 60);
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    expect_as_torch(cases[i].toGenericDict(), device);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

const QuantizationTarget kFourBits{.dtype = qint8, .qscheme = per_tensor_symmetric, .quant_min = -8, .quant_max = 7};
const at::Tensor kScale = torch::tensor({0.25F});
const at::Tensor kZeroPoint = torch::zeros({1}, torch::kInt);

TEST(FakeQuantizeFunction, ReturnsAndPassesBackToTheBitWhatTorchDoesForEveryDTypeAndLayout) { expect_all_as_torch(at::kCPU); }

TEST(FakeQuantizeFunction, DoesSoOnCuda) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "There is no CUDA device here, so fake quantization on one is not tested.";
  expect_all_as_torch(at::kCUDA);
}

TEST(FakeQuantizeFunction, ClampsInfinitiesOfChannelsToTheirOwnSide) {
  // at::fake_quantize_per_channel_affine makes the lowest value of +inf and of all that no int64 holds.
  const at::Tensor x = torch::tensor({{INFINITY, -INFINITY, NAN, 1e30F}});
  const QuantizationTarget target{.qscheme = per_channel_affine, .quant_min = 0, .quant_max = 7, .ch_axis = 0};
  EXPECT_TRUE(
      fake_quantize(x, kScale, torch::full({1}, 3, torch::kInt), target).equal(torch::tensor({{1.0F, -0.75F, -0.75F, 1.0F}})));
}

TEST(FakeQuantizeFunction, HasAGradientOnlyWhereOneIsAskedFor) {
  const at::Tensor x = torch::randn({3, 4}).requires_grad_();
  EXPECT_FALSE(fake_quantize(x.detach(), kScale, kZeroPoint, kFourBits).requires_grad());
  const torch::NoGradGuard no_grad;
  EXPECT_FALSE(fake_quantize(x, kScale, kZeroPoint, kFourBits).requires_grad());
}

TEST(FakeQuantizeFunction, TakesGradientsThatAreExpandedOrLieOtherwiseThanX) {
  const at::Tensor x = (torch::randn({2, 3, 4, 5}) * 2).to(at::MemoryFormat::ChannelsLast).requires_grad_();
  const at::Tensor passes = torch::logical_and(x.detach() > -2.125, x.detach() < 1.875);
  fake_quantize(x, kScale, kZeroPoint, kFourBits).sum().backward();
  EXPECT_TRUE(x.grad().equal(passes.to(torch::kFloat)));
  x.mutable_grad() = at::Tensor();
  const at::Tensor gradient = torch::randn({2, 3, 4, 5});
  fake_quantize(x, kScale, kZeroPoint, kFourBits).backward(gradient);
  EXPECT_TRUE(x.grad().equal(gradient * passes));
}

TEST(FakeQuantizeFunction, HasSecondDerivativesOfWhatFollowsIt) {
  // y^3 has the second derivative 6 y where the gradient passes twice.
  const at::Tensor x = torch::tensor({-9.0F, -0.3F, 0.6F, 9.0F}).requires_grad_();
  const at::Tensor y = fake_quantize(x, kScale, kZeroPoint, kFourBits);
  const at::Tensor first = torch::autograd::grad({y.pow(3).sum()}, {x}, {}, true, /*create_graph=*/true)[0];
  EXPECT_TRUE(first.allclose(torch::tensor({0.0F, 3 * 0.0625F, 3 * 0.25F, 0.0F})));
  const at::Tensor second = torch::autograd::grad({first.sum()}, {x})[0];
  EXPECT_TRUE(second.allclose(torch::tensor({0.0F, 6 * -0.25F, 6 * 0.5F, 0.0F})));
}

TEST(FakeQuantizeFunction, LearnsTheSameByTheKernelAsByOperators) {
  const at::Tensor images = torch::randn({2, 3, 4, 5}, torch::kDouble) * 2;
  for (const at::Tensor& x : {images, images.to(at::MemoryFormat::ChannelsLast), images.slice(3, 0, 5, 2)}) {
    for (const int64_t axis : {-1, 0, 1}) {
      SCOPED_TRACE(c10::str(x.strides(), ' ', axis));
      const int64_t channels = axis < 0 ? 1 : x.size(axis);
      const at::Tensor scale = torch::linspace(0.1, 0.3, channels), zero_point = torch::arange(-2, channels - 2, torch::kInt);
      const QuantizationTarget target{
          .qscheme = axis < 0 ? per_tensor_affine : per_channel_affine, .quant_min = -8, .quant_max = 7, .ch_axis = axis};
      const at::Tensor gradient = torch::randn({2, 3, 5, x.size(3)}, torch::kDouble).slice(2, 0, 4);
      const auto by_operators = learnable_gradients(gradient, x, scale, zero_point, target);
      const auto by_kernel = learnable_gradients(gradient.to(torch::kFloat), x.to(torch::kFloat), scale, zero_point, target);
      EXPECT_TRUE(by_kernel.x.allclose(by_operators.x.to(torch::kFloat)));
      EXPECT_TRUE(by_kernel.scale.allclose(by_operators.scale, 1e-4, 1e-4)) << by_kernel.scale << by_operators.scale;
      EXPECT_TRUE(by_kernel.zero_point.allclose(by_operators.zero_point, 1e-4, 1e-4));
    }
  }
}

TEST(FakeQuantizeFunction, NamesTheModuleInItsErrors) {
  const ModulePathScope scope("encoder.fc");
  const QuantizationTarget channels{.qscheme = per_channel_affine, .ch_axis = 1};
  EXPECT_EQ(
      error_of([&] { fake_quantize(torch::ones({2, 3}), kScale.expand(2), kZeroPoint, channels); }),
      "fake quantization in module 'encoder.fc': the input of sizes [2, 3] has 3 channels in dimension 1, but there are scales "
      "for 2");
  EXPECT_EQ(error_of([&] { fake_quantize(torch::ones({2}), kScale, kZeroPoint, channels); }),
            "fake quantization in module 'encoder.fc': ch_axis 1 is no dimension of an input of sizes [2]");
  EXPECT_EQ(error_of([&] { fake_quantize(torch::ones({2}), kScale * INFINITY, kZeroPoint, kFourBits); }),
            "fake_quantize: scale must be positive and finite, got inf in module 'encoder.fc'");
}

}  // namespace
}  // namespace octet
