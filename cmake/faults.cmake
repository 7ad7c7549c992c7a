# The harnesses of tests/fault/: one program for each fault_*.c there, the other files in all of them. With the other
# tests each runs for a short time, under a sanitizer for a tenth of it; in the configuration Long until it has done
# its count:
#
#   ctest --test-dir build -L fault
#   ctest --test-dir build -C Long -L long

file(GLOB fault_shared CONFIGURE_DEPENDS tests/fault/*.c)
file(GLOB fault_programs CONFIGURE_DEPENDS tests/fault/fault_*.c)
list(REMOVE_ITEM fault_shared ${fault_programs})
add_library(fault_objects OBJECT ${fault_shared})
target_include_directories(fault_objects PRIVATE include src tests)
target_link_libraries(fault_objects PRIVATE kith_flags)

set(fault_seconds 35)
if(KITH_SANITIZE)
  set(fault_seconds 5)
endif()

# A simulated run takes some 25 ms; 8 seconds are some hundred.
set(fault_simulate_seconds 8)
if(KITH_SANITIZE)
  set(fault_simulate_seconds 5)
endif()

# What there is to do in all, where it is more than one round of everything.
set(fault_io_runs 50000)
set(fault_memory_runs 150000)
set(fault_crash_runs 30000)
set(fault_race_runs 2000)
set(fault_kill_runs 300)
set(fault_simulate_runs 5000)

foreach(program IN LISTS fault_programs)
  get_filename_component(name ${program} NAME_WE)
  add_executable(${name} ${program} $<TARGET_OBJECTS:fault_objects> $<TARGET_OBJECTS:kith_objects>)
  target_include_directories(${name} PRIVATE include src tests)
  target_link_libraries(${name} PRIVATE kith_flags Threads::Threads PkgConfig::JANSSON PkgConfig::ZSTD PkgConfig::UTF8PROC m ${CMAKE_DL_LIBS})
  set(seconds ${fault_seconds})
  if(DEFINED ${name}_seconds)
    set(seconds ${${name}_seconds})
  endif()
  add_test(NAME fault/${name} COMMAND ${name} --seconds ${seconds})
  set_tests_properties(fault/${name} PROPERTIES LABELS fault TIMEOUT 300 SKIP_RETURN_CODE 77)
  add_test(NAME fault-long/${name} CONFIGURATIONS Long COMMAND ${name} --runs ${${name}_runs})
  set_tests_properties(fault-long/${name} PROPERTIES LABELS long TIMEOUT 7200 SKIP_RETURN_CODE 77)
endforeach()
