#include <octet/observe/default_qconfigs.h>
#include <octet/observe/qconfig_mapping.h>

#include <observe/observer_test_support.h>

namespace octet {
namespace {

const ModuleType kLinear = ModuleType::of<torch::nn::Linear>();

TEST(QConfigMapping, LetsTheMostSpecificRuleWin) {
  const auto mapping = QConfigMapping()
                           .set_global(default_qconfig)
                           .set_object_type<torch::nn::Linear>(default_dynamic_qconfig)
                           .set_module_name_regex(R"(encoder\.[0-9]+)", float16_dynamic_qconfig)
                           .set_module_name("encoder.1", per_channel_dynamic_qconfig)
                           .set_module_name("encoder.1.out", std::nullopt);
  const std::vector<std::tuple<std::string, QConfigAny, std::string>> expected{
      {"encoder.1.out", std::nullopt, "module_name 'encoder.1.out'"},
      {"encoder.1.out.proj", std::nullopt, "module_name 'encoder.1.out'"},
      {"encoder.1.in", per_channel_dynamic_qconfig, "module_name 'encoder.1'"},
      {"encoder.10", float16_dynamic_qconfig, R"(module_name_regex 'encoder\.[0-9]+')"},
      {"my.encoder.1", default_dynamic_qconfig, "object_type Linear"},
      {"", default_dynamic_qconfig, "object_type Linear"},
  };
  for (const auto& [path, qconfig, rule] : expected) {
    const auto match = mapping.find(path, {kLinear});
    EXPECT_EQ(match.qconfig, qconfig) << path;
    EXPECT_EQ(match.rule, rule) << path;
  }
  EXPECT_EQ(mapping.find("head", {ModuleType::of<torch::nn::Conv2d>()}).rule, "global");
}

TEST(QConfigMapping, KeepsInFloatWhatNoRuleNames) {
  const auto match = QConfigMapping().set_module_name("a", default_qconfig).find("b.a", {kLinear});
  EXPECT_FALSE(match.qconfig);
  EXPECT_EQ(match.rule, "");
}

TEST(QConfigMapping, TriesPatternsInTheOrderInWhichTheyWereFirstSet) {
  auto mapping = QConfigMapping()
                     .set_module_name_regex("foo.*bar", default_qconfig)
                     .set_module_name_regex("foo", default_dynamic_qconfig)
                     .set_module_name_regex("foo.*bar", float16_dynamic_qconfig);
  EXPECT_EQ(mapping.find("foo.bar.conv", {kLinear}).qconfig, float16_dynamic_qconfig);
  EXPECT_EQ(mapping.find("foo.relu", {kLinear}).qconfig, default_dynamic_qconfig);
  EXPECT_FALSE(mapping.find("a.foo", {kLinear}).qconfig);  // from the beginning, as Python's re.match
  const std::string text = test::error_of([&] { mapping.set_module_name_regex("(", default_qconfig); });
  EXPECT_NE(text.find("set_module_name_regex: '(' is no regular expression"), std::string::npos);
  EXPECT_EQ(mapping.find("foo.relu", {kLinear}).qconfig, default_dynamic_qconfig);
}

TEST(QConfigMapping, TakesTheFirstOfAModulesTypesThatHasARule) {
  struct MyLinearImpl : torch::nn::LinearImpl {
    using LinearImpl::LinearImpl;
  };
  const ModuleType mine = ModuleType::of<MyLinearImpl>();
  EXPECT_EQ(mine.name(), "MyLinear");
  EXPECT_FALSE(mine.matches(kLinear));
  auto mapping = QConfigMapping().set_object_type<torch::nn::Linear>(default_qconfig);
  EXPECT_FALSE(mapping.find("x", {mine}).qconfig);
  EXPECT_EQ(mapping.find("x", {mine, kLinear}).qconfig, default_qconfig);
  mapping.set_object_type(ModuleType("MyLinear"), std::nullopt);
  EXPECT_EQ(mapping.find("x", {mine, kLinear}).rule, "object_type MyLinear");
  EXPECT_TRUE(kLinear.matches(ModuleType::of<torch::nn::LinearImpl>()));
}

TEST(QConfigMapping, PrintsItsRulesByRisingPriority) {
  const auto mapping = QConfigMapping()
                           .set_global(QConfig{default_placeholder_observer, ObserverFactory()})
                           .set_object_type<torch::nn::Linear>(std::nullopt)
                           .set_module_name_regex("a.*", std::nullopt)
                           .set_module_name("b.c", std::nullopt);
  EXPECT_EQ(c10::str(mapping),
            "QConfigMapping (\n global_qconfig\n  QConfig(activation=PlaceholderObserver(), weight=Identity)\n"
            " object_type_qconfigs\n  Linear: None\n module_name_regex_qconfigs\n  a.*: None\n module_name_qconfigs\n"
            "  b.c: None\n)");
}

}  // namespace
}  // namespace octet
