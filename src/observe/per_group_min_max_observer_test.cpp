#include <octet/observe/default_qconfigs.h>
#include <octet/observe/per_group_min_max_observer.h>

#include <observe/observer_test_support.h>

namespace octet {
namespace {

using test::error_of;
using test::identical;
using Options = PerGroupMinMaxObserverOptions;

TEST(PerGroupMinMaxObserver, GivesEachGroupARangeAndTheLastOneMayBeShorter) {
  PerGroupMinMaxObserver observer(Options().group_size(2).qscheme(per_channel_affine));
  observer.forward(torch::tensor({{-1.0F, 14.0F, 3.0F, 30.0F, 15.0F}, {-7.5F, -15.0F, 1.5F, 0.0F, -3.0F}}));
  EXPECT_TRUE(identical(observer.min_val(), torch::tensor({-1.0F, 3.0F, 0.0F, -15.0F, 0.0F, -3.0F})));
  EXPECT_TRUE(identical(observer.max_val(), torch::tensor({14.0F, 30.0F, 15.0F, -7.5F, 1.5F, 0.0F})));
  const auto [scale, zero_point] = observer.calculate_qparams();
  EXPECT_TRUE(identical(scale, torch::tensor({1.0F, 2.0F, 1.0F, 1.0F, 0.1F, 0.2F})));
  EXPECT_TRUE(identical(zero_point, torch::tensor({1, 0, 0, 15, 0, 15})));
}

TEST(PerGroupMinMaxObserver, PutsTheZeroPointOfSymmetricSchemesInTheMiddle) {
  const at::Tensor weight = torch::tensor({{-1.0F, 15.0F, -7.5F, 1.0F}});
  for (const auto& [dtype, zero, half] :
       std::vector<std::tuple<DType, int64_t, float>>{{quint4x2, 8, 7.5F}, {quint8, 128, 127.5F}, {qint8, 0, 127.5F}}) {
    PerGroupMinMaxObserver observer(Options().dtype(dtype).group_size(2));
    observer.forward(weight);
    const auto [scale, zero_point] = observer.calculate_qparams();
    EXPECT_TRUE(identical(scale, torch::tensor({15.0F, 7.5F}) / half)) << dtype;
    EXPECT_TRUE(identical(zero_point, torch::full({2}, zero, torch::kLong))) << dtype;
  }
}

TEST(PerGroupMinMaxObserver, SaysWhatItIs) {
  const auto factory = PerGroupMinMaxObserver::with_args(Options().group_size(64));
  EXPECT_EQ(factory.target().group_size, 64);
  EXPECT_EQ(factory.describe(), "PerGroupMinMaxObserver(group_size=64)");
  const auto observer = factory();
  observer->forward(torch::ones({2, 130}));
  EXPECT_TRUE(observer->clone()->as<ObserverBase>()->calculate_qparams().scale.equal(observer->calculate_qparams().scale));
  EXPECT_EQ(error_of([&] { observer->forward(torch::ones({2, 128})); }),
            "PerGroupMinMaxObserver: the input of sizes [2, 128] has 4 groups of 64, earlier ones had 6");
}

TEST(PerGroupMinMaxObserver, RefusesWhatItIsNotFor) {
  EXPECT_EQ(error_of([] { PerGroupMinMaxObserver(Options().group_size(0)); }),
            "PerGroupMinMaxObserver: group_size is 0, expected a positive number");
  EXPECT_NE(error_of([] {
              PerGroupMinMaxObserver(Options().qscheme(per_channel_affine_float_qparams));
            }).find("expected per_channel_affine or per_channel_symmetric"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              FakeQuantize::with_args(PerGroupMinMaxObserver::with_args());
            }).find("FakeQuantize: its observer is PerGroupMinMaxObserver(), but fake quantization knows no groups"),
            std::string::npos);
}

TEST(Int4WeightOnlyQConfig, LeavesActivationsAsFloats) {
  const QConfig qconfig = int4_weight_only_qconfig();
  EXPECT_EQ(c10::str(qconfig),
            "QConfig(activation=PlaceholderObserver(), weight=PerGroupMinMaxObserver(qscheme=per_channel_affine))");
  EXPECT_EQ(qconfig.weight.target().group_size, 128);
  EXPECT_EQ(qconfig.weight.target().quant_max, 15);
  EXPECT_EQ(int4_weight_only_qconfig(32, per_channel_symmetric).weight.describe(), "PerGroupMinMaxObserver(group_size=32)");
}

TEST(Int4WeightOnlyQConfig, RefusesWhatHasNoKernels) {
  EXPECT_EQ(error_of([] { int4_weight_only_qconfig(256); }),
            "int4_weight_only_qconfig: group_size is 256, expected 32, 64 or 128");
  EXPECT_EQ(error_of([] { int4_weight_only_qconfig(32, per_tensor_affine); }),
            "int4_weight_only_qconfig: qscheme is per_tensor_affine, expected per_channel_affine or per_channel_symmetric, each "
            "of a group");
}

}  // namespace
}  // namespace octet
