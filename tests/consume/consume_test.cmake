# Installs BUILD_DIR to a prefix of its own, then configures, builds and runs the project CONSUMER with it in WORK_DIR.
# The project of this folder is also the example of README: both files of it must stand there as they are here.
cmake_minimum_required(VERSION 3.22)

function(run)
  list(JOIN ARGN " " line)
  message(STATUS "${line}")
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${WORK_DIR}" COMMAND_ERROR_IS_FATAL ANY)
endfunction()

if(CONSUMER STREQUAL CMAKE_CURRENT_LIST_DIR)
  file(READ "${README}" readme)
  foreach(name CMakeLists.txt main.cpp)
    file(READ "${CONSUMER}/${name}" text)
    string(FIND "${readme}" "\n${text}```\n" position)
    if(position EQUAL -1)
      message(FATAL_ERROR "${README} does not show ${CONSUMER}/${name} as it is; copy it there")
    endif()
  endforeach()
endif()

file(REMOVE_RECURSE "${WORK_DIR}")
file(MAKE_DIRECTORY "${WORK_DIR}")
run(${CMAKE_COMMAND} --install "${BUILD_DIR}" --prefix "${WORK_DIR}/prefix")
run(${CMAKE_COMMAND} -S "${CONSUMER}" -B build -G "${CMAKE_GENERATOR}" "-DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix"
  "-DTorch_DIR=${Torch_DIR}" "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}" "-DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}"
  "-DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}")
run(${CMAKE_COMMAND} --build build)
run("${WORK_DIR}/build/example")
