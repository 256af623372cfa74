#include <octet/io/safetensors.h>
#include <octet/io/save_load.h>
#include <octet/nn/module_site.h>
#include <octet/observe/observer.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace octet {
namespace {

using nlohmann::json;
using nn::detail::ModuleInternals;

constexpr const char* kVersionKey = "octet.format_version";
constexpr const char* kModulesKey = "octet.modules";
constexpr int kFormatVersion = 1;

/// A module that was swapped, as the metadata describes it.
struct SwappedModule {
  std::string kind;
  nn::Attributes attributes;
};

std::string join(const std::string& path, const std::string& name) { return path.empty() ? name : path + "." + name; }

/// Calls visit(path, module, implementation or null) for each module that has tensors of its own.
template <class Visit>
void for_each_stateful_module(torch::nn::Module& module, const std::string& path, const Visit& visit) {
  const nn::SlotBase* const slot = nn::as_slot(std::as_const(module));
  const auto implementation = slot ? slot->implementation() : nullptr;
  visit(path, module, implementation.get());
  for (auto& child : ModuleInternals::children(module)) {
    if (!dynamic_cast<nn::SlotState*>(child.value().get())) {
      for_each_stateful_module(*child.value(), join(path, child.key()), visit);
    }
  }
}

/// The module's own parameters and buffers that are there (a bias may be absent).
template <class Visit>
void for_each_own_tensor(torch::nn::Module& module, const Visit& visit) {
  for (auto& parameter : ModuleInternals::parameters(module)) {
    if (parameter.value().defined()) visit(parameter.key(), parameter.value());
  }
  for (auto& buffer : ModuleInternals::buffers(module)) {
    if (buffer.value().defined()) visit(buffer.key(), buffer.value());
  }
}

json to_json(const nn::Attributes& attributes) {
  json object = json::object();
  for (const auto& [name, value] : attributes) {
    std::visit([&, &key = name](const auto& plain) { object[key] = plain; }, value);
  }
  return object;
}

nn::Attributes attributes_from_json(const json& object, const std::string& where) {
  check(object.is_object(), where, ": \"attributes\" is no JSON object");
  nn::Attributes attributes;
  for (const auto& [name, value] : object.items()) {
    if (value.is_boolean()) {
      attributes[name] = value.get<bool>();
    } else if (value.is_number_integer()) {
      attributes[name] = value.get<int64_t>();
    } else if (value.is_number_float()) {
      attributes[name] = value.get<double>();
    } else if (value.is_array()) {
      const bool are_integers =
          std::all_of(value.begin(), value.end(), [](const json& element) { return element.is_number_integer(); });
      check(are_integers, where, ": the attribute \"", name, "\" is a list of other things than integers");
      attributes[name] = value.get<std::vector<int64_t>>();
    } else {
      check(value.is_string(), where, ": the attribute \"", name, "\" is neither boolean, number, string nor list");
      attributes[name] = value.get<std::string>();
    }
  }
  return attributes;
}

std::map<std::string, SwappedModule> swapped_modules(const std::map<std::string, std::string>& metadata) {
  std::map<std::string, SwappedModule> modules;
  const auto version = metadata.find(kVersionKey);
  if (version == metadata.end()) return modules;  // a plain state dict
  check(version->second == std::to_string(kFormatVersion), "format version ", version->second,
        ", but this library knows version ", kFormatVersion,
        "; use the version of the library that wrote the file, or a newer one");
  const auto text = metadata.find(kModulesKey);
  check(text != metadata.end(), "the metadata has no \"", kModulesKey, "\"");
  const json table = json::parse(text->second, nullptr, /*allow_exceptions=*/false);
  check(table.is_object(), "the metadata \"", kModulesKey, "\" is no JSON object");
  for (const auto& [path, entry] : table.items()) {
    const std::string where = "the metadata of module \"" + path + "\"";
    check(entry.is_object() && entry.contains("kind") && entry["kind"].is_string() && entry.contains("attributes"), where,
          " has no \"kind\" and \"attributes\"");
    modules[path] = {entry["kind"].get<std::string>(), attributes_from_json(entry["attributes"], where)};
  }
  return modules;
}

/// Loads in two steps: everything is read, built and checked first, and all that is wrong collected; then it is put in place.
class Loader {
 public:
  Loader(torch::nn::Module& model, Safetensors file, const nn::ImplementationKinds& kinds)
      : model_(model), tensors_(std::move(file.tensors)), modules_(swapped_modules(file.metadata)), kinds_(kinds) {}

  void run() {
    std::vector<nn::ModuleSite> sites = nn::module_sites(model_);
    folds_batch_norms_ = std::any_of(sites.begin(), sites.end(), [&](const nn::ModuleSite& site) {
      return modules_.contains(site.path()) && site.type_name().starts_with("BatchNorm");
    });
    for (const auto& [path, swapped] : modules_) build(path, swapped, sites);
    match_floats();
    for (const auto& tensor : tensors_) {
      if (!used_.contains(tensor.key())) problem("unexpected", tensor.key());
    }
    check(problems_.empty(), text_of_problems());

    const torch::NoGradGuard no_grad;
    for (auto& [target, value] : copies_) {
      if (target.sizes() == value.sizes()) {
        target.copy_(value);
      } else {
        target.set_data(value.clone());
      }
    }
    for (auto& [site, implementation] : swaps_) site->swap(std::move(implementation));
  }

