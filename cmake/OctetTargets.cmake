# Helpers that every layer's CMakeLists uses, so that a layer's own file lists only what is special about it.

# octet_sanitize(TARGET SANITIZERS): builds a target with sanitizers, as -fsanitize takes them.
function(octet_sanitize target sanitizers)
  # In code with sanitizers GCC takes initialized variables for uninitialized ones.
  target_compile_options(${target} PRIVATE -fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer
    -Wno-maybe-uninitialized)
  target_link_options(${target} PUBLIC -fsanitize=${sanitizers})
endfunction()

# Warnings and sanitizers, the same for every target of ours.
function(octet_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra $<$<BOOL:${OCTET_WARNINGS_AS_ERRORS}>:-Werror>)
  if(OCTET_SANITIZE)
    octet_sanitize(${target} "${OCTET_SANITIZE}")
  endif()
endfunction()

# The sources of a layer are its .cpp files; x_test.cpp beside x.cpp is a test.
function(octet_layer_sources out_sources out_tests directory)
  file(GLOB sources CONFIGURE_DEPENDS "${directory}/*.cpp")
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  set(${out_sources} ${sources} PARENT_SCOPE)
  set(${out_tests} ${tests} PARENT_SCOPE)
endfunction()

# octet_add_test(NAME [PREFIX] SOURCES... LIBRARIES...): a GoogleTest program whose cases ctest sees one by one, labelled with its
# name.
function(octet_add_test name)
  cmake_parse_arguments(ARG "" "PREFIX" "SOURCES;LIBRARIES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} GTest::gtest GTest::gtest_main)
  octet_compile_options(${name})
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  include(GoogleTest)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 120 TEST_PREFIX "${ARG_PREFIX}" PROPERTIES TIMEOUT 600 LABELS ${name})
endfunction()

# Lets a program use the precompiled header of the library, for which it must be compiled with the same flags.
function(octet_reuse_precompiled_header target)
  # An executable would get -fPIE, but the library's precompiled header is -fPIC.
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE -fPIC)
  target_precompile_headers(${target} REUSE_FROM octet)
endfunction()

# octet_add_oracles(TARGET DIRECTORY): runs each x_oracle.py of a layer with Python's torch. The script gets the path of
# the file it writes (torch.save of a dict), which the tests read with octet::test::load_oracle("layer/x").
function(octet_add_oracles target directory)
  get_filename_component(layer "${directory}" NAME)
  file(GLOB scripts CONFIGURE_DEPENDS "${directory}/*_oracle.py")
  set(outputs)
  foreach(script IN LISTS scripts)
    get_filename_component(name "${script}" NAME_WE)
    string(REGEX REPLACE "_oracle$" "" name "${name}")
    set(output "${CMAKE_BINARY_DIR}/oracle/${layer}/${name}.pt")
    add_custom_command(
      OUTPUT "${output}"
      COMMAND ${CMAKE_COMMAND} -E make_directory "${CMAKE_BINARY_DIR}/oracle/${layer}"
      COMMAND ${CMAKE_COMMAND} -E env PYTHONDONTWRITEBYTECODE=1 "PYTHONPATH=${PROJECT_SOURCE_DIR}/tests/support" "${OCTET_PYTHON}" -W ignore "${script}" "${output}"
      DEPENDS "${script}"
      COMMENT "Asking Python's torch.ao: ${layer}/${name}"
      VERBATIM)
    list(APPEND outputs "${output}")
  endforeach()
  add_custom_target(${target} DEPENDS ${outputs})
endfunction()
