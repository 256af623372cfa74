# Install rules and the package that find_package(Octet) reads.
include(CMakePackageConfigHelpers)

set(octet_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Octet")

# Each component has a file of targets of its own, so that who wants the kernels alone is not asked for LibTorch.
install(TARGETS octet_kernels EXPORT OctetKernelsTargets)
install(EXPORT OctetKernelsTargets NAMESPACE octet:: DESTINATION "${octet_package_dir}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/octet/kernels" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/octet"
  FILES_MATCHING PATTERN "*.h")
if(TARGET octet)
  install(TARGETS octet EXPORT OctetTargets)
  install(EXPORT OctetTargets NAMESPACE octet:: DESTINATION "${octet_package_dir}")
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/octet" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
endif()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/OctetConfig.cmake.in" "${PROJECT_BINARY_DIR}/OctetConfig.cmake"
  INSTALL_DESTINATION "${octet_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/OctetConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/OctetConfig.cmake" "${PROJECT_BINARY_DIR}/OctetConfigVersion.cmake"
  DESTINATION "${octet_package_dir}")