 private:
  void problem(const std::string& kind, const std::string& text) { problems_[kind].push_back(text); }

  std::string text_of_problems() const {
    std::string text = "the file and the model do not fit";
    for (const auto& [kind, entries] : problems_) {
      text += "\n" + kind + ":";
      for (const std::string& entry : entries) text += "\n  " + entry;
    }
    return text + "\nBuild the float model with the options that it had when the file was written";
  }

  /// Rebuilds the implementation of one swapped module from its tensors.
  void build(const std::string& path, const SwappedModule& swapped, std::vector<nn::ModuleSite>& sites) {
    nn::StateDict state;
    const std::string prefix = path.empty() ? "" : path + ".";
    for (const auto& tensor : tensors_) {
      if (tensor.key().starts_with(prefix) && !is_of_a_child(tensor.key(), prefix)) {
        state.insert(tensor.key().substr(prefix.size()), at::Tensor(tensor.value()));
      }
    }
    const auto site = std::find_if(sites.begin(), sites.end(), [&](const auto& place) { return place.path() == path; });
    if (site == sites.end()) {
      problem("modules that the model lacks", path + " (" + swapped.kind + ")");
      use(prefix, state);
      return;
    }
    try {
      auto implementation = kinds_.at(swapped.kind, path)(state, swapped.attributes, path);
      site->check_swap(*implementation);
      if (implementation->keeps_float_module()) {
        keep_float_modules_.insert(path);
        use(prefix, implementation->state_dict());
      } else {
        use(prefix, state);
        check_complete(*implementation, state, path);
        compare_shapes(site->module(), state, path);
      }
      if (!site->same_as()) swaps_.emplace_back(&*site, std::move(implementation));
    } catch (const Error& error) {
      use(prefix, state);
      problem("modules that cannot be rebuilt", error.what());
    }
  }

  /// Whether a tensor belongs to a swapped module further inside, such as the stubs around a single module.
  bool is_of_a_child(const std::string& key, const std::string& prefix) const {
    return std::any_of(modules_.begin(), modules_.end(), [&](const auto& module) {
      return module.first.size() > prefix.size() && module.first.starts_with(prefix) && key.starts_with(module.first + ".");
    });
  }

  /// These tensors have found their place, or what is wrong with them is said elsewhere.
  void use(const std::string& prefix, const nn::StateDict& state) {
    for (const auto& tensor : state) used_.insert(prefix + tensor.key());
  }

  static void check_complete(const nn::ImplementationBase& implementation, const nn::StateDict& state, const std::string& path) {
    const nn::StateDict rebuilt = implementation.state_dict();
    for (const auto& tensor : state) {
      check(rebuilt.contains(tensor.key()), path, ": the tensor \"", tensor.key(), "\" is not part of ", implementation.kind());
    }
  }

  /// The rebuilt module must be the quantized form of the one whose place it takes: the same weights and biases, in the same
  /// shapes. (Options that no tensor shows, such as batch_first, are those of the file.) Kinds that keep nothing of the module,
  /// or call all of it otherwise, have been checked by rebuilding them.
  void compare_shapes(torch::nn::Module& module, const nn::StateDict& state, const std::string& path) {
    nn::StateDict expected;
    for (const auto& item : state_dict(module)) {
      const std::string name = item.key().substr(item.key().rfind('.') + 1);  // LinearReLU has its Linear's as "0.weight"
      if (!expected.contains(name)) expected.insert(name, at::Tensor(item.value()));
    }
    const auto is_expected = [&](const auto& tensor) { return expected.contains(tensor.key()); };
    if (std::none_of(state.begin(), state.end(), is_expected)) return;
    for (const auto& item : expected) {
      const auto& [name, tensor] = item.pair();
      const at::Tensor* const found = state.find(name);
      if (!found) {
        problem("missing", join(path, name));
      } else if (!same_shape(state, expected, name)) {
        problem("of another shape or dtype",
                c10::str(join(path, name), ": the file has ", found->scalar_type(), " ", sizes_of(state, name), ", the model ",
                         tensor.scalar_type(), " ", sizes_of(expected, name)));
      }
    }
    for (const auto& tensor : state) {
      const std::string& name = tensor.key();
      const bool is_qparam = name.ends_with("scale") || name.ends_with("zero_point") || name.ends_with("_shape");
      const bool is_folded = name == "bias" && folds_batch_norms_;
      if (!is_qparam && !is_folded && !is_expected(tensor)) problem("unexpected", join(path, name));
    }
  }

  /// Of a weight whose integers share bytes, what its shape is beside it.
  static at::IntArrayRef sizes_of(const nn::StateDict& state, const std::string& name) {
    const at::Tensor* const shape = state.find(name + "_shape");
    const bool is_shape = shape && shape->scalar_type() == at::kLong && shape->is_contiguous();
    return is_shape ? at::IntArrayRef(shape->const_data_ptr<int64_t>(), shape->numel()) : state[name].sizes();
  }

