#include "qat.h"

namespace demo {
namespace {

constexpr int64_t kEpochs = 5;
constexpr double kHighestRate = 5e-4;
constexpr octet::QATSchedule kSchedule{.num_batch_norm_update_epochs = 4, .num_observer_update_epochs = 4};

/// The options that observers of weights have in common.
template <class Options>
Options weight_options(int bits) {
  Options options;
  options.dtype(octet::qint8)
      .qscheme(octet::per_channel_symmetric)
      .quant_min(-(1 << (bits - 1)))
      .quant_max((1 << (bits - 1)) - 1);
  return options;
}

}  // namespace

octet::QConfig static_qconfig(int bits) {
  return {octet::get_default_qconfig("octet").activation,
          octet::PerChannelMinMaxObserver::with_args(weight_options<octet::PerChannelMinMaxObserverOptions>(bits))};
}

octet::QConfig qat_qconfig(int bits) {
  return {octet::get_default_qat_qconfig("octet").activation,
          octet::FakeQuantize::with_args(octet::MovingAveragePerChannelMinMaxObserver::with_args(
              weight_options<octet::MovingAveragePerChannelMinMaxObserverOptions>(bits)))};
}

std::string variant_name(const std::string& workflow, int bits) {
  return workflow + (bits == 8 ? "_octet" : "_w" + std::to_string(bits));
}

MnistNet train_quantized(const MnistNet& net, int bits, const DigitSplit& digits, const Group& group,
                         std::vector<LearningPoint>& curve) {
  MnistNet trained = octet::clone_model(net);
  trained->train();
  octet::fuse_modules_qat(*trained, kMnistGroups);
  octet::prepare_qat(*trained, qat_qconfig(bits));
  const Training training{variant_name("qat", bits), kEpochs, kHighestRate,
                          [](MnistNet& model, int64_t epoch) { kSchedule.begin_epoch(*model, epoch); }};
  curve = train(trained, digits, training, group);
  return trained;
}

}  // namespace demo
