#include <octet/nn/implementation.h>
#include <octet/tensor/error.h>

namespace octet::nn {

void ImplementationBase::to(torch::Device device, torch::Dtype, bool non_blocking) { to(device, non_blocking); }

void ImplementationBase::to(torch::Dtype, bool) {}

void ImplementationBase::to(torch::Device device, bool) {
  check(device.is_cpu(), kind(), ": got a move to ", device,
        ", but quantized modules run on the CPU only; keep a float copy of the model for other devices");
}

}  // namespace octet::nn
