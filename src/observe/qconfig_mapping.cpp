#include <octet/observe/qconfig_mapping.h>

#include <algorithm>
#include <ostream>

namespace octet {
namespace {

std::string type_name(std::type_index type) {
  const std::string name = detail::unqualified_name(type);
  return name.ends_with("Impl") ? name.substr(0, name.size() - 4) : name;
}

// The rule for exactly this key is replaced where it stands, or a new one added at the end.
template <class Rules, class Same, class Rule>
void set_rule(Rules& rules, Same same, Rule rule) {
  const auto found = std::find_if(rules.begin(), rules.end(), same);
  if (found == rules.end()) {
    rules.push_back(std::move(rule));
  } else {
    *found = std::move(rule);
  }
}

}  // namespace

ModuleType::ModuleType(std::type_index type) : type_(type), name_(type_name(type)) {}

bool ModuleType::matches(const ModuleType& other) const {
  return type_ && other.type_ ? type_ == other.type_ : name_ == other.name_;
}

QConfigMapping& QConfigMapping::set_global(QConfigAny qconfig) {
  global_ = std::move(qconfig);
  return *this;
}

QConfigMapping& QConfigMapping::set_object_type(const ModuleType& type, QConfigAny qconfig) {
  set_rule(object_types_, [&](const auto& rule) { return rule.first.matches(type); }, std::pair(type, std::move(qconfig)));
  return *this;
}

QConfigMapping& QConfigMapping::set_module_name_regex(const std::string& pattern, QConfigAny qconfig) {
  try {
    set_rule(
        regexes_, [&](const auto& rule) { return rule.pattern == pattern; },
        RegexRule{pattern, std::regex(pattern), std::move(qconfig)});
  } catch (const std::regex_error& error) {
    fail("set_module_name_regex: '", pattern, "' is no regular expression (", error.what(), "); expected ECMAScript syntax");
  }
  return *this;
}

QConfigMapping& QConfigMapping::set_module_name(const std::string& path, QConfigAny qconfig) {
  module_names_.insert_or_assign(path, std::move(qconfig));
  return *this;
}

std::vector<std::string> QConfigMapping::module_names() const {
  std::vector<std::string> names;
  for (const auto& [path, qconfig] : module_names_) names.push_back(path);
  return names;
}

QConfigMapping::Match QConfigMapping::find(const std::string& path, std::span<const ModuleType> types) const {
  for (std::string ancestor = path; !ancestor.empty();) {
    if (const auto rule = module_names_.find(ancestor); rule != module_names_.end()) {
      return {rule->second, "module_name '" + ancestor + "'"};
    }
    const auto dot = ancestor.rfind('.');
    ancestor.resize(dot == std::string::npos ? 0 : dot);
  }
  for (const auto& rule : regexes_) {
    if (std::regex_search(path, rule.regex, std::regex_constants::match_continuous)) {
      return {rule.qconfig, "module_name_regex '" + rule.pattern + "'"};
    }
  }
  for (const auto& type : types) {
    for (const auto& [rule_type, qconfig] : object_types_) {
      if (rule_type.matches(type)) return {qconfig, "object_type " + rule_type.name()};
    }
  }
  if (global_) return {*global_, "global"};
  return {};
}

std::ostream& operator<<(std::ostream& stream, const QConfigMapping& mapping) {
  stream << "QConfigMapping (\n global_qconfig\n  " << mapping.global_.value_or(std::nullopt) << "\n object_type_qconfigs";
  for (const auto& [type, qconfig] : mapping.object_types_) stream << "\n  " << type.name() << ": " << qconfig;
  stream << "\n module_name_regex_qconfigs";
  for (const auto& rule : mapping.regexes_) stream << "\n  " << rule.pattern << ": " << rule.qconfig;
  stream << "\n module_name_qconfigs";
  for (const auto& [path, qconfig] : mapping.module_names_) stream << "\n  " << path << ": " << qconfig;
  return stream << "\n)";
}

}  // namespace octet
