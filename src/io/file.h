// Files read and written with errors that say what the system said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

namespace octet {

/// Closes a file descriptor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int value) : value_(value) {}
  ~FileDescriptor();
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

/// A regular file that is read.
class InputFile {
 public:
  /// @throws Error for what does not exist, cannot be read or is not a regular file (a folder, a pipe)
  explicit InputFile(const std::filesystem::path& path);

  uint64_t size() const { return size_; }

  /// Reads `size` bytes from `offset` on. @throws Error if the file ends before
  void read(uint64_t offset, void* data, size_t size) const;

 private:
  FileDescriptor descriptor_;
  uint64_t size_;
};

/// A file that appears under its name whole or not at all: until commit() it is a temporary file in the same folder.
class AtomicOutputFile {
 public:
  /// @throws Error if `path` is there and not a regular file, or if its folder cannot be written
  explicit AtomicOutputFile(const std::filesystem::path& path);

  /// Removes the temporary file unless it was committed.
  ~AtomicOutputFile();

  void write(const void* data, size_t size);

  /// Flushes to the disk, then takes the place of what is under the name.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_path_;
  FileDescriptor descriptor_;
  bool committed_ = false;
};

}  // namespace octet
