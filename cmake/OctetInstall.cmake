# Install rules and the package that find_package(Octet) reads.
include(CMakePackageConfigHelpers)

set(octet_targets octet_kernels)
if(TARGET octet)
  list(APPEND octet_targets octet)
endif()
install(TARGETS ${octet_targets} EXPORT OctetTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/octet" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

set(octet_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Octet")
install(EXPORT OctetTargets NAMESPACE octet:: DESTINATION "${octet_package_dir}")
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/OctetConfig.cmake.in" "${PROJECT_BINARY_DIR}/OctetConfig.cmake"
  INSTALL_DESTINATION "${octet_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/OctetConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/OctetConfig.cmake" "${PROJECT_BINARY_DIR}/OctetConfigVersion.cmake"
  DESTINATION "${octet_package_dir}")
