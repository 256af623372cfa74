#include <octet/observe/default_qconfigs.h>
#include <octet/observe/qconfig_mapping.h>

#include <observe/observer_test_support.h>

namespace octet {
namespace {

using test::Dict;
using test::error_of;
using test::identical;

// Checks what a factory makes against Python's description of the same factory.
void expect_like(const ObserverFactory& factory, const Dict& expected, const at::Tensor& batch) {
  ASSERT_EQ(factory.name(), test::string_at(expected, "class")) << factory;
  if (!factory) return;
  const auto made = factory();
  const auto* fake_quantize = made->as<FakeQuantizeBase>();
  ObserverBase* inner = fake_quantize ? fake_quantize->activation_post_process().get() : made.get();
  ASSERT_EQ(inner->name(), test::string_at(expected, "observer"));

  const auto* uniform = inner->as<UniformQuantizationObserverBase>();
  const auto* min_max = inner->as<MinMaxObserverBase>();
  const auto* histogram = inner->as<HistogramObserver>();
  const std::map<std::string, std::function<c10::IValue()>> actual{
      {"dtype", [&] { return std::string(info(inner->dtype()).name); }},
      {"qscheme", [&] { return std::string(name(inner->qscheme())); }},
      {"is_dynamic", [&] { return inner->is_dynamic(); }},
      {"quant_min", [&] { return inner->quant_min(); }},
      {"quant_max", [&] { return inner->quant_max(); }},
      {"ch_axis", [&] { return inner->ch_axis(); }},
      {"reduce_range", [&] { return uniform->reduce_range(); }},
      {"averaging_constant", [&] { return *min_max->averaging_constant(); }},
      {"bins", [&] { return histogram->options().bins(); }},
  };
  for (const auto& item : expected) {
    const auto found = actual.find(item.key().toStringRef());
    if (found == actual.end()) continue;
    const c10::IValue value = item.value().isInt() && found->first == "averaging_constant"
                                  ? c10::IValue(static_cast<double>(item.value().toInt()))
                                  : item.value();
    ASSERT_EQ(found->second(), value) << found->first;
  }
  if (expected.contains("eps")) {
    ASSERT_TRUE(identical(uniform->eps(), expected.at("eps").toTensor()));
  }
  if (!expected.contains("output")) return;
  ASSERT_TRUE(identical(made->forward(batch), expected.at("output").toTensor()));
  ASSERT_TRUE(identical(inner->calculate_qparams(), expected));  // torch.ao asks the observer also where the fused one is used
}

void expect_like(const QConfig& qconfig, const Dict& expected, const at::Tensor& batch) {
  expect_like(qconfig.activation, expected.at("activation").toGenericDict(), batch);
  expect_like(qconfig.weight, expected.at("weight").toGenericDict(), batch);
}

#define NAMED(value) {#value, value}

TEST(DefaultObservers, AreThoseOfTorch) {
  const std::map<std::string, ObserverFactory> factories{NAMED(default_observer),
                                                         NAMED(default_placeholder_observer),
                                                         NAMED(default_debug_observer),
                                                         NAMED(default_weight_observer),
                                                         NAMED(weight_observer_range_neg_127_to_127),
                                                         NAMED(default_histogram_observer),
                                                         NAMED(default_per_channel_weight_observer),
                                                         NAMED(per_channel_weight_observer_range_neg_127_to_127),
                                                         NAMED(default_dynamic_quant_observer),
                                                         NAMED(default_float_qparams_observer),
                                                         NAMED(default_float_qparams_observer_4bit),
                                                         NAMED(default_fixed_qparams_range_neg1to1_observer),
                                                         NAMED(default_fixed_qparams_range_0to1_observer),
                                                         NAMED(default_reuse_input_observer),
                                                         NAMED(default_fake_quant),
                                                         NAMED(default_weight_fake_quant),
                                                         NAMED(default_dynamic_fake_quant),
                                                         NAMED(default_fixed_qparams_range_neg1to1_fake_quant),
                                                         NAMED(default_fixed_qparams_range_0to1_fake_quant),
                                                         NAMED(default_per_channel_weight_fake_quant),
                                                         NAMED(default_embedding_fake_quant),
                                                         NAMED(default_embedding_fake_quant_4bit),
                                                         NAMED(default_histogram_fake_quant),
                                                         NAMED(default_fused_act_fake_quant),
                                                         NAMED(default_fused_wt_fake_quant),
                                                         NAMED(default_fused_per_channel_wt_fake_quant),
                                                         NAMED(fused_wt_fake_quant_range_neg_127_to_127),
                                                         NAMED(fused_per_channel_wt_fake_quant_range_neg_127_to_127)};
  const auto oracle = test::load_oracle("observe/default_qconfigs");
  for (const auto& item : oracle.at("observers").toGenericDict()) {
    const std::string name = item.key().toStringRef();
    SCOPED_TRACE(name);
    ASSERT_TRUE(factories.contains(name));
    expect_like(factories.at(name), item.value().toGenericDict(), oracle.at("batch").toTensor());
  }
}

TEST(DefaultQConfigs, AreThoseOfTorch) {
  const std::map<std::string, QConfig> qconfigs{NAMED(default_qconfig),
                                                NAMED(default_debug_qconfig),
                                                NAMED(default_per_channel_qconfig),
                                                NAMED(default_dynamic_qconfig),
                                                NAMED(per_channel_dynamic_qconfig),
                                                NAMED(float16_dynamic_qconfig),
                                                NAMED(float16_static_qconfig),
                                                NAMED(float_qparams_weight_only_qconfig),
                                                NAMED(float_qparams_weight_only_qconfig_4bit),
                                                NAMED(default_quint8_weight_qconfig),
                                                NAMED(default_qat_qconfig),
                                                NAMED(default_qat_qconfig_v2),
                                                NAMED(default_dynamic_qat_qconfig),
                                                NAMED(default_weight_only_qconfig),
                                                NAMED(default_activation_only_qconfig),
                                                NAMED(default_reuse_input_qconfig),
                                                NAMED(default_embedding_qat_qconfig),
                                                NAMED(default_embedding_qat_qconfig_4bit),
                                                NAMED(default_symmetric_qnnpack_qconfig),
                                                NAMED(default_per_channel_symmetric_qnnpack_qconfig),
                                                NAMED(default_symmetric_qnnpack_qat_qconfig),
                                                NAMED(default_per_channel_symmetric_qnnpack_qat_qconfig)};
  const auto oracle = test::load_oracle("observe/default_qconfigs");
  for (const auto& item : oracle.at("qconfigs").toGenericDict()) {
    const std::string name = item.key().toStringRef();
    SCOPED_TRACE(name);
    ASSERT_TRUE(qconfigs.contains(name));
    expect_like(qconfigs.at(name), item.value().toGenericDict(), oracle.at("batch").toTensor());
  }
}

#undef NAMED

TEST(GetDefaultQConfig, GivesTheBackendsOfTorchTheirObserversAndOptions) {
  const auto oracle = test::load_oracle("observe/default_qconfigs");
  const at::Tensor batch = oracle.at("batch").toTensor();
  for (const std::string backend : {"fbgemm", "x86", "qnnpack", "onednn"}) {
    SCOPED_TRACE(backend);
    const auto answer = [&](const char* which) { return oracle.at(which).toGenericDict().at(backend).toGenericDict(); };
    expect_like(get_default_qconfig(backend), answer("static"), batch);
    expect_like(get_default_qat_qconfig(backend, 0), answer("qat 0"), batch);
    expect_like(get_default_qat_qconfig(backend), answer("qat 1"), batch);
  }
  EXPECT_EQ(get_default_qconfig(), get_default_qconfig("x86"));
}

TEST(GetDefaultQConfig, UsesAllEightBitsOnOurOwnBackend) {
  const QConfig octet = get_default_qconfig("octet");
  EXPECT_EQ(
      c10::str(octet),
      "QConfig(activation=HistogramObserver(), weight=PerChannelMinMaxObserver(dtype=qint8, qscheme=per_channel_symmetric))");
  EXPECT_EQ(octet.activation.target().quant_max, 255);
  EXPECT_EQ(octet.weight.target().quant_min, -128);
  const QConfig qat = get_default_qat_qconfig("octet");
  EXPECT_EQ(qat.activation.target().quant_max, 255);
  EXPECT_EQ(qat.weight.target().quant_min, -128);
}

TEST(GetDefaultQConfig, ListsTheBackendsAndVersionsItKnows) {
  EXPECT_EQ(error_of([] { get_default_qconfig("tensorrt"); }),
            "get_default_qconfig: there is no backend 'tensorrt'; known are fbgemm, x86, qnnpack, onednn, octet");
  EXPECT_EQ(error_of([] { get_default_qat_qconfig(""); }),
            "get_default_qat_qconfig: there is no backend ''; known are fbgemm, x86, qnnpack, onednn, octet");
  EXPECT_EQ(error_of([] { get_default_qconfig("x86", 1); }), "get_default_qconfig: there is no version 1; known is 0");
  EXPECT_EQ(error_of([] { get_default_qat_qconfig("x86", 2); }),
            "get_default_qat_qconfig: there is no version 2; known are 0, 1");
}

TEST(DefaultQConfigMapping, GivesEachClassWhatTorchGivesIt) {
  const auto oracle = test::load_oracle("observe/default_qconfigs");
  const at::Tensor batch = oracle.at("batch").toTensor();
  for (const std::string backend : {"fbgemm", "x86", "qnnpack", "onednn"}) {
    const std::map<std::string, QConfigMapping> mappings{{"static mapping", get_default_qconfig_mapping(backend)},
                                                         {"qat mapping", get_default_qat_qconfig_mapping(backend)}};
    for (const auto& [which, mapping] : mappings) {
      const Dict answers = oracle.at(which).toGenericDict().at(backend).toGenericDict();
      ASSERT_EQ(answers.size(), 10);
      for (const auto& item : answers) {
        const std::string type = item.key().toStringRef();
        SCOPED_TRACE(which + " of " + backend + ": " + type);
        expect_like(*mapping.find("any.path", {ModuleType(type)}).qconfig, item.value().toGenericDict(), batch);
      }
    }
  }
}

TEST(PerRowDynamicQConfig, DiffersFromPerChannelDynamicInItsRowsOnly) {
  EXPECT_TRUE(per_row_dynamic_qconfig.activation.per_row());
  EXPECT_TRUE(per_row_dynamic_qconfig.activation.is_dynamic());
  EXPECT_EQ(per_row_dynamic_qconfig.activation.dtype(), quint8);
  EXPECT_EQ(per_row_dynamic_qconfig.weight, per_channel_dynamic_qconfig.weight);
  EXPECT_FALSE(per_channel_dynamic_qconfig.activation.per_row());
  EXPECT_NE(per_row_dynamic_qconfig, per_channel_dynamic_qconfig);
}

}  // namespace
}  // namespace octet
