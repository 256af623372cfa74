#include <octet/observe/qconfig.h>

#include <ostream>

namespace octet {

std::ostream& operator<<(std::ostream& stream, const QConfig& qconfig) {
  return stream << "QConfig(activation=" << qconfig.activation << ", weight=" << qconfig.weight << ')';
}

std::ostream& operator<<(std::ostream& stream, const QConfigAny& qconfig) {
  return qconfig ? stream << *qconfig : stream << "None";
}

}  // namespace octet
