// What follows the kernels in a library: half precision, and the one function that Python calls.
#pragma once

inline float half_to_float(Half h) {
    _Float16 value;
    std::memcpy(&value, &h.bits, sizeof value);
    return value;
}

inline Half float_to_half(float value) {
    _Float16 narrow = static_cast<_Float16>(value);
    Half h;
    std::memcpy(&h.bits, &narrow, sizeof narrow);
    return h;
}

#define SIMT_ENTRY(...)                                                                   \
    simt::Entry {                                                                         \
        #__VA_ARGS__, simt::arity(&__VA_ARGS__),                                          \
            [](void** values) { simt::call(&__VA_ARGS__, values); }                       \
    }

#define SIMT_LIBRARY(...)                                                                  \
    static const simt::Entry simt_entries[] = {__VA_ARGS__};                               \
    extern "C" int simt_launch(const char* instance, const unsigned* grid, unsigned block, \
                               std::size_t shared, unsigned cluster, unsigned seed,        \
                               void** values, int count, const std::size_t* arrays,        \
                               int array_count, char* error, std::size_t room) {           \
        try {                                                                              \
            for (const simt::Entry& entry : simt_entries) {                                \
                if (std::strcmp(entry.instance, instance) != 0) continue;                  \
                if (entry.arguments != count)                                              \
                    throw std::runtime_error("takes " + std::to_string(entry.arguments) +  \
                                             " arguments, got " + std::to_string(count));  \
                simt::body = entry.body;                                                   \
                simt::arguments = values;                                                  \
                simt::know(arrays, array_count);                                           \
                simt::run(grid, block, shared, cluster, seed);                             \
                return 0;                                                                  \
            }                                                                              \
            throw std::runtime_error("no such instance");                                  \
        } catch (const std::exception& caught) {                                           \
            std::snprintf(error, room, "%s", caught.what());                               \
            return 1;                                                                      \
        }                                                                                  \
    }
