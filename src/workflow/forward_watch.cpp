#include <octet/nn/module_site.h>
#include <octet/tensor/error.h>

#include <workflow/forward_watch.h>

#include <ATen/record_function.h>
#include <torch/nn/modules/container/any.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/utils.h>

#include <algorithm>
#include <thread>
#include <unordered_map>
#include <utility>

namespace octet {
namespace {

using nn::detail::ModuleInternals;

/// Puts the modules of all Sequentials back at the end, where slots took their places.
class SequentialsRestorer {
 public:
  explicit SequentialsRestorer(torch::nn::Module& model) {
    for (const auto& module : model.modules()) {
      if (auto sequential = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(module)) {
        saved_.push_back({sequential, {sequential->begin(), sequential->end()}, ModuleInternals::children(*sequential)});
      }
    }
  }
  SequentialsRestorer(const SequentialsRestorer&) = delete;
  ~SequentialsRestorer() {
    for (auto& [sequential, modules, children] : saved_) {
      std::move(modules.begin(), modules.end(), sequential->begin());
      ModuleInternals::children(*sequential) = std::move(children);
    }
  }

 private:
  struct Saved {
    std::shared_ptr<torch::nn::SequentialImpl> sequential;
    std::vector<torch::nn::AnyModule> modules;
    torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>> children;
  };
  std::vector<Saved> saved_;
};

template <class Visit>
void for_each_tensor(const c10::IValue& value, const Visit& visit) {
  if (value.isTensor()) {
    visit(value.toTensor());
  } else if (value.isList()) {
    for (const c10::IValue& element : value.toListRef()) for_each_tensor(element, visit);
  }
}

/// Hears of every call of a module and of every operation of ATen, and follows the tensors that modules return. A tensor is its
/// TensorImpl, whose address is not used again while there is a weak pointer to it; the data may go.
class ForwardWatch {
 public:
  ForwardWatch(torch::nn::Module& model, std::vector<nn::ModuleSite>& sites) : uses_(sites.size()), restorer_(model) {
    for (size_t i = 0; i < sites.size(); ++i) {
      if (sites[i].same_as() || !sites[i].swappable()) continue;
      nn::SlotBase& slot = sites[i].make_slot();
      // Registered last: what the user's pre-hooks do is outside of the module, what their forward hooks do inside.
      hooks_.push_back(slot.register_forward_pre_hook([this, i](auto&, const auto& inputs) { enter(i, inputs); }));
      hooks_.push_back(slot.register_forward_hook([this, i](auto&, auto&, const auto& outputs) { leave(i, outputs); }));
    }
    active_ = this;
    const auto begin = [](const at::RecordFunction& function) {
      active_->begin(function);
      return std::unique_ptr<at::ObserverContext>();
    };
    const auto end = [](const at::RecordFunction&, at::ObserverContext*) { active_->running_.pop_back(); };
    callback_ =
        at::addThreadLocalCallback(at::RecordFunctionCallback(begin, end).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  }
  ForwardWatch(const ForwardWatch&) = delete;
  ~ForwardWatch() {
    at::removeCallback(callback_);
    active_ = nullptr;
    for (nn::HookHandle& hook : hooks_) hook.remove();
  }

  std::vector<ModuleUse> finish() {
    check(depth_ == 0, "fuse_all: a module threw, and the model went on; nothing is known about its tensors then");
    for (const auto& [impl, output] : outputs_) {
      if (!output.tensor.expired()) uses_[output.module].output_outlives_pass = true;
    }
    return std::move(uses_);
  }

 private:
  using WeakTensor = c10::weak_intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>;

  struct Output {
    WeakTensor tensor;
    size_t module;
  };

  void enter(size_t module, const std::vector<at::Tensor>& inputs) {
    check(std::this_thread::get_id() == thread_, "fuse_all: a module ran in another thread, where nothing can be watched");
    ModuleUse& use = uses_[module];
    use.ran = true;
    use.is_unary &= inputs.size() == 1;
    for (const at::Tensor& input : inputs) {
      if (const Output* const output = find(input)) {
        use.inputs_from.insert(output->module);
        uses_[output->module].read_by.insert(module);
      } else {
        use.has_other_inputs = true;
      }
    }
    ++depth_;
  }

  void leave(size_t module, const std::vector<at::Tensor>& outputs) {
    --depth_;
    uses_[module].is_unary &= outputs.size() == 1;
    for (const at::Tensor& output : outputs) {
      // What a module returns as it got it, perhaps changed in place, is its own from now on.
      if (!output.defined()) continue;
      outputs_.insert_or_assign(output.unsafeGetTensorImpl(), Output{WeakTensor(output.getIntrusivePtr()), module});
    }
  }

  /// What modules call themselves is their own matter, and so is what a function that read a tensor does with it.
  void begin(const at::RecordFunction& function) {
    for (const c10::IValue& input : function.inputs()) {
      for_each_tensor(input, [&](const at::Tensor& tensor) {
        const Output* const output = find(tensor);
        if (depth_ > 0 || !output) return;
        std::set<std::string>& functions = uses_[output->module].functions;
        const bool is_counted =
            std::any_of(running_.begin(), running_.end(), [&](const auto& name) { return functions.contains(name); });
        if (!is_counted) functions.insert(function.name());
      });
    }
    running_.push_back(function.name());
  }

  const Output* find(const at::Tensor& tensor) const {
    const auto found = outputs_.find(tensor.unsafeGetTensorImpl());
    return found == outputs_.end() ? nullptr : &found->second;
  }

  static thread_local ForwardWatch* active_;

  std::vector<ModuleUse> uses_;
  std::unordered_map<const at::TensorImpl*, Output> outputs_;
  int depth_ = 0;                     // of modules that are running
  std::vector<std::string> running_;  // functions, from the outermost on
  const std::thread::id thread_ = std::this_thread::get_id();
  const SequentialsRestorer restorer_;
  std::vector<nn::HookHandle> hooks_;
  at::CallbackHandle callback_ = at::INVALID_CALLBACK_HANDLE;
};

thread_local ForwardWatch* ForwardWatch::active_ = nullptr;

}  // namespace

std::vector<ModuleUse> watch_forward(torch::nn::Module& model, const std::function<std::shared_ptr<void>()>& run) {
  std::vector<nn::ModuleSite> sites = nn::module_sites(model);
  const torch::NoGradGuard no_grad;  // a graph would hold every tensor
  const at::RecordFunctionGuard record_functions(true);
  ForwardWatch watch(model, sites);
  const std::shared_ptr<void> result = run();
  return watch.finish();
}

}  // namespace octet
