# Warnings, hardening and sanitizers, in one interface target that everything of ours links.
add_library(kith_flags INTERFACE)
target_compile_options(kith_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wvla
  -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
  -fno-strict-overflow -ffp-contract=off)
if(KITH_WERROR)
  target_compile_options(kith_flags INTERFACE -Werror)
endif()

if(KITH_SANITIZE)
  target_compile_options(kith_flags INTERFACE -fsanitize=${KITH_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -UNDEBUG)
  target_link_options(kith_flags INTERFACE -fsanitize=${KITH_SANITIZE})
else()
  target_compile_options(kith_flags INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>
    -fstack-protector-strong -ftrivial-auto-var-init=zero)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(kith_flags INTERFACE -fstack-clash-protection -fcf-protection=full)
  endif()
  target_link_options(kith_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()
