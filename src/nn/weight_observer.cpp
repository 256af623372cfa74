#include <octet/nn/weight_observer.h>
#include <octet/tensor/error.h>

#include <ostream>

namespace octet::nn {

QParams WeightObserver::qparams_for(const at::Tensor& values, const std::string& where) const {
  if (trained_) {
    check(trained_->is_calibrated(), where, ": its ", trained_->name(),
          " has seen no weight yet, so nothing was trained that could be converted; run the prepared model at least once");
    return trained_->calculate_qparams();
  }
  const auto observer = factory_();
  observer->forward(values);
  return observer->calculate_qparams();
}

std::ostream& operator<<(std::ostream& stream, const WeightObserver& observer) {
  return observer.trained_ ? stream << observer.trained_->describe() : stream << observer.factory_;
}

}  // namespace octet::nn
