# What users link or run: the shared library, the command line, the Python extension, the examples, and what
# is installed.

# The .pc file finds its prefix from where it lies, so that it is right wherever the tree was installed or moved to.
file(RELATIVE_PATH KITH_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/kith.pc.in kith.pc @ONLY)

if(KITH_PYTHON)
  include(cmake/python.cmake)
  return()
endif()

# Only what kith.h declares is exported: everything else is hidden, and the version script says so again.
add_library(kith_shared SHARED $<TARGET_OBJECTS:kith_objects>)
set_target_properties(kith_shared PROPERTIES OUTPUT_NAME kith EXPORT_NAME kith VERSION ${KITH_VERSION} SOVERSION 0)
target_include_directories(kith_shared PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(kith_shared PRIVATE kith_flags Threads::Threads PkgConfig::JANSSON PkgConfig::ZSTD PkgConfig::UTF8PROC m)
target_link_options(kith_shared PRIVATE -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/cmake/kith.map)

if(KITH_CLI)
  include(cmake/cli.cmake)
endif()

if(KITH_TESTS)
  enable_testing()
  add_executable(hello examples/hello.c)
  target_link_libraries(hello PRIVATE kith_flags kith_shared)
  add_test(NAME examples/hello COMMAND hello)
  if(KITH_CLI AND NOT KITH_SANITIZE)
    add_test(NAME install COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tools/check_install.sh ${CMAKE_CURRENT_BINARY_DIR})
    set_tests_properties(install PROPERTIES TIMEOUT 300)
  endif()
  foreach(bench IN ITEMS bench_kernels bench_scalar)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/bench/${bench}.c)
      add_executable(${bench} EXCLUDE_FROM_ALL bench/${bench}.c $<TARGET_OBJECTS:kith_objects>)
      target_include_directories(${bench} PRIVATE include src)
      target_link_libraries(${bench} PRIVATE kith_flags Threads::Threads PkgConfig::JANSSON PkgConfig::ZSTD PkgConfig::UTF8PROC m)
    endif()
  endforeach()
endif()

install(TARGETS kith_shared EXPORT kith LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS kith_static EXPORT kith_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/kith.h include/kith_arrow.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/kith.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
# The two libraries are exported apart: whoever links the shared one needs no other library's files to be there.
install(FILES cmake/kithConfig.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kith)
install(EXPORT kith NAMESPACE kith:: FILE kithShared.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kith)
install(EXPORT kith_static NAMESPACE kith:: FILE kithStatic.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kith)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(kithConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/kithConfigVersion.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kith)
