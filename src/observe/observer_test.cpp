#include <octet/observe/min_max_observer.h>
#include <octet/observe/observer.h>

#include <observe/observer_test_support.h>

namespace octet {
namespace {

using test::error_of;
using test::identical;

TEST(ObserverFactory, IsAValueThatKnowsWhatItMakes) {
  const ObserverFactory nothing;
  EXPECT_FALSE(nothing);
  EXPECT_EQ(nothing.describe(), "Identity");
  EXPECT_EQ(nothing.dtype(), float32);
  EXPECT_NE(error_of([&] { nothing(); }).find("makes no observer"), std::string::npos);

  const auto options = MinMaxObserverOptions().dtype(qint8).qscheme(per_tensor_symmetric).quant_min(-127).quant_max(127);
  const auto factory = MinMaxObserver::with_args(options);
  EXPECT_EQ(factory.describe(), "MinMaxObserver(dtype=qint8, qscheme=per_tensor_symmetric, quant_min=-127, quant_max=127)");
  EXPECT_EQ(factory.name(), "MinMaxObserver");
  EXPECT_EQ(factory.dtype(), qint8);
  EXPECT_EQ(factory, MinMaxObserver::with_args(options));
  EXPECT_NE(factory, MinMaxObserver::with_args(MinMaxObserverOptions(options).eps(0.25)));
  const auto first = factory();
  first->forward(torch::ones({2}));
  EXPECT_FALSE(factory()->is_calibrated());
  EXPECT_TRUE(first->is_calibrated());
}

// An observer of a user's own: the largest number of elements that an input had.
struct SizeObserverOptions {
  TORCH_ARG(int64_t, at_least) = 0;

 public:
  Arguments arguments() const { return {{"at_least", std::to_string(at_least())}}; }
};

class SizeObserver : public ObserverOf<SizeObserver, SizeObserverOptions> {
 public:
  explicit SizeObserver(const Options& options = {}) : ObserverOf(options, QuantizationTarget{.dtype = qint32}) {
    largest_ = register_buffer("largest", torch::full({1}, options.at_least(), torch::kLong));
  }
  at::Tensor forward(const at::Tensor& x) override {
    largest_.clamp_min_(x.numel());
    return x;
  }
  QParams calculate_qparams() const override { return {torch::ones({1}), largest_.clone()}; }
  bool is_calibrated() const override { return true; }

 private:
  at::Tensor largest_;
};

TEST(ObserverOf, GivesAUsersObserverItsFactoryNameAndClone) {
  const auto factory = SizeObserver::with_args(SizeObserverOptions().at_least(3));
  EXPECT_EQ(factory.describe(), "SizeObserver(at_least=3)");
  EXPECT_EQ(factory.dtype(), qint32);
  const auto observer = factory();
  observer->forward(torch::ones({7}));
  const auto clone = std::dynamic_pointer_cast<ObserverBase>(observer->clone());
  observer->forward(torch::ones({8}));
  EXPECT_EQ(clone->calculate_qparams().zero_point.item<int64_t>(), 7);
  EXPECT_EQ(factory()->calculate_qparams().zero_point.item<int64_t>(), 3);
  EXPECT_EQ(test::printed(*observer), "SizeObserver()");
}

struct ParentImpl : torch::nn::Cloneable<ParentImpl> {
  ParentImpl() { reset(); }
  void reset() override { observer = register_module("observer", std::make_shared<PerChannelMinMaxObserver>()); }
  std::shared_ptr<PerChannelMinMaxObserver> observer;
};

TEST(ObserverBase, IsClonedWithTheModuleItIsIn) {
  ParentImpl parent;
  parent.observer->forward(torch::tensor({{1.0F}, {2.0F}}));
  const auto clone = std::dynamic_pointer_cast<ParentImpl>(parent.clone());
  parent.observer->forward(torch::tensor({{5.0F}, {5.0F}}));
  EXPECT_TRUE(identical(clone->observer->max_val(), torch::tensor({1.0F, 2.0F})));
  EXPECT_TRUE(identical(parent.observer->max_val(), torch::tensor({5.0F, 5.0F})));
}

TEST(ObserverBase, IsSavedAndLoadedWithTheModuleItIsIn) {
  auto saved = std::make_shared<ParentImpl>();
  saved->observer->forward(torch::tensor({{1.0F}, {-2.0F}}));
  std::stringstream file;
  torch::save(std::static_pointer_cast<torch::nn::Module>(saved), file);
  auto loaded = std::static_pointer_cast<torch::nn::Module>(std::make_shared<ParentImpl>());
  torch::load(loaded, file);
  const auto& observer = *std::static_pointer_cast<ParentImpl>(loaded)->observer;
  EXPECT_TRUE(identical(observer.calculate_qparams().scale, saved->observer->calculate_qparams().scale));
}

}  // namespace
}  // namespace octet
