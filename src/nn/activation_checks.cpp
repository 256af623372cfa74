#include <octet/tensor/error.h>
#include <octet/tensor/module_path.h>
#include <octet/tensor/quantized_tensor.h>

#include <nn/activation_checks.h>

namespace octet::nn {

void check_float_activation(const at::Tensor& tensor, const char* what) {
  const std::string_view path = ModulePathScope::current();
  check(tensor.defined(), path, ": got an undefined tensor for ", what);
  check(!is_quantized(tensor), path, ": got a quantized tensor for ", what,
        ", but a dynamically quantized module takes float32; it ",
        "quantizes its input by itself, so call dequantize() on it before");
  check(tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided, path, ": got a ",
        tensor.scalar_type(), " tensor on ", tensor.device(), " for ", what,
        ", expected a float32 tensor on the CPU; convert it ", "with to(torch::kCPU, torch::kFloat)");
}

}  // namespace octet::nn
