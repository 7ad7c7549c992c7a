# The Python extension kith._core. Included by faces.cmake where KITH_PYTHON is on, which pip's build sets.
#
# It uses only the limited API of CPython 3.11: one file, _core.abi3.so, serves every later version. CMake 3.26
# can be asked for exactly that (Development.SABIModule); older ones find the headers by Development.Module, and
# the suffix and the definition are set here. Either way nothing is linked to libpython.
if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.26)
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.SABIModule)
else()
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
endif()

file(GLOB KITH_PYTHON_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/python/kith/_core/*.c)
add_library(_core MODULE ${KITH_PYTHON_SOURCES} $<TARGET_OBJECTS:kith_objects>)
target_include_directories(_core PRIVATE include SYSTEM PRIVATE ${Python_INCLUDE_DIRS})
target_compile_definitions(_core PRIVATE Py_LIMITED_API=0x030B0000)
# The slots of a type are pointers to functions kept in a void *, which ISO C alone does not promise. (Set on the
# files, so that it comes after the warnings of kith_flags.)
set_source_files_properties(${KITH_PYTHON_SOURCES} PROPERTIES COMPILE_OPTIONS -Wno-pedantic)
target_link_libraries(_core PRIVATE kith_flags Threads::Threads PkgConfig::JANSSON PkgConfig::ZSTD PkgConfig::UTF8PROC m)
set_target_properties(_core PROPERTIES PREFIX "" SUFFIX ".abi3.so")
if(NOT APPLE)
  # Nothing but PyInit__core is seen from outside: two libraries in one process never mix their symbols.
  target_link_options(_core PRIVATE -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/python/kith/_core/exports.map)
endif()
install(TARGETS _core LIBRARY DESTINATION kith COMPONENT python)
