# Programs of tests/long/: what takes minutes, in the configuration Long (`make test-long`). They share the command
# line of the fault harnesses.

file(GLOB long_programs CONFIGURE_DEPENDS tests/long/long_*.c)
foreach(program IN LISTS long_programs)
  get_filename_component(name ${program} NAME_WE)
  add_executable(${name} ${program} $<TARGET_OBJECTS:fault_objects> $<TARGET_OBJECTS:kith_objects>)
  target_include_directories(${name} PRIVATE include src tests)
  target_link_libraries(${name} PRIVATE kith_flags Threads::Threads PkgConfig::JANSSON PkgConfig::ZSTD PkgConfig::UTF8PROC PkgConfig::CMOCKA m ${CMAKE_DL_LIBS})
  add_test(NAME long/${name} CONFIGURATIONS Long COMMAND ${name})
  set_tests_properties(long/${name} PROPERTIES LABELS long TIMEOUT 7200 SKIP_RETURN_CODE 77
    ENVIRONMENT "KITH_SOURCE=${CMAKE_CURRENT_SOURCE_DIR}")
endforeach()

# Short rounds of this one belong to every test run, and to that under ThreadSanitizer.
add_test(NAME busy/long_busy COMMAND long_busy --seconds 8)
set_tests_properties(busy/long_busy PROPERTIES LABELS fault TIMEOUT 300)
