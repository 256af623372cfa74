#include <observe/group_rows.h>

#include <ATen/ops/constant_pad_nd.h>

namespace octet {

at::Tensor groups_as_rows(const at::Tensor& values, int64_t group_size) {
  const int64_t beyond = values.size(-1) % group_size;
  return (beyond ? at::constant_pad_nd(values, {0, group_size - beyond}) : values).reshape({-1, group_size});
}

}  // namespace octet
