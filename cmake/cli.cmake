# The command line. It sees include/ and nothing else of Kith.
pkg_check_modules(SMARTCOLS REQUIRED IMPORTED_TARGET smartcols)

file(GLOB cli_sources CONFIGURE_DEPENDS cli/*.c)
add_executable(kith_cli ${cli_sources})
set_target_properties(kith_cli PROPERTIES OUTPUT_NAME kith)
target_compile_definitions(kith_cli PRIVATE _DEFAULT_SOURCE)
target_include_directories(kith_cli PRIVATE cli)
target_link_libraries(kith_cli PRIVATE kith_flags kith_static PkgConfig::SMARTCOLS PkgConfig::JANSSON)

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
set_target_properties(kith_cli PROPERTIES POSITION_INDEPENDENT_CODE ON)

install(TARGETS kith_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES docs/man/kith.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

if(KITH_TESTS)
  enable_testing()
  add_test(NAME cli COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/tests/cli/run.sh)
  set_tests_properties(cli PROPERTIES TIMEOUT 300
    ENVIRONMENT "KITH_BIN=$<TARGET_FILE:kith_cli>;KITH_SOURCE=${CMAKE_CURRENT_SOURCE_DIR}")
endif()
