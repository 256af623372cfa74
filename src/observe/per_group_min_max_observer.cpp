#include <octet/observe/per_group_min_max_observer.h>

#include <observe/arguments.h>

namespace octet {

PerGroupMinMaxObserver::PerGroupMinMaxObserver(const Options& options)
    : ObserverOf(options, options.settings(), Granularity::per_channel, -1, std::nullopt, options.group_size()) {
  check(options.group_size() > 0, name(), ": group_size is ", options.group_size(), ", expected a positive number");
  check(qscheme() != per_channel_affine_float_qparams, name(), ": qscheme is ", qscheme(),
        ", but zero points of groups are integers; expected per_channel_affine or per_channel_symmetric");
}

QParams PerGroupMinMaxObserver::calculate_qparams() const {
  QParams qparams = MinMaxObserverBase::calculate_qparams();
  // torch.ao's formula has a middle for quint8 alone.
  if (is_symmetric(qscheme())) qparams.zero_point.fill_((quant_min() + quant_max() + 1) / 2);
  return qparams;
}

Arguments PerGroupMinMaxObserverOptions::arguments() const {
  return joined(settings().arguments(), {{"group_size", argument_text(group_size())}});
}

}  // namespace octet
