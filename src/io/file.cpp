#include "io/file.h"

#include <octet/tensor/error.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

namespace octet {
namespace {

/// What the system says about the call that just failed.
std::string system_error() { return std::generic_category().message(errno); }

int open_input(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check(descriptor >= 0, "it cannot be opened: ", system_error(), "; check the path and its permissions");
  return descriptor;
}

/// Where the bytes shall end up: the target of a symbolic link, and not the link.
std::filesystem::path resolve(const std::filesystem::path& path) {
  std::error_code error;
  const auto resolved = std::filesystem::weakly_canonical(path, error);
  check(!error, "its folder cannot be found: ", error.message(), "; check the path and its permissions");
  const auto status = std::filesystem::status(resolved, error);
  check(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status),
        "it is a folder or a device; expected the name of a file");
  return resolved;
}

/// A name in the folder of `path` that no other file has, whatever the length of its own name.
std::filesystem::path temporary_path_for(const std::filesystem::path& path) {
  static std::atomic<int> count = 0;
  return path.parent_path() / c10::str(".octet-", ::getpid(), "-", count++, ".tmp");
}

int open_output(const std::filesystem::path& temporary_path) {
  const int descriptor = ::open(temporary_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  check(descriptor >= 0, "no file can be created in its folder: ", system_error(),
        "; check that the folder exists and can be written");
  return descriptor;
}

}  // namespace

FileDescriptor::~FileDescriptor() { ::close(value_); }

InputFile::InputFile(const std::filesystem::path& path) : descriptor_(open_input(path)) {
  struct stat status{};
  check(::fstat(descriptor_.get(), &status) == 0, "its size cannot be read: ", system_error());
  check(S_ISREG(status.st_mode), "it is a folder, a pipe or a device; expected a file");
  size_ = static_cast<uint64_t>(status.st_size);
}

void InputFile::read(uint64_t offset, void* data, size_t size) const {
  auto* bytes = static_cast<std::byte*>(data);
  while (size > 0) {
    const ssize_t count = ::pread(descriptor_.get(), bytes, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    check(count >= 0, "reading failed: ", system_error());
    check(count > 0, "it ends ", size, " bytes too early; was it changed meanwhile? Read it again");
    bytes += count;
    offset += static_cast<uint64_t>(count);
    size -= static_cast<size_t>(count);
  }
}

AtomicOutputFile::AtomicOutputFile(const std::filesystem::path& path)
    : path_(resolve(path)), temporary_path_(temporary_path_for(path_)), descriptor_(open_output(temporary_path_)) {}

AtomicOutputFile::~AtomicOutputFile() {
  if (!committed_) ::unlink(temporary_path_.c_str());
}

void AtomicOutputFile::write(const void* data, size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  while (size > 0) {
    const ssize_t count = ::write(descriptor_.get(), bytes, size);
    if (count < 0 && errno == EINTR) continue;
    check(count >= 0, "writing failed: ", system_error(), "; check the space on the disk");
    bytes += count;
    size -= static_cast<size_t>(count);
  }
}

void AtomicOutputFile::commit() {
  check(::fsync(descriptor_.get()) == 0, "writing failed: ", system_error(), "; check the space on the disk");
  check(std::rename(temporary_path_.c_str(), path_.c_str()) == 0, "it cannot be replaced: ", system_error());
  committed_ = true;
}

}  // namespace octet
