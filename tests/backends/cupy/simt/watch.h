// What a compiler calls before every access to memory (-fsanitize=kernel-address, whose bookkeeping
// is left to others) and where a rule of C++ is broken (-fsanitize=alignment and such): the stand-in
// for compute-sanitizer's memcheck. A fiber may touch the arrays that its kernel was given, the
// shared memory of its cluster, and what the shim itself needs.
#pragma once

#include <cstdint>
#include <cstdio>

#define SIMT_UNWATCHED __attribute__((no_sanitize_address, no_sanitize_undefined))

extern "C" {
// The bounds of this library in memory, by the linker's names.
extern char __ehdr_start __attribute__((visibility("hidden")));
extern char _end __attribute__((visibility("hidden")));
}

namespace simt {

struct Range {
    std::uintptr_t begin, end;
};

constexpr int MOST_RANGES = 400;
inline Range ranges[MOST_RANGES];
inline int known;  // how many ranges there are; 0: nothing is watched

[[noreturn]] void fail(const char* what);

SIMT_UNWATCHED inline void allow(const void* begin, std::size_t bytes) {
    auto first = reinterpret_cast<std::uintptr_t>(begin);
    if (known == MOST_RANGES) std::abort();
    ranges[known++] = {first, first + bytes};
}

SIMT_UNWATCHED inline void touch(std::uintptr_t at, std::size_t bytes, const char* deed) {
    if (!inside || known == 0) return;
    for (int i = 0; i < known; ++i)
        if (at >= ranges[i].begin && at + bytes <= ranges[i].end) return;
    inside = false;
    char text[100];
    std::snprintf(text, sizeof text, "%s %zu bytes outside of all arguments", deed, bytes);
    fail(text);
}

struct Place {
    const char* file;
    std::uint32_t line, column;
};

SIMT_UNWATCHED inline void broken(const Place* place, const char* rule) {
    if (!inside || known == 0) return;
    inside = false;
    char text[400];
    std::snprintf(text, sizeof text, "%s at %s:%u", rule, place->file, place->line);
    fail(text);
}

}  // namespace simt

#define SIMT_ACCESS(n)                                                \
    SIMT_UNWATCHED void __asan_load##n##_noabort(std::uintptr_t at) { \
        simt::touch(at, n, "a read of");                              \
    }                                                                 \
    SIMT_UNWATCHED void __asan_store##n##_noabort(std::uintptr_t at) { \
        simt::touch(at, n, "a write of");                             \
    }
#define SIMT_RULE(name, rule, ...)                                           \
    SIMT_UNWATCHED void __ubsan_handle_##name(simt::Place* p, __VA_ARGS__) { \
        simt::broken(p, rule);                                               \
    }

extern "C" {
SIMT_ACCESS(1)
SIMT_ACCESS(2)
SIMT_ACCESS(4)
SIMT_ACCESS(8)
SIMT_ACCESS(16)
SIMT_UNWATCHED void __asan_loadN_noabort(std::uintptr_t at, std::size_t bytes) {
    simt::touch(at, bytes, "a read of");
}
SIMT_UNWATCHED void __asan_storeN_noabort(std::uintptr_t at, std::size_t bytes) {
    simt::touch(at, bytes, "a write of");
}
SIMT_UNWATCHED void __asan_handle_no_return() {}
SIMT_UNWATCHED void __asan_before_dynamic_init(const void*) {}
SIMT_UNWATCHED void __asan_after_dynamic_init() {}
SIMT_RULE(type_mismatch_v1, "a misaligned access", void*)
SIMT_RULE(add_overflow, "an overflow", void*, void*)
SIMT_RULE(sub_overflow, "an overflow", void*, void*)
SIMT_RULE(mul_overflow, "an overflow", void*, void*)
SIMT_RULE(negate_overflow, "an overflow", void*)
SIMT_RULE(divrem_overflow, "a division by zero", void*, void*)
}
