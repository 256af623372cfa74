# Fails if an object that was compiled with an ISA's flags defines a function that other objects may define, too: the linker
# keeps one of them, and it could be the one whose instructions not every processor has. Templates over the ISA's Simd type
# are its own.
# cmake -D NM=nm -D OBJECTS=a.o;b.o -P isa_objects_test.cmake
foreach(object IN LISTS OBJECTS)
  if(NOT object MATCHES "_avx[^/]*\\.o$")
    continue()
  endif()
  execute_process(COMMAND "${NM}" --demangle --defined-only "${object}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]* W [^\n]*" shared "${symbols}")
  list(FILTER shared EXCLUDE REGEX "Simd")
  if(shared)
    list(JOIN shared "\n" shared)
    message(FATAL_ERROR "${object} shares:\n${shared}")
  endif()
  list(APPEND checked "${object}")
endforeach()
list(LENGTH checked count)
message(STATUS "${count} objects share nothing")
