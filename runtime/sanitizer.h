#pragma once

// Which sanitizer this is built with, for the few places that must tell it about stacks of our own.
#if defined(__has_feature)
#define SLUICE_HAS_FEATURE(x) __has_feature(x)
#else
#define SLUICE_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SLUICE_HAS_FEATURE(address_sanitizer)
#define SLUICE_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define SLUICE_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || SLUICE_HAS_FEATURE(thread_sanitizer)
#define SLUICE_TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define SLUICE_TSAN 0
#endif

namespace sluice::runtime {

inline constexpr bool kAsan = SLUICE_ASAN == 1;
inline constexpr bool kTsan = SLUICE_TSAN == 1;

}  // namespace sluice::runtime
