# Fails if an object that was compiled with an ISA's flags defines a function that other objects may define, too: the linker
# keeps one of them, and it could be the one whose instructions not every processor has. Templates over the ISA's Simd type
# are its own.
# cmake -D NM=nm -D OBJECTS=a.o;b.o -P isa_objects_test.cmake
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND "${NM}" --demangle --defined-only "${object}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]* W [^\n]*" shared "${symbols}")
  list(FILTER shared EXCLUDE REGEX "Simd")
  if(shared)
    list(JOIN shared "\n" shared)
    message(FATAL_ERROR "${object} shares:\n${shared}")
  endif()
endforeach()
list(LENGTH OBJECTS count)
if(count EQUAL 0)
  message(FATAL_ERROR "There are no objects to look at")
endif()
message(STATUS "${count} objects share nothing")
