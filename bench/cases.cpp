#include "cases.h"

#include <algorithm>

namespace bench {
namespace {

template <class Named>
const Named* find(const std::vector<Named>& all, std::string_view name) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

const std::vector<Suite>& suites() {
  static const std::vector<Suite> all{linear_suite(), lstm_suite(), transformer_suite(), cnn_suite(), qat_suite()};
  return all;
}

const Suite* find_suite(std::string_view name) { return find(suites(), name); }

const Case* find_case(std::string_view suite, std::string_view name) {
  const Suite* const cases = find_suite(suite);
  return cases ? find(cases->cases, name) : nullptr;
}

}  // namespace bench
