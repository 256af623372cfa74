#include <octet/tensor/error.h>
#include <octet/tensor/float_fallback.h>
#include <octet/tensor/quantized_tensor.h>

#include <tensor/float_computation.h>
#include <tensor/in_module.h>
#include <tensor/op_table.h>

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/library.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace octet {
namespace {

constexpr std::string_view kNamespace = "aten::";

std::string full_name(std::string_view name, std::string_view overload) {
  return overload.empty() ? std::string(name) : c10::str(name, ".", overload);
}

const std::unordered_map<std::string, const OpRow*>& table() {
  static const auto* const rows = [] {
    auto* all = new std::unordered_map<std::string, const OpRow*>;
    for (const auto& ops : all_ops()) {
      for (const OpRow& row : ops) {
        check(all->emplace(row.op, &row).second, "octet: two rows of the op table serve ", row.op);
      }
    }
    return all;
  }();
  return *rows;
}

const OpRow* row_of(const std::string& op) {
  const auto row = table().find(op);
  return row == table().end() ? nullptr : row->second;
}

[[noreturn]] void fail_with_the_way_out(const OpCall& call, const std::string& reason) {
  fail(call.name(), in_module(), ": ", reason,
       ". To compute it in float, put an octet::nn::DeQuantStub, or dequantize(), before it, or allow that with an ",
       "octet::FloatFallbackGuard.");
}

// What the row, if there is one, says about the tensors of this call. @throws Refusal
void check_accepted(const OpCall& call, const OpRow* row) {
  if (!row) refuse("there is no arithmetic for quantized tensors for this op");
  const Accepts kind = call.quantizer().is_packed()        ? Accepts::packed
                       : call.quantizer().is_per_channel() ? Accepts::per_channel
                                                           : Accepts::per_tensor;
  if (kind > row->accepts) {
    refuse("this op has no arithmetic for ", call.quantizer().dtype, " tensors with the scheme ", call.quantizer().qscheme);
  }
}

// The kernel of one op on the quantized key.
class Kernel final : public c10::OperatorKernel {
 public:
  explicit Kernel(const OpRow* row) : row_(row) {}

  void operator()(const c10::OperatorHandle& op, c10::DispatchKeySet /*keys*/, torch::jit::Stack* stack) {
    const at::AutoDispatchBelowADInplaceOrView plain_integers;  // they have no gradients and no views of their own
    OpCall call(op, *stack);
    try {
      check_accepted(call, row_);
      row_->handler(call);
    } catch (const Refusal& refusal) {
      if (!FloatFallbackGuard::is_active()) fail_with_the_way_out(call, refusal.reason);
      if (returns_a_view(call)) fail_with_the_way_out(call, refusal.reason + ", nor a float fallback, which would not be a view");
      FloatFallbackGuard::count(call.name());
      compute_in_float(call);
    }
  }

 private:
  const OpRow* row_;
};

std::unique_ptr<torch::Library> register_all() {
  auto library = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", kQuantizedKey, __FILE__, __LINE__);
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const c10::OperatorName& name : dispatcher.getAllOpNames()) {
    if (!name.name.starts_with(kNamespace)) continue;
    const auto op = dispatcher.findOp(name);
    if (!op || !op->hasSchema()) continue;
    const OpRow* row = find_row(name);
    // A composite op without a row is left to its parts, which come here.
    if (!row && op->hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd)) continue;
    const std::string short_name = full_name(name.name.substr(kNamespace.size()), name.overload_name);
    library->impl(short_name.c_str(), torch::CppFunction::makeFromBoxedFunctor(std::make_unique<Kernel>(row)));
  }
  return library;
}

// Ops of other namespaces, torchvision's and the user's own, have no arithmetic here.
std::unique_ptr<torch::Library> register_fallback() {
  auto library = std::make_unique<torch::Library>(torch::Library::IMPL, "_", kQuantizedKey, __FILE__, __LINE__);
  library->fallback(torch::CppFunction::makeFromBoxedFunctor(std::make_unique<Kernel>(nullptr)));
  return library;
}

// LibTorch has this for the autograd keys that it uses itself. Without it, ops that have no derivative don't get to ours.
std::unique_ptr<torch::Library> register_no_autograd() {
  auto library = std::make_unique<torch::Library>(torch::Library::IMPL, "_", kQuantizedAutogradKey, __FILE__, __LINE__);
  library->fallback(torch::CppFunction::makeFallthrough());
  return library;
}

}  // namespace

const std::vector<std::span<const OpRow>>& all_ops() {
  static const std::vector<std::span<const OpRow>> all{layout_ops(),        order_ops(),    pooling_ops(),    averaging_ops(),
                                                       interpolation_ops(), unary_ops(),    activation_ops(), arithmetic_ops(),
                                                       joining_ops(),       creation_ops(), conversion_ops(), query_ops()};
  return all;
}

const OpRow* find_row(const c10::OperatorName& op) {
  const std::string base = op.name.substr(kNamespace.size());
  if (const auto* row = row_of(full_name(base, op.overload_name))) return row;
  return base.ends_with('_') ? row_of(full_name(base.substr(0, base.size() - 1), op.overload_name)) : nullptr;
}

void register_op_table() {
  // Never destroyed: other threads may still compute while the process ends. Kept by the attribute, for the leak sanitizer to
  // find.
  [[gnu::used]] static const auto* const aten = register_all().release();
  [[gnu::used]] static const auto* const others = register_fallback().release();
  [[gnu::used]] static const auto* const autograd = register_no_autograd().release();
}

}  // namespace octet