  static bool same_shape(const nn::StateDict& file, const nn::StateDict& model, const std::string& name) {
    const at::IntArrayRef sizes = sizes_of(file, name), expected = sizes_of(model, name);
    if (sizes == expected) return true;
    // Rows of 4- and 2-bit embeddings are packed into bytes, with no shape beside them.
    if (file[name].scalar_type() != at::kByte || file.contains(name + "_shape") || sizes.size() != 2 || expected.size() != 2) {
      return false;
    }
    const auto packed = [&](int64_t bits) { return (expected[1] * bits + 7) / 8; };
    return sizes[0] == expected[0] && (sizes[1] == packed(4) || sizes[1] == packed(2));
  }

  /// An observer learns from its first input how many channels there are; until then its lists have one element or none.
  static bool may_grow(const at::Tensor& target, const at::Tensor& value) {
    return target.dim() <= 1 && target.numel() <= 1 && value.dim() == 1;
  }

  /// Whether the file has another module in place of the float one at this path.
  bool is_replaced(const std::string& path) const { return modules_.contains(path) && !keep_float_modules_.contains(path); }

  /// Finds the parameters and buffers that the rest of the tensors go to.
  void match_floats() {
    for_each_stateful_module(
        model_, "", [&](const std::string& path, torch::nn::Module& module, const nn::ImplementationBase* implementation) {
          if (is_replaced(path)) return;
          // Modules inside a float module that is replaced go with it (MultiheadAttention's out_proj); slots hung on it don't.
          if (!nn::as_slot(module) && is_replaced(path.substr(0, path.find_last_of('.')))) return;
          if (implementation && !implementation->keeps_float_module()) {
            problem("quantized modules that the file has no integers for",
                    path + " (" + implementation->kind() + "); load into a freshly built float model");
            return;
          }
          for_each_own_tensor(module, [&](const std::string& own_name, at::Tensor& target) {
            const std::string name = join(path, own_name);
            const at::Tensor* const value = tensors_.find(name);
            if (!value) {
              problem("missing", name);
              return;
            }
            used_.insert(name);
            const bool fits =
                value->sizes() == target.sizes() || (dynamic_cast<ObserverBase*>(&module) && may_grow(target, *value));
            if (!fits || value->scalar_type() != target.scalar_type()) {
              problem("of another shape or dtype", c10::str(name, ": the file has ", value->scalar_type(), " ", value->sizes(),
                                                            ", the model ", target.scalar_type(), " ", target.sizes()));
              return;
            }
            copies_.emplace_back(target, *value);
          });
        });
  }

  torch::nn::Module& model_;
  nn::StateDict tensors_;
  std::map<std::string, SwappedModule> modules_;
  const nn::ImplementationKinds& kinds_;

  bool folds_batch_norms_ = false;  // then modules may have a bias that the model's lack
  std::set<std::string> keep_float_modules_;
  std::set<std::string> used_;
  std::map<std::string, std::vector<std::string>> problems_;  // by kind
  std::vector<std::pair<at::Tensor, at::Tensor>> copies_;     // target, value
  std::vector<std::pair<nn::ModuleSite*, std::shared_ptr<nn::ImplementationBase>>> swaps_;
};

}  // namespace

nn::StateDict state_dict(const torch::nn::Module& model) {
  nn::StateDict state;
  for_each_stateful_module(const_cast<torch::nn::Module&>(model), "",
                           [&](const std::string& path, torch::nn::Module& module, const nn::ImplementationBase* implementation) {
                             if (implementation) {
                               for (const auto& tensor : implementation->state_dict()) {
                                 state.insert(join(path, tensor.key()), at::Tensor(tensor.value()));
                               }
                             }
                             for_each_own_tensor(module, [&](const std::string& name, const at::Tensor& tensor) {
                               state.insert(join(path, name), tensor.detach());
                             });
                           });
  return state;
}

void save(const torch::nn::Module& model, const std::filesystem::path& path) {
  json modules = json::object();
  for_each_stateful_module(const_cast<torch::nn::Module&>(model), "",
                           [&](const std::string& module_path, torch::nn::Module&, const nn::ImplementationBase* implementation) {
                             if (!implementation) return;
                             modules[module_path] = {{"kind", implementation->kind()},
                                                     {"attributes", to_json(implementation->attributes())}};
                           });
  write_safetensors(path, {state_dict(model),
                           {{"format", "pt"}, {kVersionKey, std::to_string(kFormatVersion)}, {kModulesKey, modules.dump()}}});
}

void load(torch::nn::Module& model, const std::filesystem::path& path, const nn::ImplementationKinds& kinds) {
  Safetensors content = read_safetensors(path);
  try {
    load(model, std::move(content), kinds);
  } catch (const Error& error) {
    fail(path.string(), ": ", error.what());
  }
}

void load(torch::nn::Module& model, Safetensors content, const nn::ImplementationKinds& kinds) {
  Loader(model, std::move(content), kinds).run();
}

}  // namespace octet
